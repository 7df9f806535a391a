"""The gateway's replicas, called over gRPC for one HTTP request each."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from axia.v1 import gateway_pb2
from gateway.http.settings import HttpSettings
from services.serving.app import channels_to
from services.serving.errors import DeadlineExceeded, ServiceError, Unavailable
from services.serving.identity.guard import AUTHORIZATION
from services.serving.logs import request_metadata
from services.serving.status import from_rpc_error
from services.serving.upstream.attempts import Attempt, Calls, Deaths, NoReplica, RetryBudget
from services.serving.upstream.replica import State
from services.serving.upstream.replicas import ReplicaSet

SERVICE = gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].full_name
_ATTEMPTS = 3
"""Tries of a call that reached no gateway."""

credential: ContextVar[str] = ContextVar("credential", default="")
"""The current request's Authorization header, for the gateway to check; empty where there is none."""


class GatewayClient:
    """Calls methods of the contract by their descriptors.

    Its replicas are looked for by the first call, because channels belong to the event loop that runs then.

    Args:
        settings: Of the HTTP API.

    Raises:
        FailedPrecondition: If the settings of TLS can't be used.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._channels = channels_to(SERVICE, settings)
        self._replicas: ReplicaSet | None = None
        self._following: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def unary(self, method: MethodDescriptor, request: Message, timeout_s: float | None) -> Any:
        """The response of a method that answers once; cancelling this cancels the call.

        Raises:
            ServiceError: As the gateway tells it.
        """
        codec = (type(request).SerializeToString, GetMessageClass(method.output_type).FromString)
        metadata = _metadata()

        def invoke(attempt: Attempt) -> Any:
            made = attempt.replica.channel.unary_unary(_path(method), *codec)
            return made(request, timeout=attempt.timeout_s, metadata=metadata)

        try:
            return await (await self._calls()).unary(invoke, timeout_s)
        except NoReplica as error:
            raise self._unreachable() from error
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def stream(
        self, method: MethodDescriptor, request: Message | AsyncIterator[Message], timeout_s: float | None
    ) -> AsyncGenerator[Any, None]:
        """The responses of a method that streams; closing the generator cancels the call.

        Args:
            method: The method.
            request: The request, or the requests of a method that takes several.
            timeout_s: Time for all of it, in seconds.

        Raises:
            ServiceError: As the gateway tells it.
        """
        codec = (GetMessageClass(method.input_type).SerializeToString, GetMessageClass(method.output_type).FromString)
        metadata = _metadata()

        def invoke(attempt: Attempt) -> Any:
            channel = attempt.replica.channel
            if isinstance(request, Message):
                made: Any = channel.unary_stream(_path(method), *codec)
            else:
                made = channel.stream_stream(_path(method), *codec)
            return made(request, timeout=attempt.timeout_s, metadata=metadata)

        calls = await self._calls()
        try:
            async with aclosing(calls.stream(invoke, timeout_s, once=not isinstance(request, Message))) as responses:
                async for response in responses:
                    yield response
        except NoReplica as error:
            raise self._unreachable() from error
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def ready(self) -> bool:
        """Whether a gateway says SERVING, which it does while it has a model that can be called."""
        await self._calls()
        return self._replicas is not None and any(replica.state is State.SERVING for replica in self._replicas.replicas)

    async def close(self) -> None:
        """Closes the connections."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._replicas is not None:
            await self._replicas.close()
            self._replicas = None

    async def _calls(self) -> Calls:
        """Makes calls at a gateway that can be called; what may have reached one is never repeated."""
        async with self._opening:
            if self._replicas is None:
                replicas = ReplicaSet(self._settings.gateway, self._channels, or_unready=True)
                await replicas.refresh()
                self._following = asyncio.create_task(replicas.follow())
                self._replicas = replicas
                self._made = Calls(replicas, _ATTEMPTS, RetryBudget(), Deaths(), repeats=False)
        return self._made

    def _failure(self, error: grpc.aio.AioRpcError) -> ServiceError:
        failure = from_rpc_error(error)
        if failure.reason == "DEADLINE_EXCEEDED":
            return DeadlineExceeded(
                "no answer in time; send a longer X-Request-Timeout, in seconds, or ask for less",
                reason="DEADLINE_EXCEEDED",
            )
        if failure.reason == "UNAVAILABLE":
            return self._unreachable()
        return failure

    def _unreachable(self) -> Unavailable:
        return Unavailable(
            f"the gateway at {', '.join(self._settings.gateway)} does not answer; try again shortly",
            reason="GATEWAY_UNREACHABLE",
            retry_after_s=2.0,
        )


def _metadata() -> tuple[tuple[str, str], ...]:
    given = credential.get()
    return (*request_metadata(), (AUTHORIZATION, given)) if given else request_metadata()


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"
