"""The requests of a call: unreadable ones are refused, and those of a call that has many end when the server drains and
are written into the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from services.serving.errors import InvalidArgument, ServiceError, Unavailable
from services.serving.identity.guard import Guard

if TYPE_CHECKING:  # generic in its type stubs alone
    Context = grpc.aio.ServicerContext[Any, Any]

ResultT = TypeVar("ResultT")

_LAST_REQUEST_S = 0.1
"""How long a call that waits for a request is let wait once the drain has begun: what was sent may be under way."""
_LAST_REQUESTS_S = 0.1
"""How long a call that fails takes in further requests."""
_ENDED = object()


class RequestsUntilDrain:
    """Requests of a call until they end, or until the server drains and none is there.

    Args:
        requests: As gRPC gives them.
        drain_begun: Done once the server drains.

    Raises:
        Unavailable: When the context ends, if the requests were ended by the drain: the caller has more to send.
    """

    def __init__(self, requests: AsyncIterator[Any], drain_begun: asyncio.Future[None]) -> None:
        self._requests = requests
        self._drain_begun = drain_begun
        self._cut = False

    def __enter__(self) -> RequestsUntilDrain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cut and (error is None or isinstance(error, ServiceError)):
            raise _draining() from error

    def __aiter__(self) -> RequestsUntilDrain:
        return self

    async def __anext__(self) -> Any:
        if self._cut:
            raise StopAsyncIteration
        request: asyncio.Future[Any] = asyncio.ensure_future(anext(self._requests, _ENDED))
        try:
            await asyncio.wait({request, self._drain_begun}, return_when=asyncio.FIRST_COMPLETED)
            if not request.done():
                await asyncio.wait({request}, timeout=_LAST_REQUEST_S)
            self._cut = not request.done()
        finally:
            if not request.done():
                request.cancel()
                await asyncio.wait({request})
        if self._cut or request.result() is _ENDED:
            raise StopAsyncIteration
        return request.result()


async def unless_drained(waiting: Awaitable[ResultT], drain_begun: asyncio.Future[None]) -> ResultT:
    """The result of what waits for the first request of a call.

    Args:
        waiting: What waits; it is cancelled where the drain comes first.
        drain_begun: Done once the server drains.

    Raises:
        Unavailable: If the server drains and no request is there.
    """
    task: asyncio.Future[Any] = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait({task, drain_begun}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=_LAST_REQUEST_S)
        if not task.done():
            raise _draining()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    result: ResultT = task.result()
    return result


def _draining() -> Unavailable:
    return Unavailable(
        "this server is shutting down; try again, another replica will answer", reason="DRAINING", retry_after_s=1.0
    )


async def noted(guard: Guard, method: str, requests: AsyncIterator[Any], context: Context) -> AsyncGenerator[Any, None]:
    """The requests; what the first one names is written down before anybody gets it."""
    first = True
    async for request in requests:
        if first:
            guard.note(method, context, request)
            first = False
        yield request


class _Unreadable:
    """Stands for a request whose bytes are no message of its type."""


_UNREADABLE = _Unreadable()


def or_unreadable(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """A deserializer that doesn't raise: gRPC would answer UNKNOWN with the library's own text, before anything of ours
    is asked. What it gives has to pass `readable`."""
    if deserializer is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserializer(data)
        except Exception:  # whatever it is, these bytes are at fault
            return _UNREADABLE

    return read


def readable(request: Any) -> Any:
    """A request, or an iterator of requests, as it is.

    Raises:
        InvalidArgument: If its bytes are no message; for an iterator, when that is met.
    """
    if request is _UNREADABLE:
        raise InvalidArgument(
            "request",
            "the bytes are not a message of this call's type; use a client that is generated from proto/axia/v1",
            reason="REQUEST_UNREADABLE",
        )
    return _AllReadable(request) if isinstance(request, AsyncIterator) else request


class _AllReadable:
    """Not a generator, which would end where waiting for its next request is cancelled."""

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        self._requests = requests

    def __aiter__(self) -> _AllReadable:
        return self

    async def __anext__(self) -> Any:
        return readable(await anext(self._requests))


async def take_rest(requests: AsyncIterator[Any]) -> None:
    """Takes in what a caller has under way. One whose request meets a call that has just ended is told INTERNAL by
    gRPC's asyncio client, and not why."""
    with suppress(Exception):  # of gRPC's own types, where the caller is gone
        async with asyncio.timeout(_LAST_REQUESTS_S):
            async for _ in requests:
                pass
