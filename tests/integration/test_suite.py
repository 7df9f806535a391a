"""How the gateway and the inference service behave together as processes."""

import re
import signal
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2
from tests.support import processes
from tests.support.pictures import photograph
from tests.support.processes import Suite

SLOW_ANSWERS = """
token_ms: 250
answers:
  - when: uneven
    say:
      - One.
      - This one goes on for a very long time and says a great many words, one after the other, more and more of them,
        so many that nobody could wait for the last before it ever ends
  - say: ["The smoke rises from the pan while nobody looks at the stove. It may burn soon. Call for help now."]
"""

FREED_WITHIN_S = 1.0
"""In the median of a few rounds: what else a machine does may hold up one."""


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    path = tmp_path / "slow.yaml"
    path.write_text(SLOW_ANSWERS)
    return path


def detection(**fields: object) -> gw.DetectValuesRequest:
    return gw.DetectValuesRequest(image=image_pb2.Image(data=photograph()), **fields)  # type: ignore[arg-type]


def running(server: processes.Server) -> float:
    return server.metrics()["axia_inference_running"]


def wait_until_running(server: processes.Server, count: int, timeout: float) -> float:
    """Seconds until the engine's own count is `count`."""
    began = time.monotonic()
    while running(server) != count:
        assert time.monotonic() - began < timeout, f"still {running(server)} completions, not {count}"
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_request_id_travels_from_client_to_gateway_to_service_and_back(
    suite: Suite, gateway_stub: gateway_pb2_grpc.GatewayServiceStub
) -> None:
    with pytest.raises(grpc.RpcError):
        gateway_stub.DetectValues(detection(prompt_text="<image>"), timeout=30, metadata=[("x-request-id", "walk-7")])
    for server in suite:
        deadline = time.monotonic() + 30  # the line is written after the answer was sent
        while not any(record.get("request_id") == "walk-7" for record in server.log_records()):
            assert time.monotonic() < deadline, server.log_text()[-2000:]
            time.sleep(0.02)
    response = gateway_stub.DetectValues(detection(), timeout=30, metadata=[("x-request-id", "walk-8")])
    assert response.provenance.request_id == "walk-8"


def test_every_call_has_one_line_with_what_came_of_it(
    suite: Suite, gateway_stub: gateway_pb2_grpc.GatewayServiceStub
) -> None:
    gateway_stub.DetectValues(detection(), timeout=30, metadata=[("x-request-id", "walk-9")])
    with pytest.raises(grpc.RpcError):
        gateway_stub.DetectValues(detection(n=99), timeout=30, metadata=[("x-request-id", "walk-10")])
    deadline = time.monotonic() + 30
    while True:
        records = [record for record in suite.gateway.log_records() if record["logger"] == "access"]
        found = {
            record["request_id"]: record for record in records if record.get("request_id") in ("walk-9", "walk-10")
        }
        if len(found) == 2:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert found["walk-9"]["method"] == "axia.v1.GatewayService/DetectValues"
    assert (found["walk-9"]["code"], found["walk-9"]["duration_ms"] > 0) == ("OK", True)
    refused = found["walk-10"]
    assert (refused["code"], refused["reason"], refused["field"]) == ("INVALID_ARGUMENT", "OUT_OF_RANGE", "n")
    assert all(line.startswith("{") for server in suite for line in server.log_text().splitlines())


def test_completions_arrive_one_by_one_and_then_the_summary(
    gateway_stub: gateway_pb2_grpc.GatewayServiceStub,
) -> None:
    events = list(gateway_stub.StreamDetectValues(gw.StreamDetectValuesRequest(detection=detection(n=4)), timeout=30))
    assert [event.WhichOneof("event") for event in events] == ["completion"] * 4 + ["summary"]
    assert sorted(event.completion.index for event in events[:4]) == [0, 1, 2, 3]
    assert len(events[-1].summary.completions) == 4


def test_every_metric_of_the_documentation_is_there_and_no_other(
    suite: Suite, gateway_stub: gateway_pb2_grpc.GatewayServiceStub
) -> None:
    gateway_stub.DetectValues(detection(), timeout=30)
    with pytest.raises(grpc.RpcError):
        gateway_stub.DetectValues(detection(prompt_text="<image>"), timeout=30)
    documented = set(re.findall(r"^\| `(axia_\w+)`", (processes.ROOT / "docs" / "metrics.md").read_text(), re.M))
    exported: set[str] = set()
    for server in suite:
        names = {re.split(r"[{ ]", sample)[0] for sample in server.metrics()}
        assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= names
        exported |= {re.sub(r"_(bucket|count|sum)$", "", name) for name in names if name.startswith("axia_")}
    others = ("axia_scoring_", "axia_retrieval_", "axia_http_", "axia_inference_endpoint_")  # not of these two
    documented = {name for name in documented if not name.startswith(others)}
    # A counter appears with its first event; here no deadline has cut a detection short, there are no other services,
    # no protocol but detection has run, nothing has waited, and no model is calibrated.
    parts = ("partial", "service", "scoring", "asked_again", "preference", "interest", "watch_", "passed", "missing")
    parts += ("retries", "response_types", "calibrated", "coverage_drift", "model_wait")
    silent = (*(f"axia_gateway_{part}" for part in parts), "axia_inference_prefix", "axia_inference_picture")  # vLLM's
    assert not {name for name in documented - exported if not name.startswith(silent)}
    assert exported - documented == set()


def test_stages_tokens_and_rejections_are_counted(
    suite: Suite, gateway_stub: gateway_pb2_grpc.GatewayServiceStub
) -> None:
    before = suite.inference.metrics(), suite.gateway.metrics()
    response = gateway_stub.DetectValues(detection(n=3), timeout=30)
    with pytest.raises(grpc.RpcError):
        gateway_stub.DetectValues(detection(n=0), timeout=30)
    after = suite.inference.metrics(), suite.gateway.metrics()

    def grown(where: int, sample: str) -> float:
        return after[where][sample] - before[where].get(sample, 0)

    for stage in ("decode", "queue", "first_token", "generation"):
        assert grown(0, f'axia_inference_stage_seconds_count{{stage="{stage}"}}') == 1
    tokens = sum(completion.tokens for completion in response.completions)
    assert grown(0, 'axia_inference_tokens_total{kind="completion"}') == tokens
    assert grown(1, 'axia_gateway_tokens_total{model="scripted"}') == tokens
    method = "axia.v1.GatewayService/DetectValues"
    assert grown(1, f'axia_rpc_rejected_total{{method="{method}",reason="OUT_OF_RANGE"}}') == 1
    assert grown(1, f'axia_rpc_requests_total{{code="OK",method="{method}"}}') == 1


def test_a_client_that_cancels_or_whose_deadline_passes_frees_the_engine(tmp_path: Path, slow: Path) -> None:
    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=slow) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.2) as gateway,
    ):
        gateway.wait_for("SERVING")
        inference.wait_for("SERVING")
        with grpc.insecure_channel(gateway.address) as channel:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)
            cancelled: list[float] = []
            late: list[float] = []
            for _ in range(5):
                call = stub.DetectValues.future(detection(n=5, full_text=True), timeout=30)
                wait_until_running(inference, 5, timeout=30)
                call.cancel()
                cancelled.append(wait_until_running(inference, 0, timeout=30))
                with pytest.raises(grpc.RpcError) as caught:
                    stub.DetectValues(detection(n=5, full_text=True), timeout=0.5)
                assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                late.append(wait_until_running(inference, 0, timeout=30))
            # The answers would take more than four seconds: these didn't end by themselves.
            assert statistics.median(cancelled) < FREED_WITHIN_S, cancelled
            assert statistics.median(late) < FREED_WITHIN_S, late


def test_what_is_done_at_the_deadline_comes_back_as_partial(tmp_path: Path, slow: Path) -> None:
    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=slow) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.2, deadline_margin_s=1) as gateway,
    ):
        gateway.wait_for("SERVING")
        inference.wait_for("SERVING")
        with grpc.insecure_channel(gateway.address) as channel:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)
            response = stub.DetectValues(detection(n=8, prompt_text="uneven", seed=5, full_text=True), timeout=6)
        assert response.partial
        assert 0 < response.completions_done < response.completions_requested == 8
        assert {completion.first_sentence for completion in response.completions} == {"One."}
        assert response.consensus == "One."
        assert gateway.metrics()['axia_gateway_partial_total{model="scripted"}'] == 1


def test_after_sigterm_to_the_group_calls_in_flight_end_and_new_ones_are_unavailable(
    tmp_path: Path, slow: Path
) -> None:
    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=slow) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.2) as gateway,
    ):
        gateway.wait_for("SERVING")
        inference.wait_for("SERVING")
        with grpc.insecure_channel(gateway.address) as channel, ThreadPoolExecutor(20) as pool:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)
            calls = [pool.submit(stub.DetectValues, detection(n=1, full_text=True), timeout=30) for _ in range(20)]
            wait_until_running(inference, 20, timeout=30)
            inference.signal_group(signal.SIGTERM)
            gateway.signal_group(signal.SIGTERM)
            gateway.wait_for("UNREACHABLE")
            with pytest.raises(grpc.RpcError) as caught:
                stub.DetectValues(detection(n=1), timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert [call.result().completions_done for call in calls] == [1] * 20
        assert gateway.process.wait(30) == 0
        assert inference.process.wait(30) == 0


def test_a_full_queue_is_refused_at_once_with_a_time_to_try_again(tmp_path: Path, slow: Path) -> None:
    with (
        processes.inference(
            tmp_path / "inference.log", engine="scripted", answers=slow, max_queue=4, max_running=2
        ) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.2) as gateway,
    ):
        gateway.wait_for("SERVING")
        inference.wait_for("SERVING")
        with grpc.insecure_channel(gateway.address) as channel:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)
            call = stub.DetectValues.future(detection(n=4, full_text=True), timeout=30)
            wait_until_running(inference, 2, timeout=30)
            assert inference.metrics()["axia_inference_waiting"] == 2
            with pytest.raises(grpc.RpcError) as caught:
                stub.DetectValues(detection(n=3), timeout=30)
            assert not call.done()  # it was refused while the queue was full, not after
            call.cancel()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        metadata = dict(caught.value.trailing_metadata())
        details = status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details
        retry = error_details_pb2.RetryInfo()
        assert any(detail.Unpack(retry) for detail in details)
        assert retry.retry_delay.ToTimedelta().total_seconds() > 0


def test_a_gateway_without_its_model_says_so_and_recovers_by_itself(tmp_path: Path) -> None:
    with processes.inference(tmp_path / "inference.log") as inference:
        inference.wait_for("SERVING")
        with processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=0.1) as gateway:
            gateway.wait_for("SERVING")
            with grpc.insecure_channel(gateway.address) as channel:
                stub = gateway_pb2_grpc.GatewayServiceStub(channel)
                assert stub.DetectValues(detection(), timeout=30).completions_done == 3
                inference.process.kill()
                inference.process.wait()
                with pytest.raises(grpc.RpcError, match="no inference server answers") as caught:
                    stub.DetectValues(detection(), timeout=30)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
                assert not stub.ListModels(gw.ListModelsRequest(), timeout=30).models[0].available
                gateway.wait_for("NOT_SERVING")
                inference.start()
                inference.wait_for("SERVING")
                gateway.wait_for("SERVING")
                deadline = time.monotonic() + 30
                while not stub.ListModels(gw.ListModelsRequest(), timeout=30).models[0].available:
                    assert time.monotonic() < deadline
                assert stub.DetectValues(detection(), timeout=30).completions_done == 3


def test_a_gateway_that_came_up_first_answers_as_soon_as_its_model_does(tmp_path: Path) -> None:
    with processes.inference(tmp_path / "inference.log") as inference:
        inference.process.kill()
        inference.process.wait()
        # It asks in the background too seldom to notice by itself within this test.
        with processes.gateway(tmp_path / "gateway.log", inference.address, refresh_s=600) as gateway:
            gateway.wait_for("NOT_SERVING")
            inference.start()
            inference.wait_for("SERVING")
            with grpc.insecure_channel(gateway.address) as channel:
                stub = gateway_pb2_grpc.GatewayServiceStub(channel)
                assert stub.DetectValues(detection(), timeout=30).completions_done == 3


def test_a_setting_that_makes_no_sense_ends_the_server_with_its_name(tmp_path: Path) -> None:
    with processes.inference(tmp_path / "inference.log", engine="scripted", max_samples="many") as server:
        assert server.process.wait(20) == 2
        assert "AXIA_INFERENCE_MAX_SAMPLES" in server.log_text()


def test_a_model_that_does_not_exist_ends_the_server_with_what_to_set(tmp_path: Path) -> None:
    with processes.inference(tmp_path / "inference.log", model=tmp_path) as server:
        assert server.process.wait(60) == 1
        assert "AXIA_INFERENCE_MODEL" in server.log_text()
