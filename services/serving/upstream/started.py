"""Tells callers that a model has begun to answer before the answer, which comes in one message, is there.

It is a header of the call, so that a caller whose connection breaks doesn't have another model's server answer as well.
Servers between a model's and the caller pass it on at once.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message

STARTED_KEY = "axia-started"
"""Key of the headers by which a server says that a model has begun to answer."""

logger = logging.getLogger(__name__)


class StartedHeaders:
    """Headers of a response that are sent before it, beside what continues.

    Sending them can fail where the caller is gone, which ends the call anyway, and must not be cut off by a time limit:
    gRPC would send them again with the status, and fail at that.
    """

    def __init__(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        self._context = context
        self._sending: asyncio.Task[None] | None = None

    def send(self) -> None:
        """Begins to send them, once."""
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            await self._context.send_initial_metadata(((STARTED_KEY, "1"),))
        except Exception:  # of gRPC's own types; it ends the call itself
            logger.debug("the caller was gone before its headers", exc_info=True)

    async def sent(self) -> None:
        """Waits until they are out, if they were to be sent."""
        if self._sending is not None:
            await self._sending


def has_started(headers: Any) -> bool:
    """Whether the headers of a response say that a model has begun to answer."""
    return any(key == STARTED_KEY for key, _ in headers or ())


async def answer_with_headers(
    channel: grpc.aio.Channel,
    path: str,
    request: Message,
    answer: type[Message],
    started: Callable[[], None],
    **options: Any,
) -> Any:
    """The response of a call that answers once, whose headers are heard before it.

    It is called as a stream, which is the same on the wire: gRPC tells of a unary call's headers with its answer.

    Args:
        channel: To the server.
        path: The method's, such as /axia.v1.InferenceService/GenerateAll.
        request: What is asked.
        answer: The type of the response.
        started: Called once the headers say that a model has begun to answer.
        options: Of gRPC's call: its timeout and metadata.

    Raises:
        grpc.aio.AioRpcError: If the call fails.
    """
    method: Any = channel.unary_stream(path, type(request).SerializeToString, answer.FromString)
    call = method(request, **options)
    try:
        if has_started(await call.initial_metadata()):
            started()
        (response,) = [response async for response in call]  # to its end, where a failure would come
        return response
    finally:
        call.cancel()
