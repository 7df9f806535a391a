"""A real grpc.aio server on a free port with the interceptor under test, and methods whose messages are strings."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from services.serving.health import Health
from services.serving.interceptors import CallInterceptor
from services.serving.metrics import REGISTRY

Behaviour = Callable[..., Any]
"""A servicer's method: takes a string, or an iterator of strings, and a context."""

_names = (f"axia.test.Wire{number}" for number in itertools.count())


def encode(message: str | bytes) -> bytes:
    """Serializes a message. The server's core makes bytes of a string before it asks the serializer."""
    return message.encode() if isinstance(message, str) else message


def handler(behaviour: Behaviour, *, request_streaming: bool, response_streaming: bool) -> Any:
    """A method of any arity whose requests and responses are UTF-8 text."""
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[request_streaming, response_streaming]
    return make(behaviour, request_deserializer=bytes.decode, response_serializer=encode)


@dataclass
class Wire:
    """A server under test, with a channel to it. Its service has a name of its own, so that its metrics are too."""

    service: str
    interceptor: CallInterceptor
    health: Health
    channel: grpc.aio.Channel
    address: str
    server: grpc.aio.Server

    async def stop(self) -> None:
        """Ends the server before its context does."""
        await self.server.stop(0)

    def unary(self, method: str, request: str = "", **options: Any) -> grpc.aio.UnaryUnaryCall:
        """Calls a method with one request and one response."""
        made = self.channel.unary_unary(f"/{self.service}/{method}", encode, bytes.decode)
        return made(request, **options)

    def stream(self, method: str, request: str = "", **options: Any) -> grpc.aio.UnaryStreamCall:
        """Calls a method with one request and a stream of responses."""
        made = self.channel.unary_stream(f"/{self.service}/{method}", encode, bytes.decode)
        return made(request, **options)

    def stream_unary(self, method: str, requests: Sequence[str], **options: Any) -> grpc.aio.StreamUnaryCall:
        """Calls a method with a stream of requests and one response."""
        made = self.channel.stream_unary(f"/{self.service}/{method}", encode, bytes.decode)
        return made(iter(requests), **options)

    def stream_stream(self, method: str, requests: Sequence[str], **options: Any) -> grpc.aio.StreamStreamCall:
        """Calls a method with a stream of requests and a stream of responses."""
        made = self.channel.stream_stream(f"/{self.service}/{method}", encode, bytes.decode)
        return made(iter(requests), **options)

    def metric(self, name: str, method: str, **labels: str) -> float:
        """The value of a metric for a method; 0 if it was never touched."""
        labels["method"] = f"{self.service}/{method}"
        return REGISTRY.get_sample_value(f"axia_rpc_{name}", labels) or 0.0

    def counted(self, method: str, code: str) -> float:
        """How many calls of a method ended with a code."""
        return self.metric("requests_total", method, code=code)

    def rejected(self, method: str, reason: str) -> float:
        """How many calls of a method ended with a reason."""
        return self.metric("rejected_total", method, reason=reason)

    async def until_idle(self) -> None:
        """Waits until no call is in flight: the server hears of a cancelled call a moment after the client."""
        await eventually(lambda: self.interceptor.in_flight == 0)


@asynccontextmanager
async def serve(
    unary: Mapping[str, Behaviour] | None = None,
    stream: Mapping[str, Behaviour] | None = None,
    stream_unary: Mapping[str, Behaviour] | None = None,
    stream_stream: Mapping[str, Behaviour] | None = None,
    interceptor: CallInterceptor | None = None,
) -> AsyncIterator[Wire]:
    """Serves methods, by arity and name, for as long as the context lasts."""
    service = next(_names)
    interceptor = interceptor or CallInterceptor()
    health = Health([service])
    server = grpc.aio.server(interceptors=[interceptor])
    arities = (
        (unary, False, False),
        (stream, False, True),
        (stream_unary, True, False),
        (stream_stream, True, True),
    )
    handlers = {
        name: handler(behaviour, request_streaming=requests, response_streaming=responses)
        for methods, requests, responses in arities
        for name, behaviour in (methods or {}).items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    await health.register(server)
    await health.set_serving(True)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Wire(service, interceptor, health, channel, f"127.0.0.1:{port}", server)
    finally:
        await server.stop(0)


async def eventually(holds: Callable[[], bool], timeout_s: float = 3.0) -> None:
    """Waits until a condition holds; fails the test if it doesn't in time."""
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.005)


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What our code and gRPC logged as errors.

    asyncio's own are left out: where several loops have run in one process, as in tests, gRPC's poller wakes one of
    them for an event that another has already taken (BlockingIOError).
    """
    return [
        record for record in caplog.records if record.levelno >= logging.ERROR and not record.name.startswith("asyncio")
    ]


async def collect(call: AsyncIterator[Any], into: list[Any]) -> None:
    """Appends the responses of a streaming call to a list, which keeps them if the call ends in an error."""
    async for response in call:
        into.append(response)


async def failure(call: Awaitable[object] | AsyncIterator[object]) -> grpc.aio.AioRpcError:
    """The error that a call ends with, unary or streaming."""
    try:
        if isinstance(call, grpc.aio.UnaryStreamCall | grpc.aio.StreamStreamCall):
            async for _ in call:
                pass
        else:
            await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call succeeded")
