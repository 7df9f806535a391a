"""Models with several replicas, as the gateway's routing table names them."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2, inference_pb2_grpc
from axia.v1 import inference_pb2 as inf
from tests.support import processes
from tests.support.pictures import photograph

ANSWERS = """
first_token_ms: {first_token_ms}
token_ms: {token_ms}
answers:
  - say: ["The smoke rises from the pan while nobody looks at the stove at all."]
"""
CALLS = 200
TIMEOUT = 60


class Replicas(NamedTuple):
    first: processes.Server
    second: processes.Server
    gateway: processes.Server
    stub: gateway_pb2_grpc.GatewayServiceStub


@contextmanager
def replicas(folder: Path, table: str = "", first_token_ms: int = 150, token_ms: int = 10) -> Iterator[Replicas]:
    answers = folder / "answers.yaml"
    answers.write_text(ANSWERS.format(first_token_ms=first_token_ms, token_ms=token_ms))
    engine: dict[str, object] = {"engine": "scripted", "answers": answers, "max_running": 256, "max_queue": 1000}
    with (
        processes.inference(folder / "first.log", **engine) as first,
        processes.inference(folder / "second.log", **engine) as second,
    ):
        routes = folder / "models.toml"
        routes.write_text(f'[[model]]\nname = "scripted"\naddresses = ["{first.address}", "{second.address}"]\n{table}')
        with processes.gateway(folder / "gateway.log", "", models=routes, refresh_s=0.5) as gateway:
            for server in (first, second, gateway):
                server.wait_for("SERVING", timeout=60)
            with grpc.insecure_channel(gateway.address) as channel:
                stub = gateway_pb2_grpc.GatewayServiceStub(channel)
                wait_until_described(stub)
                yield Replicas(first, second, gateway, stub)


def wait_until_described(stub: gateway_pb2_grpc.GatewayServiceStub) -> None:
    """A gateway serves before it has asked its models what they are."""
    deadline = time.monotonic() + TIMEOUT
    while not stub.ListModels(gw.ListModelsRequest(), timeout=TIMEOUT).models[0].HasField("model"):
        assert time.monotonic() < deadline, "the model was never described"
        time.sleep(0.05)


def answered(server: processes.Server) -> float:
    return sum(v for name, v in server.metrics().items() if name.startswith("axia_inference_completions_total"))


def detection(**fields: object) -> gw.DetectValuesRequest:
    return gw.DetectValuesRequest(image=image_pb2.Image(data=photograph(size=(64, 48))), **fields)  # type: ignore[arg-type]


def wait_until_both_answer(fleet: Replicas, timeout: float) -> None:
    """Asks until each replica has answered once more: two calls at a time, of one token, since a whole answer may
    take half a minute."""
    before = answered(fleet.first), answered(fleet.second)
    deadline = time.monotonic() + timeout
    while answered(fleet.first) <= before[0] or answered(fleet.second) <= before[1]:
        assert time.monotonic() < deadline, "a replica is not used"
        asked = [fleet.stub.DetectValues.future(detection(n=1, max_tokens=1), timeout=TIMEOUT) for _ in range(2)]
        for call in asked:
            call.result()


def test_calls_that_had_not_started_survive_the_death_of_a_replica(tmp_path: Path) -> None:
    with replicas(tmp_path) as fleet:
        wait_until_both_answer(fleet, timeout=30)
        started: set[int] = set()
        lock = threading.Lock()

        def call(number: int) -> str:
            request = gw.StreamDetectValuesRequest(detection=detection(n=2, temperatures=[0.0, 1.0], seed=number))
            try:
                for event in fleet.stub.StreamDetectValues(request, timeout=TIMEOUT):
                    if event.WhichOneof("event") == "completion":
                        with lock:
                            started.add(number)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

        with ThreadPoolExecutor(32) as pool:
            calls = [pool.submit(call, number) for number in range(CALLS)]
            deadline = time.monotonic() + TIMEOUT
            while sum(future.done() for future in calls) < CALLS // 5:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            fleet.first.signal_group(signal.SIGKILL)
            outcomes = Counter(future.result(timeout=TIMEOUT) for future in calls)
        assert set(outcomes) <= {"OK", "UNAVAILABLE"}
        # At most 32 calls were in flight when it died; those that it had not begun to answer went to the other.
        assert outcomes["UNAVAILABLE"] <= 32
        assert outcomes["OK"] >= CALLS - 32
        assert fleet.stub.ListModels(gw.ListModelsRequest(), timeout=TIMEOUT).models[0].available
        fleet.first.process.wait(30)
        fleet.first.start()
        fleet.first.wait_for("SERVING", timeout=60)
        wait_until_both_answer(fleet, timeout=10)


def test_a_call_that_has_not_started_is_sent_to_the_other_replica(tmp_path: Path) -> None:
    """Every call waits for its first token when the replica dies, pictures beyond gRPC's own retry buffer included."""
    with replicas(tmp_path, first_token_ms=4000) as fleet:
        # Calls are shared out between the replicas that the gateway is connected to: both, from here on.
        wait_until_both_answer(fleet, timeout=60)
        large = photograph(size=(1200, 900), file_format="PNG", compress_level=0)
        assert len(large) > 2**20
        request = gw.DetectValuesRequest(image=image_pb2.Image(data=large), n=1)
        with ThreadPoolExecutor(16) as pool:
            calls = [
                pool.submit(fleet.stub.DetectValues, request, timeout=TIMEOUT, wait_for_ready=True) for _ in range(16)
            ]
            deadline = time.monotonic() + 30
            while not all(server.metrics().get("axia_inference_running") for server in (fleet.first, fleet.second)):
                assert time.monotonic() < deadline, "a replica got no call"
                time.sleep(0.02)
            fleet.first.signal_group(signal.SIGKILL)
            assert [call.result(timeout=TIMEOUT).completions_done for call in calls] == [1] * 16


def test_a_call_that_has_started_is_not_sent_to_the_other_replica(tmp_path: Path) -> None:
    """Headers say that it has started; they come with the first token, also where all comes in one message."""
    with replicas(tmp_path, first_token_ms=1, token_ms=2000) as fleet:
        wait_until_both_answer(fleet, timeout=60)
        before = {server: answered(server) for server in (fleet.first, fleet.second)}
        call = fleet.stub.DetectValues.future(detection(n=1), timeout=TIMEOUT)
        deadline = time.monotonic() + 30
        while not (busy := [server for server in before if server.metrics().get("axia_inference_running")]):
            assert time.monotonic() < deadline, "no replica got the call"
            time.sleep(0.02)
        time.sleep(0.5)
        (idle,) = set(before) - set(busy)
        busy[0].signal_group(signal.SIGKILL)
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert idle.metrics()["axia_inference_running"] == 0
        assert answered(idle) == before[idle]


def availability(gateway: processes.Server) -> dict[str, float]:
    """What the gateway says of each replica, by its labels."""
    name = "axia_gateway_replica_available"
    return {key.removeprefix(name): value for key, value in gateway.metrics().items() if key.startswith(name)}


def wait_until_available(gateway: processes.Server, expected: dict[str, float], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while availability(gateway) != expected:
        assert time.monotonic() < deadline, f"{availability(gateway)} is not {expected}"
        time.sleep(0.1)


def test_each_replica_is_known_to_be_there_or_gone(tmp_path: Path) -> None:
    with replicas(tmp_path) as fleet:
        first, second = (
            f'{{address="{server.address}",model="scripted"}}' for server in (fleet.first, fleet.second)
        )  # fmt: skip
        wait_until_available(fleet.gateway, {first: 1, second: 1})
        fleet.first.signal_group(signal.SIGKILL)
        wait_until_available(fleet.gateway, {first: 0, second: 1})
        assert fleet.stub.ListModels(gw.ListModelsRequest(), timeout=TIMEOUT).models[0].available
        fleet.first.process.wait(30)
        fleet.first.start()
        fleet.first.wait_for("SERVING", timeout=60)
        wait_until_available(fleet.gateway, {first: 1, second: 1})
        fleet.second.signal_group(signal.SIGSTOP)  # its connection stays, and a watch of its health would hear nothing
        try:
            wait_until_available(fleet.gateway, {first: 1, second: 0})
        finally:
            fleet.second.signal_group(signal.SIGCONT)
        wait_until_available(fleet.gateway, {first: 1, second: 1})
        assert (
            fleet.gateway.log_text().count(f"the replica of scripted at {fleet.second.address} is no longer available")
            == 1
        )


def test_a_replica_whose_model_was_not_known_leaves_no_series_behind(tmp_path: Path) -> None:
    with processes.inference(tmp_path / "inference.log") as inference:
        inference.stop()
        with processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.2) as gateway:
            gateway.wait_for("NOT_SERVING")
            wait_until_available(gateway, {f'{{address="{inference.address}",model=""}}': 0})
            inference.start()
            inference.wait_for("SERVING")
            known = {f'{{address="{inference.address}",model="scripted"}}': 1.0}
            wait_until_available(gateway, known)
            assert availability(gateway) == known  # and no series of a model without a name


def test_defaults_and_limits_of_the_table_hold(tmp_path: Path) -> None:
    table = "[model.defaults]\nn = 2\ntemperature = 0.5\nprompt_id = 'detect/safety'\n"
    table += "[model.limits]\nmax_n = 4\nconcurrency = 1\n"
    with replicas(tmp_path, table) as fleet:
        response = fleet.stub.DetectValues(detection(), timeout=TIMEOUT)
        assert list(response.provenance.temperatures) == [0.5, 0.5]
        assert response.provenance.prompt.id == "detect/safety"
        with pytest.raises(grpc.RpcError, match="n: must be from 1 to 4"):
            fleet.stub.DetectValues(detection(n=5), timeout=TIMEOUT)
        calls = [fleet.stub.DetectValues.future(detection(n=1), timeout=TIMEOUT) for _ in range(8)]
        codes = Counter(call.code() for call in calls)
        assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_defaults_and_limits_of_the_table_hold_for_every_protocol(tmp_path: Path) -> None:
    table = (
        "[model.defaults]\ntemperature = 0.5\ntop_p = 0.9\nmax_tokens = 4\n[model.limits]\nmax_n = 2\nmax_tokens = 6\n"
    )
    with replicas(tmp_path, table) as fleet:
        (listed,) = fleet.stub.ListModels(gw.ListModelsRequest(), timeout=TIMEOUT).models
        assert (listed.model.max_samples, listed.model.max_tokens) == (2, 6)
        used = fleet.stub.DetectValues(detection(full_text=True), timeout=TIMEOUT)
        assert list(used.provenance.temperatures) == [0.5, 0.5]  # and not three: the limit is two
        assert (used.provenance.top_p, used.provenance.max_tokens) == (0.9, 4)
        assert [completion.tokens for completion in used.completions] == [4, 4]
        with pytest.raises(grpc.RpcError, match="max_tokens: must be from 1 to 6"):
            fleet.stub.DetectValues(detection(max_tokens=7), timeout=TIMEOUT)

        config = gw.DetectValuesRequest(n=1)
        frame = gw.WatchFrame(frame_id=1, image=image_pb2.Image(data=photograph(size=(64, 48))))
        watch = [gw.WatchValuesRequest(config=config), gw.WatchValuesRequest(frame=frame)]
        (outcome,) = fleet.stub.WatchValues(iter(watch), timeout=TIMEOUT)
        assert (list(outcome.detection.provenance.temperatures), outcome.detection.provenance.max_tokens) == ([0.5], 4)
        watch[0].config.n = 3
        with pytest.raises(grpc.RpcError, match=r"config\.n: must be from 1 to 2"):
            list(fleet.stub.WatchValues(iter(watch), timeout=TIMEOUT))

        pictures = [gw.InterestPicture(image=image_pb2.Image(data=photograph(seed, (64, 48)))) for seed in (1, 2)]
        judging = gw.JudgeInterestRequest(pictures=pictures, traits=["I cook."])
        interest = fleet.stub.JudgeInterest(judging, timeout=TIMEOUT)
        assert (interest.sampling.temperature, interest.sampling.top_p, interest.sampling.max_tokens) == (0.5, 0.9, 4)
        assert [len(judgement.text.split()) for judgement in interest.judgements] == [4, 4]
        judging.max_tokens = 7
        with pytest.raises(grpc.RpcError, match="max_tokens: must be from 1 to 6"):
            fleet.stub.JudgeInterest(judging, timeout=TIMEOUT)

        with grpc.insecure_channel(fleet.gateway.address) as channel:
            inference = inference_pb2_grpc.InferenceServiceStub(channel)
            assert inference.GetModel(inf.GetModelRequest(), timeout=TIMEOUT).model == listed.model
            message = inf.Message(role=inf.ROLE_USER, text="What is it?")
            asked = inf.GenerateRequest(messages=[message], samples=[inf.Sample(temperature=1.0)])
            stated = list(inference.Generate(asked, timeout=TIMEOUT))
            asked.default_temperature = True
            left = list(inference.Generate(asked, timeout=TIMEOUT))
            assert [events[-2].completion.temperature for events in (stated, left)] == [1.0, 0.5]
            assert [(events[-1].summary.top_p, events[-1].summary.max_tokens) for events in (stated, left)] == [
                (0.9, 4)
            ] * 2
            for fields, field in (({"max_tokens": 7}, "max_tokens"), ({"samples": [inf.Sample()] * 3}, "samples")):
                beyond = inf.GenerateRequest(**{"messages": [message], "samples": [inf.Sample()], **fields})
                with pytest.raises(grpc.RpcError, match=field) as caught:
                    list(inference.Generate(beyond, timeout=TIMEOUT))
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                with pytest.raises(grpc.RpcError, match=rf"generation\.{field}") as caught:
                    inference.GenerateAll(inf.GenerateAllRequest(generation=beyond), timeout=TIMEOUT)
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            together = inference.GenerateAll(inf.GenerateAllRequest(generation=asked), timeout=TIMEOUT)
            assert (together.completions[0].temperature, together.summary.max_tokens) == (0.5, 4)


def test_a_bad_table_ends_the_gateway_with_file_key_and_rule(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text('[[model]]\nname = "a"\naddresses = ["127.0.0.1:1"]\n[model.limits]\nmax_n = 0\n')
    with processes.gateway(tmp_path / "gateway.log", "", models=path) as server:
        assert server.process.wait(30) == 2
        assert f"AXIA_GATEWAY_MODELS: {path}: model.0.limits.max_n: " in server.log_text()
        assert "greater than or equal to 1" in server.log_text()
