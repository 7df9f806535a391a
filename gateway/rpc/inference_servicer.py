"""Serves every model behind the gateway as an inference service, for conversations that are no protocol of axia's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway.backends.model_client import GrpcBackend
from gateway.backends.pool import BackendPool
from gateway.protocols.fields import GENERATION
from gateway.protocols.ports.model import ModelInfo
from gateway.rpc.convert_detection import from_model_info
from gateway.settings import GatewaySettings
from services.serving.deadlines import time_for_call
from services.serving.errors import InvalidArgument, renaming
from services.serving.limits import MAX_WITHIN_S, check_between
from services.serving.upstream.started import StartedHeaders


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Finds the model's servers and lets one of them answer."""

    def __init__(self, backends: BackendPool, settings: GatewaySettings) -> None:
        self._backends = backends
        self._settings = settings

    # The names of the methods below are the contract's.
    # ruff: noqa: N802

    async def Generate(
        self, request: inference_pb2.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[inference_pb2.GenerateResponse]:
        """Samples completions of a conversation with the model that the request names, or with the default model."""
        backend = await self._prepared(request)
        async with aclosing(backend.forward(request, self._time_for(context))) as responses:
            async for response in responses:
                yield response

    async def GenerateAll(
        self, request: inference_pb2.GenerateAllRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> inference_pb2.GenerateAllResponse:
        """The same in one message."""
        check_between("within_ms", request.within_ms, 0, 1000 * MAX_WITHIN_S)
        with renaming(GENERATION):
            backend = await self._prepared(request.generation)
        headers = StartedHeaders(context)
        try:
            return await backend.forward_all(request, self._time_for(context), headers.send)
        finally:
            await headers.sent()

    async def _prepared(self, request: inference_pb2.GenerateRequest) -> GrpcBackend:
        """The backend of a request, which is checked against its limits and gets its defaults."""
        backend = await self._backends.find(request.model)
        limits = backend.limits
        if len(request.samples) > limits.max_samples:
            raise InvalidArgument(
                "samples", f"at most {limits.max_samples} are allowed, but {len(request.samples)} are given"
            )
        if request.HasField("max_tokens") and request.max_tokens > limits.max_tokens:
            if not request.lower_max_tokens:
                raise InvalidArgument("max_tokens", f"must be at most {limits.max_tokens}, but is {request.max_tokens}")
            request.max_tokens = limits.max_tokens
        _check_images(request, backend.model)
        request.model = backend.model.name
        _fill_in(request, backend)
        return backend

    def _time_for(self, context: grpc.aio.ServicerContext[Any, Any]) -> float:
        return time_for_call(context.time_remaining(), self._settings.default_timeout_s)

    async def GetModel(
        self, request: inference_pb2.GetModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> inference_pb2.GetModelResponse:
        """Describes the default model, with the limits that hold here; ListModels of the gateway describes all."""
        backend = await self._backends.find("")
        return inference_pb2.GetModelResponse(model=from_model_info(backend.offered or backend.model))


def _check_images(request: inference_pb2.GenerateRequest, model: ModelInfo) -> None:
    """Refuses more pictures than the model takes: a server of an earlier release would overlook those in messages."""
    shown = [
        f"messages[{index}].images[{position}]"
        for index, message in enumerate(request.messages)
        for position in range(len(message.images))
    ]
    if not shown:
        return
    given = len(shown) + request.HasField("image")
    if given > model.max_images:
        least = max(model.max_images, int(model.accepts_images))
        where = "" if model.max_images else " in the first user message"
        raise InvalidArgument(
            shown[max(model.max_images - request.HasField("image"), 0)],
            f"{model.name!r} supports at most {least} in a conversation{where}, but {given} images are given; leave "
            "some out",
            reason="TOO_MANY_IMAGES",
        )


def _fill_in(request: inference_pb2.GenerateRequest, backend: GrpcBackend) -> None:
    """Sets what a request leaves unset to the model's defaults."""
    defaults = backend.defaults
    if not request.HasField("max_tokens"):
        request.max_tokens = defaults.tokens(backend.limits)
    if not request.HasField("top_p"):
        request.top_p = defaults.effective_top_p()
    if request.default_temperature and defaults.temperature is not None:
        for sample in request.samples:
            sample.temperature = defaults.temperature
    request.default_temperature = False
