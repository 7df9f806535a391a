"""The responses of a call with a stream of requests, with the status that the server sent."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import grpc
import grpc.aio

_OVERWRITTEN = "Internal error from Core"
"""What grpcio says in place of the server's status when a request could not be sent because the call had ended."""
_STATUS_WAIT_S = 1.0
"""How long to wait for the server's status after that; gRPC has it already or gets it within milliseconds."""

ResultT = TypeVar("ResultT")


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
        self._responses = aiter(call)
        self._status: asyncio.Future[grpc.aio.AioRpcError] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)  # grpcio calls it for each status, the overwritten one included

    async def __anext__(self) -> Any:
        try:
            return await anext(self._responses)
        except grpc.aio.AioRpcError as error:
            if not _is_overwritten(error):
                raise
            done, _ = await asyncio.wait([self._status], timeout=_STATUS_WAIT_S)
            if not done:
                raise
            status = self._status.result()
            if status.code() is grpc.StatusCode.OK:
                raise StopAsyncIteration from None
            raise status from None

    def _note(self, call: Any) -> None:
        status = grpc.aio.AioRpcError(
            _at_once(call.code()),
            _at_once(call.initial_metadata()),
            _at_once(call.trailing_metadata()),
            _at_once(call.details()),
            _at_once(call.debug_error_string()),
        )
        if not self._status.done() and not _is_overwritten(status):
            self._status.set_result(status)


def _is_overwritten(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == _OVERWRITTEN


def _at_once(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """What a coroutine returns that has nothing to wait for, as those of a call that is done."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    coroutine.close()
    raise RuntimeError("the call isn't done")
