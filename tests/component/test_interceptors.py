"""What happens around a call on a real server: ids, metrics, bounds, cancellation and draining."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.serving.errors import Code, NotFound, Unavailable
from services.serving.interceptors import CallInterceptor
from services.serving.logs import request_id
from services.serving.status import from_rpc_error
from tests.support import wire

Context = Any  # grpc.aio.ServicerContext is generic in its type stubs alone


async def echo(request: str, context: Context) -> str:
    return request


async def echo_twice(request: str, context: Context) -> AsyncIterator[str]:
    yield request
    yield request


async def whose(request: str, context: Context) -> str:
    return request_id.get()


async def whose_stream(request: str, context: Context) -> AsyncIterator[str]:
    yield request_id.get()
    await asyncio.sleep(0)
    yield request_id.get()


async def not_found(request: str, context: Context) -> str:
    raise NotFound("model", "there is none", reason="MODEL_UNKNOWN")


async def not_found_later(request: str, context: Context) -> AsyncIterator[str]:
    yield "first"
    raise NotFound("model", "there is none", reason="MODEL_UNKNOWN")


class Waiting:
    """Methods that wait to be released, and note how they ended."""

    def __init__(self) -> None:
        self.running = 0
        self.release = asyncio.Event()
        self.endings: list[str] = []

    async def unary(self, request: str, context: Context) -> str:
        self.running += 1
        try:
            await self.release.wait()
        except BaseException as error:
            self.endings.append(type(error).__name__)
            raise
        self.endings.append("done")
        return request

    async def stream(self, request: str, context: Context) -> AsyncIterator[str]:
        self.running += 1
        try:
            yield request
            await self.release.wait()
            yield request
        except BaseException as error:
            self.endings.append(type(error).__name__)
            raise
        self.endings.append("done")

    async def flood(self, request: str, context: Context) -> AsyncIterator[str]:
        self.running += 1
        try:
            while True:
                yield "x" * 2**16
        except BaseException as error:
            self.endings.append(type(error).__name__)
            raise


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


async def health_of(server: wire.Wire, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(server.channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    status: int = response.status
    return status


# All arities.


async def test_every_arity_passes_requests_and_responses_through() -> None:
    async def join(requests: AsyncIterator[str], context: Context) -> str:
        return "".join([request async for request in requests])

    async def shout(requests: AsyncIterator[str], context: Context) -> AsyncIterator[str]:
        async for request in requests:
            yield request.upper()

    async with wire.serve({"Echo": echo}, {"Twice": echo_twice}, {"Join": join}, {"Shout": shout}) as server:
        assert await server.unary("Echo", "a") == "a"
        assert [response async for response in server.stream("Twice", "b")] == ["b", "b"]
        assert await server.stream_unary("Join", ["a", "b", "c"]) == "abc"
        assert [response async for response in server.stream_stream("Shout", ["a", "b"])] == ["A", "B"]
        await server.until_idle()
        for method in ("Echo", "Twice", "Join", "Shout"):
            assert server.counted(method, "OK") == 1


async def test_an_unknown_method_is_unimplemented_and_leaves_no_trace() -> None:
    async with wire.serve({"Echo": echo}) as server:
        for number in range(3):
            error = await wire.failure(server.unary(f"Nothing{number}"))
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            assert server.counted(f"Nothing{number}", "UNIMPLEMENTED") == 0
        assert server.interceptor.in_flight == 0


# Request ids.


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "x" * 128, "with space/and:more"])
async def test_a_request_id_travels_to_the_code_that_answers(given: str) -> None:
    async with wire.serve({"Whose": whose}, {"WhoseStream": whose_stream}) as server:
        metadata = (("x-request-id", given),)
        assert await server.unary("Whose", metadata=metadata) == given
        assert [each async for each in server.stream("WhoseStream", metadata=metadata)] == [given, given]


async def test_a_call_without_a_request_id_gets_one_of_its_own() -> None:
    async with wire.serve({"Whose": whose}) as server:
        ids = {await server.unary("Whose") for _ in range(3)}
    assert len(ids) == 3
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)


@pytest.mark.parametrize("given", ["", "x" * 129])
async def test_an_unusable_request_id_is_replaced(given: str) -> None:
    async with wire.serve({"Whose": whose}) as server:
        seen = await server.unary("Whose", metadata=(("x-request-id", given),))
    assert len(seen) == 32


async def test_calls_at_the_same_time_keep_their_own_ids() -> None:
    async def slow_whose(request: str, context: Context) -> str:
        await asyncio.sleep(0.01)
        return request_id.get()

    async with wire.serve({"Whose": slow_whose}) as server:
        ids = [f"id-{number}" for number in range(20)]
        assert await asyncio.gather(*(server.unary("Whose", metadata=(("x-request-id", each),)) for each in ids)) == ids


# Metrics.


async def test_calls_are_counted_by_their_code_and_errors_by_their_reason() -> None:
    async with wire.serve({"Echo": echo, "NotFound": not_found}, {"Later": not_found_later}) as server:
        for _ in range(3):
            await server.unary("Echo")
        await wire.failure(server.unary("NotFound"))
        await wire.failure(server.stream("Later"))
        await server.until_idle()
        assert server.counted("Echo", "OK") == 3
        for method in ("NotFound", "Later"):
            assert server.counted(method, "NOT_FOUND") == 1
            assert server.rejected(method, "MODEL_UNKNOWN") == 1
            assert server.counted(method, "OK") == 0
        assert server.metric("seconds_count", "Echo") == 3
        assert server.metric("seconds_count", "NotFound") == 1


async def test_an_unexpected_failure_is_counted_as_internal() -> None:
    async def crash(request: str, context: Context) -> str:
        raise ZeroDivisionError

    async with wire.serve({"Crash": crash}) as server:
        await wire.failure(server.unary("Crash"))
        await server.until_idle()
        assert server.counted("Crash", "INTERNAL") == 1
        assert server.rejected("Crash", "UNEXPECTED_FAILURE") == 1


async def test_a_call_whose_deadline_passes_is_cancelled_and_counted_as_such(waiting: Waiting) -> None:
    async with wire.serve({"Wait": waiting.unary}) as server:
        error = await wire.failure(server.unary("Wait", timeout=0.1))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await wire.eventually(lambda: waiting.endings == ["CancelledError"])
        await server.until_idle()
        assert server.counted("Wait", "DEADLINE_EXCEEDED") + server.counted("Wait", "CANCELLED") == 1


async def test_a_deadline_is_told_from_a_callers_change_of_mind() -> None:
    """Calls the server's side by hand: over a connection the client's own end of the call may come first."""

    class LateContext:
        def invocation_metadata(self) -> tuple[()]:
            return ()

        def time_remaining(self) -> float:
            return 0

    async def cancelled(request: str, context: Context) -> str:
        raise asyncio.CancelledError

    async with wire.serve() as server:
        wrapped = server.interceptor._wrap(
            f"/{server.service}/Late", wire.handler(cancelled, request_streaming=False, response_streaming=False)
        )
        with pytest.raises(asyncio.CancelledError):
            await wrapped.unary_unary("", LateContext())
        assert server.counted("Late", "DEADLINE_EXCEEDED") == 1


async def test_calls_are_in_flight_from_their_beginning_to_their_end(waiting: Waiting) -> None:
    async with wire.serve({"Wait": waiting.unary}, {"Stream": waiting.stream}) as server:
        calls = [server.unary("Wait", "a"), server.unary("Wait", "b")]
        stream = server.stream("Stream", "c")
        await wire.eventually(lambda: waiting.running == 3)
        assert await stream.read() == "c"
        assert server.interceptor.in_flight == 3
        assert server.metric("in_flight", "Wait") == 2
        assert server.metric("in_flight", "Stream") == 1
        waiting.release.set()
        assert await asyncio.gather(*calls) == ["a", "b"]
        assert await stream.read() == "c"
        assert await stream.read() is grpc.aio.EOF
        await server.until_idle()
        assert server.metric("in_flight", "Wait") == server.metric("in_flight", "Stream") == 0


async def test_nothing_is_in_flight_after_errors() -> None:
    async with wire.serve({"NotFound": not_found}, {"Later": not_found_later}) as server:
        await wire.failure(server.unary("NotFound"))
        await wire.failure(server.stream("Later"))
        await server.until_idle()
        assert server.metric("in_flight", "NotFound") == server.metric("in_flight", "Later") == 0


# Cancellation.


@pytest.mark.parametrize("method", ["Wait", "Stream"])
async def test_a_callers_cancellation_reaches_the_code_that_answers(method: str, waiting: Waiting) -> None:
    async with wire.serve({"Wait": waiting.unary}, {"Stream": waiting.stream}) as server:
        call = server.unary("Wait") if method == "Wait" else server.stream("Stream")
        await wire.eventually(lambda: waiting.running == 1)
        call.cancel()
        await wire.eventually(lambda: waiting.endings == ["CancelledError"])
        await server.until_idle()
        assert server.metric("in_flight", method) == 0
        assert server.counted(method, "CANCELLED") == 1


async def test_a_cancelled_generator_is_closed_while_a_response_waits_to_be_sent(waiting: Waiting) -> None:
    async with wire.serve(stream={"Flood": waiting.flood}) as server:
        call = server.stream("Flood")
        await call.read()  # nobody reads on, so the connection's window fills up
        await asyncio.sleep(0.05)
        call.cancel()
        await wire.eventually(lambda: bool(waiting.endings))
        assert waiting.endings[0] in {"GeneratorExit", "CancelledError"}
        await server.until_idle()
        assert server.metric("in_flight", "Flood") == 0
        assert server.counted("Flood", "CANCELLED") == 1


async def test_an_error_raised_while_being_cancelled_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def clumsy(request: str, context: Context) -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append("clumsy")
            raise Unavailable("the engine is gone", reason="ENGINE_GONE") from None
        return ""

    async with wire.serve({"Clumsy": clumsy, "Echo": echo}) as server:
        call = server.unary("Clumsy")
        await wire.eventually(lambda: server.interceptor.in_flight == 1)
        call.cancel()
        await wire.eventually(lambda: bool(ended))
        await server.until_idle()
        assert server.metric("in_flight", "Clumsy") == 0
        assert await server.unary("Echo", "still here") == "still here"
    assert not wire.errors(caplog)


# The bound on calls.


async def test_a_call_over_the_bound_is_refused_at_once_with_a_pause_and_health_is_not(waiting: Waiting) -> None:
    async with wire.serve({"Wait": waiting.unary, "Echo": echo}, interceptor=CallInterceptor(2)) as server:
        calls = [server.unary("Wait"), server.unary("Wait")]
        await wire.eventually(lambda: waiting.running == 2)
        refused = from_rpc_error(await wire.failure(server.unary("Echo")))
        assert (refused.code, refused.reason, refused.retry_after_s) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", 1)
        assert server.rejected("Echo", "TOO_MANY_CALLS") == 1
        assert server.interceptor.in_flight == 2
        assert await health_of(server) == health_pb2.HealthCheckResponse.SERVING
        waiting.release.set()
        await asyncio.gather(*calls)
        await server.until_idle()
        assert await server.unary("Echo", "a") == "a"


# Draining.


async def test_draining_lets_calls_in_flight_finish(waiting: Waiting) -> None:
    async with wire.serve({"Wait": waiting.unary}, {"Stream": waiting.stream}) as server:
        call, stream = server.unary("Wait", "a"), server.stream("Stream", "b")
        assert await stream.read() == "b"
        await wire.eventually(lambda: waiting.running == 2)
        drained = asyncio.create_task(server.interceptor.drain(10))
        await asyncio.sleep(0.02)
        assert not drained.done()
        waiting.release.set()
        assert await call == "a"
        assert await stream.read() == "b"
        assert await stream.read() is grpc.aio.EOF
        assert await drained is True
    assert waiting.endings == ["done", "done"]


async def test_draining_ends_a_call_that_waits_for_its_next_request_after_what_it_has_was_answered() -> None:
    asked: asyncio.Queue[str | None] = asyncio.Queue()
    done = asyncio.Event()

    async def requests() -> AsyncIterator[str]:
        while (request := await asked.get()) is not None:
            yield request

    async def later(requests: AsyncIterator[str], context: Context) -> AsyncIterator[str]:
        async for request in requests:
            yield request
        await done.wait()  # as a camera's last frame that is still being answered
        yield "last"

    async with wire.serve(stream_stream={"Later": later}) as server:
        method = server.channel.stream_stream(f"/{server.service}/Later", wire.encode, bytes.decode)
        call = method(requests())
        asked.put_nowait("a")
        assert await call.read() == "a"
        drained = asyncio.create_task(server.interceptor.drain(10))
        await asyncio.sleep(0.2)
        assert not drained.done()
        done.set()
        assert await call.read() == "last"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        error = from_rpc_error(caught.value)
        assert (error.code, error.reason, error.retry_after_s) == (Code.UNAVAILABLE, "DRAINING", 1)
        assert await drained is True
        asked.put_nowait(None)


async def test_draining_leaves_a_call_alone_whose_requests_have_ended(waiting: Waiting) -> None:
    async def after_all(requests: AsyncIterator[str], context: Context) -> AsyncIterator[str]:
        texts = [request async for request in requests]
        async for text in waiting.stream("".join(texts), context):
            yield text

    async with wire.serve(stream_stream={"AfterAll": after_all}) as server:
        call = server.stream_stream("AfterAll", ["a", "b"])
        assert await call.read() == "ab"
        drained = asyncio.create_task(server.interceptor.drain(10))
        await asyncio.sleep(0.2)
        waiting.release.set()
        assert await call.read() == "ab"
        assert await call.read() is grpc.aio.EOF
        assert await drained is True


async def test_a_drain_ends_a_call_of_many_requests_and_one_answer() -> None:
    async def join(requests: AsyncIterator[str], context: Context) -> str:
        return "".join([request async for request in requests])

    async def requests() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async with wire.serve(stream_unary={"Join": join}) as server:
        call = server.channel.stream_unary(f"/{server.service}/Join", wire.encode, bytes.decode)(requests())
        await wire.eventually(lambda: server.interceptor.in_flight == 1)
        assert await server.interceptor.drain(5) is True
        assert from_rpc_error(await wire.failure(call)).reason == "DRAINING"


async def test_health_is_answered_while_draining(waiting: Waiting) -> None:
    async with wire.serve({"Wait": waiting.unary}) as server:
        call = server.unary("Wait")
        await wire.eventually(lambda: waiting.running == 1)
        drained = asyncio.create_task(server.interceptor.drain(10))
        await server.health.set_serving(False)
        for service in ("", server.service):
            assert await health_of(server, service) == health_pb2.HealthCheckResponse.NOT_SERVING
        waiting.release.set()
        await call
        assert await drained is True


async def test_somebody_watching_health_is_let_go_by_the_drain() -> None:
    async with wire.serve({"Echo": echo}) as server:
        watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        await server.health.set_serving(False)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await server.interceptor.drain(5) is True
        assert await watch.read() is grpc.aio.EOF


async def test_a_drain_that_takes_too_long_says_so(waiting: Waiting) -> None:
    async with wire.serve({"Wait": waiting.unary}) as server:
        call = server.unary("Wait")
        await wire.eventually(lambda: waiting.running == 1)
        assert await server.interceptor.drain(0.02) is False
        assert server.interceptor.in_flight == 1
        call.cancel()


@pytest.mark.parametrize("timeout_s", [0, 5])
async def test_a_drain_with_nothing_in_flight_is_over_at_once(timeout_s: float) -> None:
    async with wire.serve({"Echo": echo}) as server:
        await server.unary("Echo")
        await server.until_idle()
        assert await server.interceptor.drain(timeout_s) is True


async def test_bytes_that_are_no_message_are_refused_by_our_error_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def unary(request: str, context: object) -> str:
        return request

    async def stream(request: str, context: object) -> AsyncIterator[str]:
        yield request

    async def gather(requests: AsyncIterator[str], context: object) -> str:
        return "".join([request async for request in requests])

    async def echo(requests: AsyncIterator[str], context: object) -> AsyncIterator[str]:
        async for request in requests:
            yield request

    async with wire.serve({"Unary": unary}, {"Stream": stream}, {"Gather": gather}, {"Echo": echo}) as served:
        garbage = b"\xff\xfe"  # no UTF-8, as the methods of this test take it
        channel, path = served.channel, f"/{served.service}/"
        calls = {
            "Unary": lambda: channel.unary_unary(f"{path}Unary")(garbage),
            "Stream": lambda: channel.unary_stream(f"{path}Stream")(garbage),
            "Gather": lambda: channel.stream_unary(f"{path}Gather")(iter([b"good", garbage])),
            "Echo": lambda: channel.stream_stream(f"{path}Echo")(iter([b"good", garbage])),
        }
        for name, call in calls.items():
            error = await wire.failure(call())
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, name
            assert "not a message of this call's type" in str(error.details())
            assert served.rejected(name, "REQUEST_UNREADABLE") == 1
        assert await served.unary("Unary", "still there") == "still there"
    assert not wire.errors(caplog)


async def test_a_caller_that_is_still_sending_is_told_why_its_call_ended() -> None:
    async def refuse(requests: AsyncIterator[str], context: object) -> AsyncIterator[str]:
        async for _ in requests:
            raise NotFound("name", "no such thing", reason="UNKNOWN_THING")
            yield ""

    async with wire.serve(stream_stream={"Refuse": refuse}) as served:
        for _ in range(50):
            error = await wire.failure(served.stream_stream("Refuse", ["a" * 1000] * 3))
            assert error.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_a_refused_call_holds_is_let_go_without_the_collector(streamed: bool) -> None:
    """Or the images of refused calls would pile up until it runs: it knows objects, and not how large they are."""
    held: list[weakref.ref[Any]] = []

    class Image:
        """Stands for what a handler holds of a request."""

    def refuse() -> None:
        image = Image()
        held.append(weakref.ref(image))
        raise NotFound("model", "there is none", reason="MODEL_UNKNOWN")

    async def unary(request: str, context: Context) -> str:
        refuse()
        return request

    async def stream(request: str, context: Context) -> AsyncIterator[str]:
        yield request
        refuse()

    async with wire.serve(unary={"One": unary}, stream={"Many": stream}) as server:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                error = await wire.failure(server.stream("Many", "x") if streamed else server.unary("One", "x"))
                assert error.code() is grpc.StatusCode.NOT_FOUND
            await wire.eventually(lambda: server.interceptor.in_flight == 0)
            await asyncio.sleep(0.05)
            assert [image() for image in held] == [None] * 3
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            assert not [found for found in gc.garbage if isinstance(found, grpc.aio.AbortError)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
