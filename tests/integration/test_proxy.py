"""Services that the gateway passes on, when they are busy, hang or die."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2, retrieval_pb2, retrieval_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from tests.support import fake_retrieval, processes
from tests.support.pictures import photograph

SERVING = health_pb2.HealthCheckResponse.SERVING
TIMEOUT = 60


def wait_until_serving(channel: grpc.Channel, service: str) -> None:
    deadline = time.monotonic() + 30
    request = health_pb2.HealthCheckRequest(service=service)
    while health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status != SERVING:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def slow() -> retrieval_pb2.SearchByTextRequest:
    return retrieval_pb2.SearchByTextRequest(query="slow")


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[tuple[fake_retrieval.FakeRetrieval, processes.Server, grpc.Channel]]:
    with (
        fake_retrieval.retrieval([photograph()]) as fake,
        processes.gateway(
            tmp_path / "gateway.log", "127.0.0.1:1", retrieval=fake.address, max_passed_calls=1
        ) as gateway,
        grpc.insecure_channel(gateway.address) as channel,
    ):
        gateway.wait_for("NOT_SERVING")  # it has no model
        wait_until_serving(channel, fake_retrieval.SERVICE)
        yield fake, gateway, channel


def wait_for_in_flight(gateway: processes.Server, count: int, service: str = "retrieval") -> None:
    deadline = time.monotonic() + 30
    while gateway.metrics().get(f'axia_gateway_passed_in_flight{{service="{service}"}}') != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_calls_beyond_the_bound_are_refused_and_a_cancelled_one_frees_its_place(
    passed: tuple[fake_retrieval.FakeRetrieval, processes.Server, grpc.Channel],
) -> None:
    fake, gateway, channel = passed
    stub = retrieval_pb2_grpc.RetrievalServiceStub(channel)
    call = stub.SearchByText.future(slow(), timeout=TIMEOUT)
    wait_for_in_flight(gateway, 1)
    with pytest.raises(grpc.RpcError, match="already in flight") as caught:
        stub.ListValues(retrieval_pb2.ListValuesRequest(), timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    call.cancel()
    assert fake.cancelled.wait(30)
    wait_for_in_flight(gateway, 0)
    assert len(stub.ListValues(retrieval_pb2.ListValuesRequest(), timeout=TIMEOUT).values) == 10


def test_a_service_that_dies_during_a_call_is_said_to_be_away(tmp_path: Path) -> None:
    with (
        processes.scoring(tmp_path / "scoring.log") as scoring,
        processes.gateway(tmp_path / "gateway.log", "127.0.0.1:1", scoring=scoring.address) as gateway,
        grpc.insecure_channel(gateway.address) as channel,
    ):
        scoring.wait_for("SERVING", timeout=60)
        gateway.wait_for("NOT_SERVING", timeout=60)  # it has no model
        wait_until_serving(channel, scoring.service)
        scoring.signal_group(signal.SIGSTOP)
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        call = stub.ScoreIsq.future(scoring_pb2.ScoreIsqRequest(), timeout=TIMEOUT)
        wait_for_in_flight(gateway, 1, "scoring")
        scoring.signal_group(signal.SIGKILL)
        error = call.exception(timeout=TIMEOUT)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "AXIA_GATEWAY_SCORING" in error.details()


def test_a_method_that_is_not_in_the_contract_is_unknown(
    passed: tuple[fake_retrieval.FakeRetrieval, processes.Server, grpc.Channel],
) -> None:
    _, _, channel = passed
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{fake_retrieval.SERVICE}/Nothing")(b"", timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_scoring_service_that_hangs_costs_the_first_detection_time_and_no_other(tmp_path: Path) -> None:
    with (
        processes.inference(tmp_path / "inference.log") as inference,
        processes.scoring(tmp_path / "scoring.log") as scoring,
        processes.gateway(
            tmp_path / "gateway.log", inference.address, scoring=scoring.address, scoring_timeout_s=3
        ) as gateway,
        grpc.insecure_channel(gateway.address) as channel,
    ):
        for server in (inference, scoring, gateway):
            server.wait_for("SERVING", timeout=60)
        wait_until_serving(channel, scoring.service)
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        request = gw.DetectValuesRequest(image=image_pb2.Image(data=photograph()))
        # Without a reader model words alone are compared, and values can't be attributed.
        assert {"grouping", "values"} <= set(stub.DetectValues(request, timeout=TIMEOUT).missing)
        scoring.signal_group(signal.SIGSTOP)
        try:
            assert stub.DetectValues(request, timeout=TIMEOUT).degraded
            calls = gateway.metrics()
            for _ in range(5):
                assert stub.DetectValues(request, timeout=TIMEOUT).degraded
            name = 'axia_gateway_scoring_calls_total{method="ReadCompletions",outcome="failed"}'
            assert gateway.metrics()[name] == calls[name]
        finally:
            scoring.signal_group(signal.SIGCONT)
        wait_until_serving(channel, scoring.service)
