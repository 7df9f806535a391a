"""A client's connection, and what its calls have in common: for threads, and for asyncio."""
# ruff: noqa: ASYNC109 - the limit travels to the server; asyncio.timeout can't do that

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from weakref import WeakKeyDictionary

import grpc
import grpc.aio

from axia import convert
from axia._connection import call, forks
from axia._connection.call import Call
from axia._connection.duplex import Responses
from axia._connection.streams import AsyncFeed, Feed
from axia._connection.transport import TLS, resolve_api_key
from axia.results.base import Result
from axia.v1 import gateway_pb2_grpc, retrieval_pb2_grpc

if TYPE_CHECKING:
    from axia.v1.gateway_pb2_grpc import GatewayServiceAsyncStub
    from axia.v1.retrieval_pb2_grpc import RetrievalServiceAsyncStub

ResultT = TypeVar("ResultT", bound=Result)


class _Caller:
    """Makes the calls of one client until it is closed."""

    def __init__(self, address: str | None, timeout: float | None, api_key: str | None) -> None:
        self.address = call.resolve_address(address)
        self.timeout = call.checked_timeout(timeout)
        self._api_key = resolve_api_key(api_key)
        self._closed = False
        self._unsafe_forks = forks.unsafe_forks()

    def _check_tls(self, tls: TLS | None) -> TLS | None:
        if tls and tls.server_name is None and self.address.startswith(("ipv4:", "ipv6:")) and "," in self.address:
            raise ValueError(
                "several addresses need the name that is in their certificates: give it with TLS(server_name=…)"
            )
        return tls

    def _new_call(self, timeout: float | None) -> Call:
        if self._closed:
            raise RuntimeError("this client is closed: create a new one")
        forks.check(self._unsafe_forks)
        limit = self.timeout if timeout is None else call.checked_timeout(timeout)
        return Call(self.address, limit, self._api_key)


class Connected(_Caller):
    """Opens the connection when it is made. Arguments and errors are those of `Client`."""

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout: float | None = call.DEFAULT_TIMEOUT_S,
        tls: TLS | None = None,
        api_key: str | None = None,
    ) -> None:
        super().__init__(address, timeout, api_key)
        options = call.channel_options(self.address)
        if tls := self._check_tls(tls or TLS.from_environment()):
            self._channel = grpc.secure_channel(self.address, tls.credentials(), options=[*options, *tls.options])
        else:
            self._channel = grpc.insecure_channel(self.address, options=options)
        self._stub = gateway_pb2_grpc.GatewayServiceStub(self._channel)
        self._retrieval = retrieval_pb2_grpc.RetrievalServiceStub(self._channel)

    def close(self) -> None:
        """Closes the connection and cancels calls that are still running."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, method: Callable[..., Any], request: Any, result: type[ResultT], timeout: float | None) -> ResultT:
        """A call with one answer that is named as its result."""
        call = self._new_call(timeout)
        with call.errors():
            response = method(request, **call.options)
        return convert.to_result(result, response)

    def _duplex(self, method: Callable[..., Any], feed: Feed[Any], call: Call) -> Generator[Any, None, None]:
        """The answers of a call with many requests; the caller's error, if its requests had one, comes last."""
        with call.errors():
            responses = method(feed, **call.options)
            try:
                for response in responses:
                    feed.answered()
                    yield response
            finally:
                responses.cancel()
                feed.close()
        if feed.error:
            raise feed.error


class AsyncConnected(_Caller):
    """Opens the connection with the first call. Arguments and errors are those of `AsyncClient`."""

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout: float | None = call.DEFAULT_TIMEOUT_S,
        tls: TLS | None = None,
        api_key: str | None = None,
    ) -> None:
        super().__init__(address, timeout, api_key)
        self._tls = self._check_tls(tls or TLS.from_environment())
        self._credentials = self._tls.credentials() if self._tls else None
        # Made with the first call in a loop: a channel belongs to the event loop in which it is made.
        self._channels: WeakKeyDictionary[asyncio.AbstractEventLoop, grpc.aio.Channel] = WeakKeyDictionary()

    async def close(self) -> None:
        """Closes the connection and cancels calls that are still running in this event loop and in others."""
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, channel in list(self._channels.items()):
            if loop is here:
                await channel.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(channel.close(), loop)
        self._channels.clear()  # what belongs to a loop that is over is freed with it

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> grpc.aio.Channel:
        forks.use_asyncio()
        loop = asyncio.get_running_loop()
        channel = self._channels.get(loop)
        if channel is None:
            options = call.channel_options(self.address)
            if self._tls and self._credentials:
                options += self._tls.options
                channel = grpc.aio.secure_channel(self.address, self._credentials, options=options)
            else:
                channel = grpc.aio.insecure_channel(self.address, options=options)
            self._channels[loop] = channel
        return channel

    # Each is one class at run time, whose type depends on the channel; the generated stubs spell it as two.

    @property
    def _stub(self) -> "GatewayServiceAsyncStub":
        return cast("GatewayServiceAsyncStub", gateway_pb2_grpc.GatewayServiceStub(self._open()))

    @property
    def _retrieval(self) -> "RetrievalServiceAsyncStub":
        return cast("RetrievalServiceAsyncStub", retrieval_pb2_grpc.RetrievalServiceStub(self._open()))

    async def _get(
        self, method: Callable[..., Any], request: Any, result: type[ResultT], timeout: float | None
    ) -> ResultT:
        """A call with one answer that is named as its result."""
        call = self._new_call(timeout)
        with call.errors():
            response = await method(request, **call.options)
        return convert.to_result(result, response)

    async def _duplex(self, method: Callable[..., Any], feed: AsyncFeed[Any], call: Call) -> AsyncGenerator[Any, None]:
        """The answers of a call with many requests; the caller's error, if its requests had one, comes last."""
        with call.errors():
            made = method(feed.requests(), **call.options)
            try:
                async for response in Responses(made):
                    feed.answered()
                    yield response
            finally:
                made.cancel()
        if feed.error:
            raise feed.error
