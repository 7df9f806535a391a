"""Streams of the contract as server-sent events, and calls that end when their caller goes."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from google.protobuf.message import Message
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.requests import Request

from gateway.http.problems import CallerGone, problem, unexpected
from gateway.http.transcoding.contract import to_json
from services.serving.errors import ServiceError
from services.serving.logs import request_id

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_EVENT_S = 2.0
"""How long an answer waits for a stream's first event: an error within it has an HTTP status of its own."""

# On SIGTERM streams end by themselves, as calls in flight do; the process manager bounds how long that may take.
AppStatus.enable_automatic_graceful_drain = False


def to_event(message: Message) -> ServerSentEvent:
    """An event named as the set field of the message's oneof; its data is that field, or all where there is more."""
    one_of = message.DESCRIPTOR.oneofs[0]
    name = message.WhichOneof(one_of.name) or "unknown"
    alone = len(one_of.fields) == len(message.DESCRIPTOR.fields)
    return json_event(name, to_json(getattr(message, name) if alone else message))


def json_event(name: str | None, data: object) -> ServerSentEvent:
    """An event with JSON data."""
    return ServerSentEvent(json.dumps(data, ensure_ascii=False, separators=(",", ":")), event=name, sep="\n")


def error_event(error: ServiceError) -> ServerSentEvent:
    """The last event of a stream that failed."""
    return json_event("error", problem(error, request_id.get()))


async def event_stream(
    request: Request,
    events: AsyncGenerator[ServerSentEvent, None],
    keep_alive_s: float,
    on_error: Callable[[ServiceError], ServerSentEvent] = error_event,
) -> EventSourceResponse:
    """The response that sends events as they come, and comments while none does. The body must have been read.

    Raises:
        ServiceError: If the stream fails before its first event, or soon.
        CallerGone: If the caller closed the connection meanwhile.
    """
    first = asyncio.ensure_future(anext(events, None))
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await _wait_for_first(first, gone)
    except BaseException:  # nobody else ends the stream
        await _ended(first)
        await events.aclose()
        raise
    finally:
        await _ended(gone)
    return EventSourceResponse(
        _sent(first, events, on_error),
        ping=keep_alive_s,
        ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
        sep="\n",
    )


async def _wait_for_first(first: asyncio.Future[Any], gone: asyncio.Future[None]) -> None:
    await asyncio.wait({first, gone}, timeout=_FIRST_EVENT_S, return_when=asyncio.FIRST_COMPLETED)
    if first.done():
        first.result()
    elif gone.done():
        raise CallerGone


async def _sent(
    first: asyncio.Future[ServerSentEvent | None],
    events: AsyncGenerator[ServerSentEvent, None],
    on_error: Callable[[ServiceError], ServerSentEvent],
) -> AsyncGenerator[ServerSentEvent, None]:
    try:
        async with aclosing(events):
            try:
                event = await first
            finally:
                await _ended(first)
            while event is not None:
                yield event
                event = await anext(events, None)
    except ServiceError as error:
        yield on_error(error)
    except Exception:  # whatever it is, its text may hold paths or secrets: it goes to the log alone
        logger.exception("a stream of events failed unexpectedly")
        yield on_error(unexpected())


async def _ended(task: asyncio.Future[Any]) -> None:
    """Cancels a task and waits: a generator that still runs can't be closed."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


async def until_disconnect(request: Request, call: Awaitable[T]) -> T:
    """Awaits a call, cancelling it when the caller closes the connection. The body must have been read.

    Raises:
        CallerGone: If the caller closed the connection.
    """
    answer = asyncio.ensure_future(call)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            await _ended(answer)
            raise CallerGone
        return await answer
    finally:
        for task in (answer, gone):
            task.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
