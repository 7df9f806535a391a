"""WatchValues as a WebSocket of JSON messages."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from axia.v1 import gateway_pb2
from gateway.http.context import Context
from gateway.http.problems import problem
from gateway.http.transcoding.body import read_json
from gateway.http.transcoding.calls import GATEWAY
from gateway.http.transcoding.contract import request_model, to_json, to_message
from services.serving.errors import Code, InvalidArgument, ServiceError
from services.serving.logs import request_id

_REQUEST = gateway_pb2.WatchValuesRequest.DESCRIPTOR
_NO_STATUS = 1005
_POLICY_VIOLATION, _INTERNAL_ERROR, _TRY_AGAIN_LATER = 1008, 1011, 1013
_CLOSE_CODES = {Code.UNAVAILABLE: _TRY_AGAIN_LATER, Code.RESOURCE_EXHAUSTED: _TRY_AGAIN_LATER}


def add_watch(app: FastAPI, context: Context) -> None:
    """Adds the route: messages are WatchValuesRequest and WatchValuesResponse in JSON.

    A failure of the whole watch comes as {"error": problem details} before the close.
    """

    async def watch(socket: WebSocket) -> None:
        await socket.accept()
        reader = _Reader(socket, context)
        try:
            async with aclosing(context.gateway.stream(GATEWAY["WatchValues"], reader.requests(), None)) as responses:
                async for response in responses:
                    await socket.send_text(json.dumps(to_json(response), ensure_ascii=False))
            if reader.failure is not None:
                raise reader.failure
        except ServiceError as error:
            await _close_with(socket, reader.failure or error)
        except WebSocketDisconnect:
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not reader.gone or (task is not None and task.cancelling()):
                raise
        else:
            await _close(socket, 1000)

    app.add_api_websocket_route("/v1/watch", watch)


class _Reader:
    """Reads a socket's messages until the caller closes it or sends one that makes no sense."""

    def __init__(self, socket: WebSocket, context: Context) -> None:
        self._socket = socket
        self._context = context
        self._limit = int((context.settings.max_image_mib + 4) * 2**20 * 4 / 3)
        self.failure: ServiceError | None = None
        self.gone = False

    async def requests(self) -> AsyncIterator[Any]:
        """The messages; ends early, with `failure` set, at one that is refused.

        Raises:
            WebSocketDisconnect: With `gone` set, when the caller closes the socket: a failure here is what makes gRPC
                cancel the call, while an end would let the engine continue with the frames it has.
        """
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                self.gone = True
                raise WebSocketDisconnect(received.get("code", _NO_STATUS))
            try:
                yield await self._request(received)
            except ServiceError as error:
                self.failure = error
                return

    async def _request(self, received: Any) -> Any:
        text = received.get("text")
        if text is None:
            raise InvalidArgument("message", "must be a text frame with JSON", reason="INVALID_FIELD")
        if len(text) > self._limit:
            raise InvalidArgument("message", f"has more than {self._limit:,} characters", reason="BODY_TOO_LARGE")
        return await self._context.in_worker(_read, text.encode())


def _read(body: bytes) -> Any:
    message = gateway_pb2.WatchValuesRequest()
    to_message(read_json(body, request_model(_REQUEST)), message)
    return message


async def _close_with(socket: WebSocket, error: ServiceError) -> None:
    if socket.client_state is not WebSocketState.CONNECTED:
        return
    status = error.code.value.http
    ours = _INTERNAL_ERROR if status >= 500 else _POLICY_VIOLATION  # noqa: PLR2004 - server errors of HTTP
    with suppress(WebSocketDisconnect, RuntimeError):  # the caller may be gone by now
        await socket.send_text(json.dumps({"error": problem(error, request_id.get())}, ensure_ascii=False))
    await _close(socket, _CLOSE_CODES.get(error.code, ours))


async def _close(socket: WebSocket, code: int) -> None:
    if socket.client_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect, RuntimeError):  # the caller may be gone by now
            await socket.close(code)
