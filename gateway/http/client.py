"""The gateway's gRPC address, called for one HTTP request each."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from axia.v1 import gateway_pb2
from gateway.http.settings import HttpSettings
from services.serving.app import channel_options
from services.serving.errors import DeadlineExceeded, ServiceError, Unavailable
from services.serving.logs import REQUEST_ID_KEY, request_id
from services.serving.status import from_rpc_error

_LIST_MODELS = gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].methods_by_name["ListModels"]
_READY_TIMEOUT_S = 3.0


class GatewayClient:
    """Calls methods of the contract by their descriptors.

    The channel is opened by the first call, because it belongs to the event loop that runs then.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None

    async def unary(self, method: MethodDescriptor, request: Message, timeout_s: float | None) -> Any:
        """The response of a method that answers once; cancelling this cancels the call.

        Raises:
            ServiceError: As the gateway tells it.
        """
        invoke = self._open().unary_unary(
            _path(method), type(request).SerializeToString, GetMessageClass(method.output_type).FromString
        )
        try:
            return await invoke(request, timeout=timeout_s, metadata=_metadata())
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
        call: Any
        if isinstance(request, Message):
            call = self._open().unary_stream(_path(method), *codec)(request, timeout=timeout_s, metadata=_metadata())
        else:
            call = self._open().stream_stream(_path(method), *codec)(request, timeout=timeout_s, metadata=_metadata())
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        finally:
            call.cancel()

    async def answers(self) -> bool:
        """Whether the gateway answers now."""
        try:
            await self.unary(_LIST_MODELS, gateway_pb2.ListModelsRequest(), _READY_TIMEOUT_S)
        except ServiceError:
            return False
        return True

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._settings.gateway, options=channel_options(self._settings))
        return self._channel

    def _failure(self, error: grpc.aio.AioRpcError) -> ServiceError:
        failure = from_rpc_error(error)
        if failure.reason == "DEADLINE_EXCEEDED":
            return DeadlineExceeded(
                "there was no answer in time; send a longer X-Request-Timeout, in seconds, or ask for less",
                reason="DEADLINE_EXCEEDED",
            )
        if failure.reason == "UNAVAILABLE":
            return Unavailable(
                f"the gateway at {self._settings.gateway} does not answer; try again shortly",
                reason="GATEWAY_UNREACHABLE",
                retry_after_s=2.0,
            )
        return failure


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _metadata() -> tuple[tuple[str, str], ...]:
    return ((REQUEST_ID_KEY, request_id.get()),)
