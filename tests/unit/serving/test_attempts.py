"""When a call is tried at another replica, how often, and when not."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from services.serving.errors import ENGINE_DIED, ServiceError, Unavailable
from services.serving.status import to_status
from services.serving.upstream.attempts import Attempt, Calls, Deaths, NoReplica, RetryBudget, read_failure
from services.serving.upstream.replica import Channels, Replica, State
from services.serving.upstream.replicas import ReplicaSet
from services.serving.upstream.started import STARTED_KEY

OK = "answered"


def failed(code: grpc.StatusCode, text: str, *, headers: tuple[tuple[str, str], ...] = ()) -> grpc.aio.AioRpcError:
    """What gRPC raises by itself."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(*headers), grpc.aio.Metadata(), text)


def said(error: ServiceError) -> grpc.aio.AioRpcError:
    """What gRPC raises for an error that a server of ours sent."""
    status = to_status(error, "id")
    return grpc.aio.AioRpcError(
        status.code, grpc.aio.Metadata(), grpc.aio.Metadata(*status.trailing_metadata), status.details
    )


REFUSED = failed(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: Connection refused")
BROKEN = failed(grpc.StatusCode.UNAVAILABLE, "Socket closed")
DEAD = said(Unavailable("the engine has died", reason="ENGINE_DEAD"))
DRAINING = said(Unavailable("this server is shutting down", reason="DRAINING", retry_after_s=1.0))
STARTED = failed(grpc.StatusCode.UNAVAILABLE, "Socket closed", headers=((STARTED_KEY, "1"),))
CUT_OFF = failed(grpc.StatusCode.UNAVAILABLE, "Cancelling all calls")
AT_ENDPOINT = said(Unavailable("the endpoint failed", reason="ENDPOINT_FAILED", retry_after_s=1.0))
LATE = failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


class Fleet:
    """Replicas that answer as a test says, one list of outcomes for all of them in the order of the attempts."""

    def __init__(self, replicas: int, outcomes: Sequence[Any], **settings: Any) -> None:
        channels = Channels("axia.test.Fleet", ())
        self.set = ReplicaSet([], channels)
        for number in range(replicas):
            replica = Replica(f"127.0.0.1:{number + 1}", channels)
            replica.state = State.SERVING
            self.set._replicas[replica.address] = replica
        self.outcomes = list(outcomes)
        self.asked: list[str] = []
        self.deaths = settings.pop("deaths", None) or Deaths()
        self.calls = Calls(self.set, settings.pop("attempts", 4), settings.pop("budget", RetryBudget()), self.deaths)

    def _next(self, attempt: Attempt) -> Any:
        self.asked.append(attempt.replica.address)
        return self.outcomes.pop(0)

    async def unary(self, fingerprint: bytes = b"picture") -> Any:
        async def invoke(attempt: Attempt) -> Any:
            outcome = self._next(attempt)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return await self.calls.unary(invoke, 10.0, fingerprint=lambda: fingerprint)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.serving.upstream.attempts._FIRST_PAUSE_S", 0.001)


async def test_a_call_that_reached_no_server_is_tried_at_each_replica_and_then_again() -> None:
    fleet = Fleet(2, [REFUSED, REFUSED, REFUSED, OK])
    assert await fleet.unary() == OK
    assert set(fleet.asked[:2]) == {"127.0.0.1:1", "127.0.0.1:2"}
    assert len(fleet.asked) == 4


async def test_tries_have_a_bound() -> None:
    fleet = Fleet(2, [REFUSED] * 9, attempts=3)
    with pytest.raises(grpc.aio.AioRpcError):
        await fleet.unary()
    assert len(fleet.asked) == 3


@pytest.mark.parametrize("death", [DEAD, BROKEN])
async def test_what_was_in_an_engine_that_died_is_tried_at_one_other_replica(death: grpc.aio.AioRpcError) -> None:
    fleet = Fleet(4, [death, OK])
    assert await fleet.unary() == OK
    fleet = Fleet(4, [death, death, OK, OK])
    with pytest.raises(ServiceError) as caught:
        await fleet.unary()
    assert caught.value.reason == ENGINE_DIED
    assert "this request is not retried" in caught.value.message
    assert len(fleet.asked) == 2


async def test_what_met_a_death_before_is_not_tried_again() -> None:
    now = 0.0
    deaths = Deaths(lambda: now)
    first = Fleet(4, [DEAD, OK], deaths=deaths)
    assert await first.unary() == OK
    now = 300.0
    again = Fleet(4, [DEAD, OK], deaths=deaths)
    with pytest.raises(ServiceError, match="not retried"):
        await again.unary()
    assert len(again.asked) == 1
    other = Fleet(4, [DEAD, OK], deaths=deaths)
    assert await other.unary(b"another image") == OK
    now = 1000.0
    later = Fleet(4, [DEAD, OK], deaths=deaths)
    assert await later.unary() == OK


async def test_calls_that_are_alike_and_meet_one_death_together_are_each_tried_again() -> None:
    deaths = Deaths(lambda: 0.0)
    for _ in range(16):
        fleet = Fleet(2, [BROKEN, OK], deaths=deaths)
        for replica in fleet.set.replicas:
            replica.picked = int(replica.address.endswith("2"))  # the first dies each time
        assert await fleet.unary() == OK


@pytest.mark.parametrize("error", [STARTED, LATE])
async def test_a_call_that_has_begun_to_be_answered_or_took_too_long_is_not_repeated(
    error: grpc.aio.AioRpcError,
) -> None:
    fleet = Fleet(2, [error, OK])
    with pytest.raises(grpc.aio.AioRpcError):
        await fleet.unary()
    assert len(fleet.asked) == 1


@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_a_call_that_failed_at_its_endpoint_is_tried_at_each_other_replica_and_never_again_at_one(
    replicas: int,
) -> None:
    fleet = Fleet(replicas, [AT_ENDPOINT] * 9, attempts=5)
    with pytest.raises(grpc.aio.AioRpcError):
        await fleet.unary()
    assert len(fleet.asked) == len(set(fleet.asked)) == replicas


async def test_another_replicas_endpoint_may_answer() -> None:
    assert await Fleet(2, [AT_ENDPOINT, OK]).unary() == OK


async def test_after_a_failure_at_an_endpoint_no_other_failure_leads_back_to_it() -> None:
    fleet = Fleet(2, [AT_ENDPOINT, REFUSED, OK])
    with pytest.raises(grpc.aio.AioRpcError):
        await fleet.unary()
    assert len(set(fleet.asked)) == 2


async def test_a_server_that_shuts_down_is_left_at_once() -> None:
    fleet = Fleet(2, [DRAINING, OK])
    assert await fleet.unary() == OK


async def test_without_a_replica_the_call_fails_soon() -> None:
    fleet = Fleet(0, [])
    with pytest.raises(NoReplica):
        await fleet.unary()


async def test_a_budget_ends_retries_when_most_calls_fail() -> None:
    budget = RetryBudget(tokens=10, ratio=0.5)
    answers = []
    for number in range(20):
        fleet = Fleet(2, [DRAINING, OK], budget=budget)
        try:
            answers.append(await fleet.unary(b"%d" % number))
        except grpc.aio.AioRpcError:
            answers.append("failed")
    assert answers[:4] == [OK] * 4
    assert answers[-4:] == ["failed"] * 4
    for _ in range(40):
        budget.succeeded()
    assert await Fleet(2, [DRAINING, OK], budget=budget).unary() == OK


async def test_a_stream_is_repeated_until_its_first_response_and_never_after() -> None:
    async def stream(outcomes: Sequence[Any]) -> AsyncIterator[Any]:
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome

    class Call:
        def __init__(self, outcomes: Sequence[Any]) -> None:
            self._responses = stream(outcomes)

        def __aiter__(self) -> AsyncIterator[Any]:
            return self._responses

        def cancel(self) -> None:
            pass

    fleet = Fleet(2, [[REFUSED], ["a", "b"]])
    found = [response async for response in fleet.calls.stream(lambda attempt: Call(fleet._next(attempt)), 10.0)]
    assert found == ["a", "b"]
    fleet = Fleet(2, [["a", BROKEN], ["a", "b"]])
    responses = fleet.calls.stream(lambda attempt: Call(fleet._next(attempt)), 10.0)
    assert await anext(responses) == "a"
    with pytest.raises(grpc.aio.AioRpcError):
        await anext(responses)
    assert len(fleet.asked) == 1
    assert all(replica.in_flight == 0 for replica in fleet.set.replicas)


def test_failures_are_told_apart() -> None:
    assert read_failure(REFUSED, started=False).never_sent
    assert not read_failure(BROKEN, started=False).never_sent
    assert read_failure(BROKEN, started=False).died
    assert read_failure(DEAD, started=False).died
    assert not read_failure(DRAINING, started=False).died
    assert not read_failure(CUT_OFF, started=False).died  # a drain that ran out of time is no death
    assert read_failure(CUT_OFF, started=False).may_repeat
    assert not read_failure(LATE, started=False).died
    assert not read_failure(BROKEN, started=True).may_repeat


async def test_pictures_stay_with_a_replica_and_move_only_where_theirs_goes_or_is_much_busier() -> None:
    fleet = Fleet(3, [])
    keys = [b"%d" % number for number in range(300)]
    picked = {key: fleet.set.pick(key=key) for key in keys}
    assert {key: fleet.set.pick(key=key) for key in keys} == picked
    shares = [sum(replica is one for one in picked.values()) for replica in fleet.set.replicas]
    assert min(shares) > 60
    gone = next(iter(fleet.set.replicas))
    gone.state = State.GONE
    moved = {key: fleet.set.pick(key=key) for key in keys}
    assert all(moved[key] is picked[key] for key in keys if picked[key] is not gone)
    gone.state, gone.in_flight = State.SERVING, 50
    assert all(fleet.set.pick(key=key) is not gone for key in keys)


async def test_a_call_goes_to_the_least_busy_replica_and_in_turn_where_all_are_alike() -> None:
    fleet = Fleet(3, [])
    first, second, third = fleet.set.replicas
    assert [fleet.set.pick() for _ in range(6)] == [first, second, third] * 2
    first.in_flight, second.in_flight, third.in_flight = 2, 1, 2
    assert fleet.set.pick() is second
    second.state = State.SLOW
    assert fleet.set.pick() is not second
    first.state = third.state = State.GONE
    assert fleet.set.pick() is second  # it may be busy for a moment, and there is no other
    second.state = State.NOT_READY
    assert fleet.set.pick() is None
    first.state = State.SILENT
    assert fleet.set.pick() is first  # the last choice: it may continue within the caller's time
