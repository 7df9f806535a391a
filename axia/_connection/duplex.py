"""The responses of a call with a stream of requests, with the status that the server sent."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, NamedTuple, TypeVar

import grpc
import grpc.aio

_OVERWRITTEN = "Internal error from Core"
"""What grpcio says in place of the server's status when a request could not be sent because the call had ended."""
_STATUS_WAIT_S, _POLL_S = 1.0, 0.01
"""How long to wait for the server's status after that; gRPC has it already or gets it within milliseconds."""

ResultT = TypeVar("ResultT")


class _Status(NamedTuple):
    """The end of a call. No exception is kept: it would keep the frames of whoever it is raised to."""

    code: grpc.StatusCode
    initial_metadata: grpc.aio.Metadata
    trailing_metadata: grpc.aio.Metadata
    details: str
    debug_error_string: str


class Responses(AsyncIterator[Any]):
    """Iterates over the responses of a call of grpcio's asyncio client.

    If a request is sent at the moment at which the server ends the call, grpcio replaces the server's status by
    INTERNAL (https://github.com/grpc/grpc/issues/36066). This keeps the server's own status, OK included.

    Args:
        call: The call, from the moment at which it is made: a status that came earlier may be lost.

    Raises:
        grpc.aio.AioRpcError: The server's status.
    """

    def __init__(self, call: "grpc.aio.StreamStreamCall[Any, Any]") -> None:
        self._call: Any = call
        self._responses = aiter(call)
        self._status: _Status | None = None
        call.add_done_callback(self._note)  # it comes before grpcio could replace a status that it has

    async def __anext__(self) -> Any:
        try:
            return await anext(self._responses)
        except grpc.aio.AioRpcError as error:
            if not _is_overwritten(error.code(), error.details()):
                raise
            status = await self._received()
            if status is None:
                raise
        if status.code is grpc.StatusCode.OK:
            raise StopAsyncIteration
        raise grpc.aio.AioRpcError(*status)

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """The server's trailing metadata; waits until the call has ended."""
        if self._status is not None:
            return self._status.trailing_metadata
        found: grpc.aio.Metadata = await self._call.trailing_metadata()
        return found

    async def _received(self) -> _Status | None:
        """The server's status. Where grpcio's own came first, the server's takes its place once it is there."""
        until = asyncio.get_running_loop().time() + _STATUS_WAIT_S
        while self._status is None and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_POLL_S)
            self._note(self._call)
        return self._status

    def _note(self, call: Any) -> None:
        """Keeps the status of a call that is done, unless it is grpcio's own."""
        status = _Status(
            _at_once(call.code()),
            _at_once(call.initial_metadata()),
            _at_once(call.trailing_metadata()),
            _at_once(call.details()),
            _at_once(call.debug_error_string()),
        )
        if self._status is None and not _is_overwritten(status.code, status.details):
            self._status = status


def _is_overwritten(code: grpc.StatusCode, details: str | None) -> bool:
    return code is grpc.StatusCode.INTERNAL and details == _OVERWRITTEN


def _at_once(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """What a coroutine returns that has nothing to wait for, as those of a call that is done."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    coroutine.close()
    raise RuntimeError("the call isn't done")
