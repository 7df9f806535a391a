"""A gateway in front of a model that has more to do than it can: who waits, and who is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from axia.identity.keys import Quota
from axia.v1 import inference_pb2
from gateway.backends import model_client
from gateway.backends.model_client import GrpcBackend
from gateway.backends.routes import Route, RouteLimits
from gateway.protocols.watch import Frame, answer_frames
from services.serving.errors import Code, DeadlineExceeded, ServiceError
from services.serving.identity.principal import Principal, principal
from services.serving.metrics import REGISTRY
from services.serving.tracing import Span, Value
from services.serving.upstream import replicas
from tests.component.test_backends import Model, pool, until

ANSWER_S = 0.3


def request(samples: int = 1) -> inference_pb2.GenerateAllRequest:
    made = inference_pb2.GenerateAllRequest()
    for _ in range(samples):
        made.generation.samples.add()
    return made


def ask(backend: GrpcBackend, caller: str, timeout_s: float = 30.0, **quota: Any) -> asyncio.Task[Any]:
    """A call of somebody, who is told by the context of its task."""

    async def work() -> Any:
        principal.set(Principal(caller, f"key:{caller}", frozenset(), None, Quota(**quota)))
        return await backend.forward_all(request(), timeout_s)

    return asyncio.create_task(work())


async def ended(calls: dict[str, asyncio.Task[Any]]) -> list[str]:
    """Names of calls in the order in which they ended."""
    order: list[str] = []
    for name, call in calls.items():
        call.add_done_callback(lambda _, name=name: order.append(name))
    await asyncio.gather(*calls.values())
    return order


def waiting() -> float | None:
    return REGISTRY.get_sample_value("axia_gateway_model_waiting", {"model": "m"})


async def test_callers_and_priorities_take_turns_at_a_model() -> None:
    model = Model(answer_s=0.1)
    await model.start()
    async with pool(model.address, replica_completions=1) as backends:
        await backends.start()
        held = await backends.find("m")
        calls = {"first": ask(held, "flood")}
        await until(lambda: model.calls == 1)
        for number in range(4):
            calls[f"flood{number}"] = ask(held, "flood")
        await asyncio.sleep(0)
        calls["robot"] = ask(held, "robot")
        calls["alarm"] = ask(held, "alarm", priority="high")
        await until(lambda: waiting() == 6)
        assert await ended(calls) == ["first", "alarm", "flood0", "robot", "flood1", "flood2", "flood3"]
        assert waiting() == 0
        assert model.calls == 7
    await model.stop()


async def test_a_call_that_would_come_too_late_is_refused_at_once_and_the_model_not_asked() -> None:
    model = Model(answer_s=ANSWER_S)
    await model.start()
    async with pool(model.address, replica_completions=1) as backends:
        await backends.start()
        held = await backends.find("m")
        await ask(held, "a")  # measures how long a call takes
        first = ask(held, "a")
        await until(lambda: model.calls == 2)
        began = asyncio.get_running_loop().time()
        with pytest.raises(ServiceError) as refused:
            await ask(held, "b", timeout_s=1.5 * ANSWER_S)
        assert asyncio.get_running_loop().time() - began < ANSWER_S / 2
        assert (refused.value.code, refused.value.reason) == (Code.RESOURCE_EXHAUSTED, "QUEUE_TOO_LONG")
        assert 0 < (refused.value.retry_after_s or 0) < 2 * ANSWER_S
        await asyncio.gather(first, ask(held, "b", timeout_s=4 * ANSWER_S))
        assert model.calls == 3
        # While nothing waits, no call is refused for its deadline: what is done by then may be enough.
        with pytest.raises(DeadlineExceeded):
            await ask(held, "b", timeout_s=ANSWER_S / 3)
    await model.stop()


async def test_time_in_the_queue_is_taken_from_the_models_time() -> None:
    model = Model(answer_s=ANSWER_S)
    within: list[int] = []
    answer = model.GenerateAll

    async def noting(asked: Any, context: Any) -> Any:
        within.append(asked.within_ms)
        return await answer(asked, context)

    model.GenerateAll = noting  # type: ignore[method-assign]
    await model.start()
    async with pool(model.address, replica_completions=1) as backends:
        await backends.start()
        held = await backends.find("m")

        async def timed() -> None:
            asked = request()
            asked.within_ms = 2000
            await held.forward_all(asked, 2.1)

        await asyncio.gather(timed(), timed())
    await model.stop()
    assert within[0] == 2000
    assert within[1] == pytest.approx(2000 - 1000 * ANSWER_S, abs=150)


class RecordedSpan(Span):
    """A span that keeps its attributes."""

    __slots__ = ("attributes",)

    def __init__(self) -> None:
        self.attributes: dict[str, Value] = {}

    @property
    def recording(self) -> bool:
        return True

    def set(self, attributes: Mapping[str, Value]) -> None:
        self.attributes |= attributes


async def test_the_span_of_a_call_says_how_long_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[RecordedSpan] = []

    def recorded(*_: Any, **__: Any) -> RecordedSpan:
        spans.append(RecordedSpan())
        return spans[-1]

    monkeypatch.setattr(model_client, "span", recorded)
    model = Model(answer_s=ANSWER_S)
    await model.start()
    async with pool(model.address, replica_completions=1) as backends:
        await backends.start()
        held = await backends.find("m")
        await asyncio.gather(ask(held, "a"), ask(held, "a"))
    await model.stop()
    assert [span.attributes["axia.queue_s"] for span in spans] == [0.0, pytest.approx(ANSWER_S, abs=0.15)]


async def test_the_newest_frame_wins_while_a_watch_waits_for_its_turn() -> None:
    model = Model(answer_s=0.05)
    await model.start()
    async with pool(model.address, replica_completions=1) as backends:
        await backends.start()
        held = await backends.find("m")
        model.answer_s = 1.0
        blocking = ask(held, "flood")
        await until(lambda: model.calls == 1)
        model.answer_s = 0.05

        async def camera() -> AsyncIterator[Frame]:
            for number in range(1, 13):
                yield Frame(number, b"x")
                await asyncio.sleep(0.1)

        async def answer(_: Frame) -> Any:
            return await held.forward_all(request(), 30.0)

        outcomes = {outcome.frame_id: outcome async for outcome in answer_frames(camera(), answer, freshness_s=0.25)}
        await blocking
        assert outcomes[1].superseded_by is not None  # it waited, and a newer one took its place
        assert outcomes[12].result is not None
        assert sum(outcome.result is not None for outcome in outcomes.values()) >= 2
        assert waiting() == 0
        assert model.calls <= 1 + sum(outcome.result is not None for outcome in outcomes.values())
    await model.stop()


async def test_a_queue_for_a_model_that_is_lost_ends_with_it() -> None:
    model = Model(answer_s=60.0)
    await model.start()
    async with pool(model.address, replica_completions=1, model_attempts=1) as backends:
        await backends.start()
        held = await backends.find("m")
        calls = [ask(held, "a") for _ in range(3)]
        await until(lambda: model.calls == 1 and waiting() == 2)
        await model.stop()
        async with asyncio.timeout(10):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert [result.code for result in results if isinstance(result, ServiceError)] == [Code.UNAVAILABLE] * 3
        assert waiting() == 0


def route(model: Model, **limits: Any) -> Route:
    return Route(name="m", addresses=(model.address,), limits=RouteLimits(**limits))


async def test_calls_that_wait_are_let_in_where_the_routing_table_gives_replicas_more() -> None:
    model = Model(answer_s=60.0)
    await model.start()
    async with pool(model.address) as backends:
        await backends.start()
        await backends.replace([route(model, replica_completions=1)])
        held = await backends.find("m")
        calls = [ask(held, "a") for _ in range(3)]
        await until(lambda: model.calls == 1 and waiting() == 2)
        await backends.replace([route(model, replica_completions=8)])
        await until(lambda: model.calls == 3)  # long before the first ends
        assert waiting() == 0
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await model.stop()


async def test_calls_that_wait_for_a_model_that_is_taken_off_the_table_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replicas, "_RESOLVE_S", 0.05)
    model = Model()
    model.may_answer.clear()
    await model.start()
    async with pool(model.address, replica_completions=1, model_attempts=1) as backends:
        await backends.start()
        held = await backends.find("m")
        first = ask(held, "a")
        await until(lambda: model.calls == 1)
        later = [ask(held, "a") for _ in range(2)]
        await until(lambda: waiting() == 2)
        await backends.replace([Route(name="other", addresses=("127.0.0.1:1",))])
        async with asyncio.timeout(3):
            results = await asyncio.gather(*later, return_exceptions=True)
        assert not first.done()
        for result in results:
            assert isinstance(result, ServiceError)
            assert result.code is Code.UNAVAILABLE
            assert "'m' is no longer available" in result.message
        assert waiting() == 0
        model.may_answer.set()
        assert await first is not None  # what is at the model is finished
    await model.stop()
