"""What a replica is asked for all completions at once: the time that it has, and what its failures mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from axia.v1 import inference_pb2
from gateway.backends.model_client import SERVICE, GrpcBackend, Shared
from gateway.backends.routes import Route, RouteLimits
from gateway.protocols.ports.model import Question, Sample, Turn
from gateway.settings import GatewaySettings
from services.serving.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, ServiceError
from services.serving.upstream.attempts import Deaths, RetryBudget
from services.serving.upstream.replica import Channels, Replica
from tests.support.gateway_fakes import MODEL

QUESTION = Question((Turn("user", "what", "prompt_text"),), None, (Sample(1, 1.0), Sample(2, 1.0)), 1.0, 100)
COMPLETION = inference_pb2.Completion(index=1, text="a knife", finish_reason=inference_pb2.FINISH_REASON_STOP)


class FakeStub:
    """Answers with one completion of two, or fails; keeps what it was asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.within_ms = 0
        self.timeout_s = 0.0

    async def GenerateAll(  # noqa: N802 - the contract's name
        self, request: inference_pb2.GenerateAllRequest, **options: Any
    ) -> inference_pb2.GenerateAllResponse:
        self.within_ms, self.timeout_s = request.within_ms, options["timeout"]
        if self.failure:
            raise self.failure
        return inference_pb2.GenerateAllResponse(completions=[COMPLETION])


async def changed() -> None:
    """Hears of changes that no test is about."""


@asynccontextmanager
async def backend(stub: FakeStub, limit_s: float | None = None, **settings: Any) -> AsyncIterator[GrpcBackend]:
    route = Route(name="m", addresses=("127.0.0.1:1",), limits=RouteLimits(timeout_s=limit_s))
    made = GrpcBackend(route, GatewaySettings(**settings), Shared(RetryBudget(), Deaths(), changed))
    replica = Replica("127.0.0.1:1", Channels(SERVICE, ()))
    made._note(replica, replace(MODEL, name="m"))
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(replica, "stub", lambda _: stub)
    monkeypatch.setattr(made._replicas, "pick", lambda *_: replica)
    yield made
    monkeypatch.undo()
    await replica.close()
    await made.close()


@pytest.mark.parametrize(
    ("timeout_s", "limit_s", "margin_s", "within_ms", "expected_s"),
    [
        (10.0, None, 0.15, 10_000, 10.075),
        (10.0, None, 0.0, 10_000, 10.025),  # what is done needs some time all the same
        (10.0, 5.0, 0.15, 5_000, 5.075),
        (3.0, 5.0, 0.15, 3_000, 3.075),
        (0.0001, None, 0.15, 1, 0.0051),  # 0 would mean never
        (0.1, None, 0.15, 99, 0.11),
        (1e9, None, 0.15, 86_400_000, 1e9),
    ],
)
async def test_a_replica_sends_what_is_done_when_time_is_up_and_that_has_time_to_arrive(
    timeout_s: float, limit_s: float | None, margin_s: float, within_ms: int, expected_s: float
) -> None:
    stub = FakeStub()
    async with backend(stub, limit_s, deadline_margin_s=margin_s) as tested:
        generated = await tested.generate_all(QUESTION, timeout_s)
    assert stub.within_ms == within_ms
    assert stub.timeout_s == pytest.approx(expected_s, abs=0.5)
    assert [completion.index for completion in generated.completions] == [1]
    assert generated.finished is None


@pytest.mark.parametrize(
    ("asked_ms", "timeout_s", "limit_s", "within_ms", "expected_s"),
    [
        (0, 60.0, None, 0, 60.0),
        (0, 60.0, 5.0, 0, 5.075),
        (10_000, 60.0, None, 10_000, 60.0),
        (10_000, 60.0, 5.0, 5_000, 5.075),
        (10_000, 4.0, None, 3_925, 4.0),  # it would come too late
        (-1, 60.0, 5.0, -1, 5.075),  # refused by the replica
    ],
)
async def test_a_request_that_is_passed_on_keeps_its_time_within_the_bounds(
    asked_ms: int, timeout_s: float, limit_s: float | None, within_ms: int, expected_s: float
) -> None:
    stub = FakeStub()
    async with backend(stub, limit_s) as tested:
        await tested.forward_all(inference_pb2.GenerateAllRequest(within_ms=asked_ms), timeout_s)
    assert (stub.within_ms, stub.timeout_s) == (within_ms, pytest.approx(expected_s, abs=0.5))


@pytest.mark.parametrize(
    ("code", "expected", "message"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded, "did not finish in time"),
        (grpc.StatusCode.UNIMPLEMENTED, FailedPrecondition, r"at 127\.0\.0\.1:1 has an older release .* upgrade it"),
    ],
)
async def test_a_failure_says_what_to_do(code: grpc.StatusCode, expected: type[ServiceError], message: str) -> None:
    failure = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "as gRPC says it")
    async with backend(FakeStub(failure)) as tested:
        with pytest.raises(expected, match=message):
            await tested.generate_all(QUESTION, 10.0)
        assert tested._in_flight.count == 0


async def test_fields_are_named_as_the_caller_knows_them() -> None:
    failure = InvalidArgument("generation.messages[0].text", "is too long")
    async with backend(FakeStub(failure)) as tested:
        with pytest.raises(InvalidArgument, match="prompt_text: is too long"):
            await tested.generate_all(QUESTION, 10.0)
    # An endpoint refused, maybe for a sampling parameter: no text of the caller's is to blame.
    failure = InvalidArgument("generation.messages", "the endpoint can't take this", reason="CONVERSATION_REFUSED")
    async with backend(FakeStub(failure)) as tested:
        with pytest.raises(InvalidArgument, match=r"^model: the endpoint can't take this") as caught:
            await tested.generate_all(QUESTION, 10.0)
        assert [own_fault.field for own_fault in caught.value.violations] == ["model"]
    failure = InvalidArgument("generation.samples", "are too many")
    async with backend(FakeStub(failure)) as tested:
        with pytest.raises(InvalidArgument, match=r"^samples: are too many"):
            await tested.generate_all(QUESTION, 10.0)
