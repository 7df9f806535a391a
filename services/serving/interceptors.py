"""What happens around every call: request id, trace, metrics, errors, who may call, refusal while full, the end of
streams in a drain.

One interceptor does all of it, so that a call pays for one wrapper instead of five. It covers unary and streaming
responses, and wraps each method once, not once a call.

While a server drains, a call that waits for its caller's next request ends: its requests end there, its handler
finishes what it has, and then the call ends with UNAVAILABLE. Streams of the health service end at once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc

from services.serving.call_ends import code_name, end_span
from services.serving.deadlines import Taken
from services.serving.errors import Internal, ResourceExhausted, ServiceError
from services.serving.health import METHOD_PREFIX as HEALTH_PREFIX
from services.serving.identity.guard import Guard
from services.serving.identity.quotas import Usage
from services.serving.in_flight import InFlight
from services.serving.logs import REQUEST_ID_KEY, accept_request_id, log_access, request_id
from services.serving.metrics import RPC_IN_FLIGHT, RPC_REJECTED, RPC_REQUESTS, RPC_SECONDS
from services.serving.request_streams import (
    RequestsUntilDrain,
    noted,
    or_unreadable,
    readable,
    take_rest,
    unless_drained,
)
from services.serving.retention import RETENTION_KEY, retention_of
from services.serving.status import end_call, to_status
from services.serving.tracing import Span, incoming_span, span

logger = logging.getLogger(__name__)

if TYPE_CHECKING:  # generic in its type stubs alone
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of a server.

    Args:
        max_in_flight: Calls in flight beyond which a new one is refused. gRPC's own bound would refuse the health
            service too, so that a busy server would look dead, and would not say when to try again.
        guard: Decides who may call what; None lets everybody in.
        slow_reader_s: Seconds for a caller to take a message of a stream, as `services.serving.deadlines.Taken` counts
            them.
    """

    def __init__(
        self, max_in_flight: int = sys.maxsize, guard: Guard | None = None, slow_reader_s: float = 20.0
    ) -> None:
        self.guard = guard
        self.slow_reader_s = slow_reader_s
        self._wrapped: dict[str, Handler | None] = {}
        self._calls = InFlight(max_in_flight)
        self._idle = asyncio.Event()
        self._idle.set()
        self._drain_begun: asyncio.Future[None] | None = None

    @property
    def in_flight(self) -> int:
        """Calls that are being answered, those of the health service not counted."""
        return self._calls.count

    @property
    def drain_begun(self) -> asyncio.Future[None]:
        """Done once the server drains."""
        if self._drain_begun is None:  # inside the event loop
            self._drain_begun = asyncio.get_running_loop().create_future()
        return self._drain_begun

    async def drain(self, timeout_s: float) -> bool:
        """Ends calls that wait for requests, and waits for those in flight. gRPC itself takes no new ones meanwhile, so
        whatever comes in was sent before the server said that it goes, and is answered.

        Returns:
            Whether all of them ended within `timeout_s` seconds.
        """
        if not self.drain_begun.done():
            self.drain_begun.set_result(None)
        if not self._calls.count:
            return True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Gives gRPC the wrapped handler of a method, wrapping it at its first call."""
        method = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # an unknown method; not remembered, or callers could fill the memory with names
            of_health = method.startswith(HEALTH_PREFIX)
            self._wrapped[method] = self._wrap_health(handler) if of_health else self._wrap(method, handler)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: Handler) -> Handler:
        call = _Call(self, method)
        arguments = (or_unreadable(handler.request_deserializer), handler.response_serializer)
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(call.many_to_many(handler.stream_stream), *arguments)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(call.many_to_one(handler.stream_unary), *arguments)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(call.stream(handler.unary_stream), *arguments)
        return grpc.unary_unary_rpc_method_handler(call.unary(handler.unary_unary), *arguments)

    def _wrap_health(self, handler: Handler) -> Handler:
        """Health is answered while draining too, but calls that watch it end."""
        if not handler.response_streaming:
            return handler

        behaviour: Any = handler.unary_stream  # a coroutine function that writes to the context

        async def watch(request: Any, context: Context) -> None:
            watching: asyncio.Task[None] = asyncio.create_task(behaviour(request, context))
            try:
                await asyncio.wait({watching, self.drain_begun}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                watching.cancel()
                await asyncio.wait({watching})
            if not watching.cancelled():
                watching.result()

        return grpc.unary_stream_rpc_method_handler(watch, handler.request_deserializer, handler.response_serializer)

    def _enter(self) -> None:
        if self._calls.full:
            raise ResourceExhausted(
                f"this server handles at most {self._calls.most:,} calls at a time; try again shortly, or another "
                "replica",
                reason="TOO_MANY_CALLS",
                retry_after_s=1.0,
            )
        self._calls.begin()
        self._idle.clear()

    def _leave(self) -> None:
        self._calls.end()
        if not self._calls.count:
            self._idle.set()


class _Call:
    """The wrapper around one method, with its metrics looked up once."""

    def __init__(self, interceptor: CallInterceptor, method: str) -> None:
        self._interceptor = interceptor
        self._guard = interceptor.guard
        self._path = method
        self._method = method.removeprefix("/")
        kept = retention_of(method)
        self._retention = ((RETENTION_KEY, str(kept)),) if kept else ()
        self._seconds = RPC_SECONDS.labels(self._method)
        self._in_flight = RPC_IN_FLIGHT.labels(self._method)
        self._ok = RPC_REQUESTS.labels(self._method, "OK")
        self._attributes = {"rpc.system.name": "grpc", "rpc.method": self._method}

    def unary(self, behaviour: Any) -> Callable[[Any, Context], Awaitable[Any]]:
        async def answer(request: Any, context: Context) -> Any:
            (started, traced), given = self._begin(context), request
            entered = False
            usage: Usage | None = None
            failure: BaseException | None = None
            try:
                self._interceptor._enter()
                entered = True
                if self._guard is not None:
                    with span("admission"):
                        usage = await self._guard.admit(self._path, context)
                request = readable(request)
                if self._guard is not None:
                    request = await self._charged(self._guard, usage, request, context)
                return await behaviour(request, context)
            except BaseException as error:
                failure = error
                await self._fail(error, context, given)
                raise
            finally:
                if usage is not None:
                    usage.end(self._path)
                self._end(started, traced, entered, failure, context)
                del request, given, failure, context  # see `_fail`

        return answer

    def stream(self, behaviour: Any) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            (started, traced), given = self._begin(context), request
            entered = False
            usage: Usage | None = None
            failure: BaseException | None = None
            taken: Taken | None = None
            try:
                self._interceptor._enter()
                entered = True
                if self._guard is not None:
                    with span("admission"):
                        usage = await self._guard.admit(self._path, context)
                request = readable(request)
                if self._guard is not None:
                    request = await self._charged(self._guard, usage, request, context)
                async with aclosing(behaviour(request, context)) as responses:
                    async for response in responses:
                        taken = Taken(response, self._interceptor.slow_reader_s, self._note_slow)
                        yield response
                        taken.done()
            except BaseException as error:
                failure = error
                await self._fail(error, context, given)
                raise
            finally:
                if taken is not None:
                    taken.done()
                if usage is not None:
                    usage.end(self._path)
                self._end(started, traced, entered, failure, context)
                del request, given, failure, context  # see `_fail`

        return answer

    def many_to_one(self, behaviour: Any) -> Callable[[Any, Context], Awaitable[Any]]:
        """As `unary`, for many requests."""

        async def answer(requests: AsyncIterator[Any], context: Context) -> Any:
            with RequestsUntilDrain(requests, self._interceptor.drain_begun) as taken:
                return await behaviour(taken, context)

        return self.unary(answer)

    def many_to_many(self, behaviour: Any) -> Callable[[Any, Context], AsyncIterator[Any]]:
        """As `stream`, for many requests."""

        async def answer(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            with RequestsUntilDrain(requests, self._interceptor.drain_begun) as taken:
                async with aclosing(behaviour(taken, context)) as responses:
                    async for response in responses:
                        yield response

        return self.stream(answer)

    def _note_slow(self) -> None:
        RPC_REJECTED.labels(self._method, "READER_TOO_SLOW").inc()
        logger.info("%s is ended: its caller does not take what it is sent", self._method)

    async def _charged(self, guard: Guard, usage: Usage | None, request: Any, context: Context) -> Any:
        """The request, or the requests, of a call that is let in, written down and counted."""
        if isinstance(request, AsyncIterator):
            if guard.audits():
                request = noted(guard, self._path, request, context)
            if usage is None:
                return request
            # It may wait for the first one.
            return await unless_drained(usage.charge(self._path, request), self._interceptor.drain_begun)
        try:
            charged = request if usage is None else await usage.charge(self._path, request)
        except ServiceError as error:
            guard.note(self._path, context, request, error)
            raise
        guard.note(self._path, context, request)
        return charged

    def _begin(self, context: Context) -> tuple[float, Span]:
        metadata = context.invocation_metadata() or ()
        given = next((value for key, value in metadata if key == REQUEST_ID_KEY), "")
        accept_request_id(given)
        if self._retention:
            context.set_trailing_metadata(self._retention)
        self._in_flight.inc()
        traced = incoming_span(self._method, metadata, self._attributes)
        if traced.recording:
            traced.set({"axia.request_id": request_id.get()})
        return time.perf_counter(), traced

    async def _fail(self, error: BaseException, context: Context, request: Any) -> None:
        """Ends a call with the status of an error. Returns only where the error itself must continue."""
        if isinstance(error, (grpc.aio.AbortError, asyncio.CancelledError, GeneratorExit)):
            return  # already a status, or the caller is gone
        if not isinstance(error, ServiceError):
            # Whatever it is, its text may hold paths, prompts or secrets: it goes to the log and not to the caller.
            logger.exception("%s failed unexpectedly", self._method)
            error = Internal(
                "the server failed; its log has the details under this request id", reason="UNEXPECTED_FAILURE"
            )
        RPC_REJECTED.labels(self._method, error.reason).inc()
        if isinstance(request, AsyncIterator):
            await take_rest(request)
        status = to_status(error, request_id.get())
        # gRPC keeps the exception that ends a call in the call's context, and the frames of its traceback may hold this
        # context: a ring that only the collector finds, which doesn't know how large an image is. So they let go of it.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        status = status._replace(trailing_metadata=(*status.trailing_metadata, *self._retention))
        ending = end_call(context, status)
        del context, error, request
        await ending

    def _end(
        self, started: float, traced: Span, entered: bool, failure: BaseException | None, context: Context
    ) -> None:
        if entered:
            self._interceptor._leave()
        self._in_flight.dec()
        elapsed = time.perf_counter() - started
        self._seconds.observe(elapsed)
        if failure is None:
            self._ok.inc()
            log_access(self._method, "OK", elapsed)
            end_span(traced, "OK")
            return
        code = code_name(failure, context)
        RPC_REQUESTS.labels(self._method, code).inc()
        told = failure if isinstance(failure, ServiceError) else None
        log_access(self._method, code, elapsed, told)
        end_span(traced, code, told.reason if told is not None else code)
