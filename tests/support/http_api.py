"""A scripted gateway and the HTTP API in front of it, both in this process, over real connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import httpx
import uvicorn
from fastapi import FastAPI
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from axia.testing import free_port
from axia.v1 import gateway_pb2, inference_pb2, retrieval_pb2, scoring_pb2
from gateway.http.app import create
from gateway.http.settings import HttpSettings
from services.serving.interceptors import CallInterceptor
from services.serving.logs import request_id
from services.serving.tls import server_tls

FILES = {"GatewayService": gateway_pb2, "RetrievalService": retrieval_pb2, "ScoringService": scoring_pb2}
FILES |= {"InferenceService": inference_pb2}
PROMISE_S = 20.0


class FakeGateway:
    """Answers every method of the contract with what a test scripts, and remembers what it was asked.

    `answers` maps a method's name to a message, an exception, or a list of both for a stream; a float in a list is a
    pause in seconds. A method without a script answers with an empty message.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.requests: list[Any] = []
        self.request_ids: list[str] = []
        self.time_remaining: float | None = None
        self.cancelled = asyncio.Event()
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[FakeGateway]:
        fake = cls()
        server = grpc.aio.server(interceptors=[CallInterceptor()], options=processes_options())
        for name, file in FILES.items():
            service = file.DESCRIPTOR.services_by_name[name]
            handlers = {method.name: fake._handler(method) for method in service.methods}
            server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service.full_name, handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        fake.address = f"127.0.0.1:{port}"
        await server.start()
        try:
            yield fake
        finally:
            await server.stop(0)

    def _handler(self, method: Any) -> Any:
        codec = {
            "request_deserializer": GetMessageClass(method.input_type).FromString,
            "response_serializer": GetMessageClass(method.output_type).SerializeToString,
        }
        empty = GetMessageClass(method.output_type)()

        async def unary(request: Any, context: Any) -> Any:
            try:
                async for answer in self._answered(method.name, request, context, empty):
                    return answer
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                async for answer in self._answered(method.name, request, context, empty):
                    yield answer
            except (asyncio.CancelledError, GeneratorExit):
                self.cancelled.set()
                raise

        async def both(requests: Any, context: Any) -> AsyncIterator[Any]:
            async for request in requests:
                async for answer in self._answered(method.name, request, context, empty):
                    yield answer

        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(both, **codec)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, **codec)
        return grpc.unary_unary_rpc_method_handler(unary, **codec)

    async def _answered(self, name: str, request: Any, context: Any, empty: Message) -> AsyncIterator[Any]:
        self.requests.append(request)
        self.request_ids.append(request_id.get())
        self.time_remaining = context.time_remaining()
        script = self.answers.get(name, empty)
        for step in script if isinstance(script, list) else [script]:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step(request) if callable(step) else step


def processes_options() -> list[tuple[str, int]]:
    """Message sizes as the suite's servers have them."""
    return [("grpc.max_receive_message_length", 64 * 2**20), ("grpc.max_send_message_length", 64 * 2**20)]


class Api(httpx.AsyncClient):
    """A client of the running API."""

    api: FastAPI
    port: int

    @property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return self.api.openapi()

    async def events(self, method: str, path: str, **options: Any) -> list[tuple[str, Any]]:
        """Names and data of a stream's events; a comment has the name ":"."""
        async with self.stream(method, path, **options) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            return parse_events((await response.aread()).decode())


def parse_events(text: str) -> list[tuple[str, Any]]:
    """Names and data of the events in a stream's text."""
    events: list[tuple[str, Any]] = []
    for block in text.split("\n\n"):
        lines = [line.partition(":") for line in block.splitlines()]
        name = next((value.strip() for key, _, value in lines if key == "event"), "")
        data = "\n".join(value.removeprefix(" ") for key, _, value in lines if key == "data")
        if data:
            events.append((name, data if data == "[DONE]" else json.loads(data)))
        elif lines and not lines[0][0]:
            events.append((":", lines[0][2].strip()))
    return events


@asynccontextmanager
async def http_api(gateway: FakeGateway | None, **settings: Any) -> AsyncIterator[Api]:
    """The HTTP API on a free port, as BentoML's server runs it: by uvicorn."""
    address = gateway.address if gateway else f"127.0.0.1:{free_port()}"
    chosen = HttpSettings(gateway=address, metrics_port=0, **settings)
    made, tls = create(chosen), server_tls(chosen)
    config = uvicorn.Config(made.app, port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    config.load()
    if tls is not None:
        config.ssl = tls.http_context()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    ticking = asyncio.create_task(server.main_loop())  # the time in answers
    try:
        scheme = "https" if tls else "http"
        port = server.servers[0].sockets[0].getsockname()[1]
        async with Api(base_url=f"{scheme}://127.0.0.1:{port}", timeout=PROMISE_S) as client:
            client.api, client.port = made.api, port
            yield client
    finally:
        ticking.cancel()
        await _end(server)
        await made.close()


async def _end(server: uvicorn.Server) -> None:
    """Ends a server as its own `shutdown` does, but for the tenth of a second which that waits at each step."""
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while server.server_state.connections or server.server_state.tasks:
                await asyncio.sleep(0.005)
    left = list(server.server_state.tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
