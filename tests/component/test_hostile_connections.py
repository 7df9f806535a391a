"""Connections that take nothing of what they are sent, or ping all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from gateway.settings import GatewaySettings
from services.serving.app import server_options
from services.serving.interceptors import CallInterceptor
from services.serving.metrics import REGISTRY
from tests.support import wire
from tests.support.raw_http2 import raw_client

MESSAGE = bytes(2**14)
MANY = 500
SLOW_S = 0.1


class Streaming:
    """Streams messages, and notes how many have gone."""

    def __init__(self) -> None:
        self.made = 0
        self.ended = asyncio.Event()

    async def stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            for _ in range(MANY):
                self.made += 1
                yield MESSAGE
        finally:
            self.ended.set()

    async def echo(self, request: bytes, context: Any) -> bytes:
        return request

    async def count(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return str(len([request async for request in requests])).encode()


@asynccontextmanager
async def serving(streaming: Streaming) -> AsyncIterator[tuple[int, CallInterceptor]]:
    interceptor = CallInterceptor(slow_reader_s=SLOW_S)
    server = grpc.aio.server(interceptors=[interceptor], options=server_options(GatewaySettings()))
    handlers: Any = {
        "Stream": grpc.unary_stream_rpc_method_handler(streaming.stream),
        "Echo": grpc.unary_unary_rpc_method_handler(streaming.echo),
        "Count": grpc.stream_unary_rpc_method_handler(streaming.count),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port, interceptor
    finally:
        await server.stop(0)


async def test_for_a_reader_who_takes_nothing_one_message_is_made_and_the_call_is_ended() -> None:
    streaming = Streaming()
    labels = {"method": "test.Test/Stream", "reason": "READER_TOO_SLOW"}
    before = REGISTRY.get_sample_value("axia_rpc_rejected_total", labels) or 0
    async with serving(streaming) as (port, interceptor), raw_client(port, window=0) as client:
        client.call("/test.Test/Stream")
        await wire.eventually(lambda: streaming.made == 1)
        assert interceptor.in_flight == 1
        async with asyncio.timeout(SLOW_S + len(MESSAGE) / 8192 + 5):
            await streaming.ended.wait()
        await wire.eventually(lambda: interceptor.in_flight == 0)
        assert streaming.made == 1
        assert client.received == 0
    assert REGISTRY.get_sample_value("axia_rpc_rejected_total", labels) == before + 1


async def test_what_is_made_ahead_of_a_slow_reader_is_bounded_and_one_who_is_fast_enough_gets_all() -> None:
    streaming = Streaming()
    async with serving(streaming) as (port, interceptor), raw_client(port, window=0) as client:
        number = client.call("/test.Test/Stream")
        taken = 0
        for _ in range(5):
            await asyncio.sleep(3 * SLOW_S)  # longer than a small message would get
            client.make_room(number, len(MESSAGE))
            taken += len(MESSAGE)
            await wire.eventually(lambda taken=taken: client.received >= taken - 1)
            assert streaming.made <= taken / len(MESSAGE) + 2
        assert not streaming.ended.is_set()
        client.make_room(number, MANY * (len(MESSAGE) + 5))
        await wire.eventually(lambda: client.received == MANY * (len(MESSAGE) + 5))
        await wire.eventually(lambda: interceptor.in_flight == 0)


async def test_a_flood_of_pings_ends_the_connection() -> None:
    async with serving(Streaming()) as (port, _), raw_client(port) as client:
        pings = 0
        while not client.closed.is_set() and pings < 1000:
            client.ping()
            pings += 1
            await asyncio.sleep(0.005)
        assert client.told_to_go == b"too_many_pings"
        assert pings < 200


async def test_pings_that_keep_a_connection_open_do_no_harm() -> None:
    """A ping every 1.1 s is ten times what a client behind NAT needs, whether it calls or not."""
    streaming = Streaming()
    async with serving(streaming) as (port, _), raw_client(port) as calling, raw_client(port) as silent:
        for _ in range(5):
            calling.call("/test.Test/Echo")
            for client in (calling, silent):
                client.ping()
            await asyncio.sleep(1.1)
        for client in (calling, silent):
            assert not client.told_to_go
            assert not client.closed.is_set()


async def test_a_busy_client_is_not_taken_for_one_that_floods() -> None:
    """gRPC measures a busy connection by pings of its own."""
    streaming = Streaming()
    async with serving(streaming) as (port, _), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo: Any = channel.unary_unary("/test.Test/Echo")
        count: Any = channel.stream_unary("/test.Test/Count")
        until = asyncio.get_running_loop().time() + 3.0
        while asyncio.get_running_loop().time() < until:
            answers = await asyncio.gather(*(echo(4 * MESSAGE) for _ in range(16)))
            assert answers == [4 * MESSAGE] * 16
            assert await count(iter([MESSAGE] * 100)) == b"100"
