"""A call with many requests ends with the status that the server sent, also while requests are still being sent."""

import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from axia import AsyncClient, Overloaded
from axia._connection.duplex import Responses

CALLS = 50
"""Of the calls of plain grpcio, nine in ten end with another status than the server's."""


class _Server(grpc.GenericRpcHandler):
    """Ends each call at its first request: with what the request says."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        async def behaviour(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for request in requests:
                if request == b"ok":
                    context.set_trailing_metadata((("key", "value"),))
                    yield b"answer"
                    return
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full", (("key", "value"),))

        return grpc.stream_stream_rpc_method_handler(behaviour)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Server(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def _requests(first: bytes) -> AsyncIterator[bytes]:
    yield first
    for _ in range(64):
        yield bytes(65_536)


def _call(channel: grpc.aio.Channel, first: bytes) -> Any:
    method: Any = channel.stream_stream("/any/Method")
    return method(_requests(first), timeout=10)


async def test_the_servers_status_is_kept(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        for _ in range(CALLS):
            call = _call(channel, b"fail")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                [_ async for _ in Responses(call)]
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert caught.value.details() == "the disk is full"
            assert ("key", "value") in list(caught.value.trailing_metadata() or ())


async def test_an_end_without_error_stays_one(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        for _ in range(CALLS):
            call = _call(channel, b"ok")
            assert [answer async for answer in Responses(call)] == [b"answer"]


async def test_a_servers_own_internal_error_is_not_waited_for() -> None:
    async def behaviour(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.INTERNAL, "a fault of the server")
        yield b""

    async with AsyncExitStack() as stack:
        server = grpc.aio.server()
        handlers: Any = {"Method": grpc.stream_stream_rpc_method_handler(behaviour)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("any", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        call = _call(channel, b"")
        with pytest.raises(grpc.aio.AioRpcError, match="a fault of the server"):
            [_ async for _ in Responses(call)]


async def test_the_client_raises_the_servers_status(address: str) -> None:
    async with AsyncClient(address) as client:
        for _ in range(CALLS):
            with pytest.raises(Overloaded):
                [_ async for _ in client.index_images([_PIXEL] * 64)]


_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415478da63f8cfc0000003010100"
    "c9fe92ef0000000049454e44ae426082"
)


async def test_the_servers_status_is_kept_where_grpcios_own_came_first(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.stream_stream("/any/Method")(timeout=10)
        responses = Responses(call)
        call._cython_call.set_internal_error("as when a request can't be sent")
        call._done_writing_flag = False
        await call._cython_call.send_serialized_message(b"fail")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(responses)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_overwritten_status_keeps_nothing_of_its_caller_in_memory(address: str) -> None:
    class Image:
        pass

    async def fails(channel: grpc.aio.Channel) -> "weakref.ref[Image]":
        image = Image()
        with pytest.raises(grpc.aio.AioRpcError):
            [_ async for _ in Responses(_call(channel, b"fail"))]
        return weakref.ref(image)

    gc.collect()
    gc.disable()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            left = [await fails(channel) for _ in range(CALLS)]
        assert sum(image() is not None for image in left) < CALLS / 5
    finally:
        gc.enable()


async def test_trailing_metadata_is_the_servers(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        for _ in range(CALLS):
            responses = Responses(_call(channel, b"ok"))
            assert [answer async for answer in responses] == [b"answer"]
            assert ("key", "value") in list(await responses.trailing_metadata())
