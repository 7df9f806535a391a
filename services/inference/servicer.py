"""The gRPC servicer of the inference service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from services.inference import convert
from services.inference.sampling import Sampler
from services.serving.errors import ServiceError
from services.serving.identity.cache_salt import cache_salt_of
from services.serving.upstream.started import StartedHeaders

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Converts, calls the sampler, converts."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    async def Generate(  # noqa: N802 - the contract's name
        self, request: inference_pb2.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[inference_pb2.GenerateResponse]:
        """Streams the completions of a conversation."""
        asked = convert.to_sample_request(request, self._sampler.settings, cache_salt_of(context.invocation_metadata()))
        async with aclosing(self._sampler.sample(asked)) as events:
            async for event in events:
                yield convert.from_event(event, self._sampler.settings)

    async def GenerateAll(  # noqa: N802 - the contract's name
        self, request: inference_pb2.GenerateAllRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> inference_pb2.GenerateAllResponse:
        """Samples the completions of a conversation and sends them together."""
        within_s = convert.to_time_for_all(request, context.time_remaining())
        headers = StartedHeaders(context)
        try:
            salt = cache_salt_of(context.invocation_metadata())
            asked = convert.to_sample_request(request.generation, self._sampler.settings, salt)
            sampled = await self._sampler.sample_all(asked, within_s, headers.send)
        except ServiceError as error:
            raise error.renamed(lambda field: f"generation.{field}") from error
        finally:
            await headers.sent()
        return convert.from_sampled(sampled, self._sampler.settings)

    async def GetModel(  # noqa: N802 - the contract's name
        self, request: inference_pb2.GetModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> inference_pb2.GetModelResponse:
        """Describes the model."""
        model = convert.from_model(self._sampler.describe(), self._sampler.settings)
        return inference_pb2.GetModelResponse(model=model)


class InferenceComponent:
    """The inference service as the shared boot runs it."""

    name = "inference"
    services = (SERVICE,)

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.start = sampler.start
        self.watch = sampler.watch
        self.close = sampler.close

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer to a server."""
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(self._sampler), server)
