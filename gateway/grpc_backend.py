"""One model behind the gateway, with its replicas, reached over gRPC."""

import asyncio
import dataclasses
import logging
import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import cast

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway import convert_model, metrics
from gateway.channels import replica_options
from gateway.model import Generated, ModelEvent, ModelInfo, Question
from gateway.replicas import Replica
from gateway.routes import Route
from gateway.sampling import ModelDefaults, ModelLimits
from gateway.settings import GatewaySettings
from services.serving.errors import (
    Code,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from services.serving.limits import MAX_WITHIN_S
from services.serving.logs import REQUEST_ID_KEY, request_id
from services.serving.metrics import series
from services.serving.status import from_rpc_error

logger = logging.getLogger(__name__)

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
_GENERATING = ("Generate", "GenerateAll")
_LEAST_TRANSIT_S = 0.025
_DESCRIBE_TIMEOUT_S = 1.0
_CONNECT_TIMEOUT_S = 2.5
"""A little more than the longest pause between two attempts to connect (`channel_options`)."""


class GrpcBackend:
    """One model: the replicas of a route."""

    def __init__(self, route: Route, settings: GatewaySettings) -> None:
        self.address = route.shown
        self.available = False
        self.defaults = ModelDefaults(**route.defaults.model_dump())
        self._route = route
        self._settings = settings
        self._running = 0
        self._channel = grpc.aio.insecure_channel(route.target, options=replica_options(settings, SERVICE, _GENERATING))
        # One class serves both kinds of channel at run time; its stub file has two.
        self._stub = cast(
            "inference_pb2_grpc.InferenceServiceAsyncStub", inference_pb2_grpc.InferenceServiceStub(self._channel)
        )
        self._model: ModelInfo | None = None
        self._replicas = [Replica(own, SERVICE, lambda: self.name, settings) for own in route.addresses]

    @property
    def known_model(self) -> ModelInfo | None:
        """The model, if a server has ever answered."""
        return self._model

    @property
    def name(self) -> str:
        """The model's name, as the route states it or a server told it; empty if neither did."""
        return self._route.name or (self._model.name if self._model else "")

    @property
    def model(self) -> ModelInfo:
        """The model; only after a server has answered once."""
        if self._model is None:
            raise Unavailable(
                f"the inference server at {self.address} has not answered yet",
                reason="BACKEND_UNKNOWN",
                retry_after_s=2.0,
            )
        return self._model

    @property
    def offered(self) -> ModelInfo | None:
        """The model with the limits that hold for callers; None if no server has ever answered."""
        if self._model is None:
            return None
        limits = self.limits
        return dataclasses.replace(self._model, max_samples=limits.max_samples, max_tokens=limits.max_tokens)

    @property
    def limits(self) -> ModelLimits:
        """The bounds of the model's servers and of the route, whichever is less."""
        model, route = self.model, self._route.limits
        return ModelLimits(
            min(model.max_samples, route.max_n or model.max_samples),
            min(model.max_tokens, route.max_tokens or model.max_tokens),
            route.concurrency,
        )

    async def refresh(self, *, connecting: bool = False) -> None:
        """Asks for the model, and notes whether a server answers.

        Args:
            connecting: Wait for the connection, where it would otherwise fail at once between two attempts.
        """
        timeout_s = _CONNECT_TIMEOUT_S if connecting else _DESCRIBE_TIMEOUT_S
        request = inference_pb2.GetModelRequest()
        available = False
        try:
            response = await self._stub.GetModel(request, timeout=timeout_s, wait_for_ready=connecting)
        except grpc.aio.AioRpcError as error:
            if self.available:
                logger.warning("the inference server at %s no longer answers: %s", self.address, error.code().name)
        else:
            available = self._note(convert_model.to_model_info(response.model))
        self.available = available
        metrics.BACKEND_AVAILABLE.labels(self.address).set(available)

    def _note(self, model: ModelInfo) -> bool:
        if self._route.name and model.name != self._route.name:
            logger.error(
                "the inference server at %s holds %r, and AXIA_GATEWAY_MODELS says %r; it is not used",
                self.address,
                model.name,
                self._route.name,
            )
            return False
        if not self.available:
            logger.info("the inference server at %s answers with %s", self.address, model.name)
        self._model = model
        return True

    async def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        """Samples completions; see `gateway.model.Backend`."""
        request = inference_pb2.GenerateRequest()
        convert_model.write_question(question, self.model.name, request)
        try:
            async with aclosing(self.pass_on(request, timeout_s)) as responses:
                async for response in responses:
                    yield convert_model.to_model_event(response)
        except ServiceError as error:
            raise error.renamed(lambda field: convert_model.callers_field(field, question)) from error

    async def pass_on(
        self, request: inference_pb2.GenerateRequest, timeout_s: float
    ) -> AsyncGenerator[inference_pb2.GenerateResponse, None]:
        """Lets a replica answer a request, within the bounds of the route.

        Raises:
            ResourceExhausted: If the route's calls or the model's queue are full.
            DeadlineExceeded: If it was not done in time.
            Unavailable: If no replica answers.
            FailedPrecondition: If the replica is too old to know the method.
            ServiceError: What the replica refuses.
        """
        with self._asking():
            timeout_s = min(timeout_s, self._route.limits.timeout_s or math.inf)
            call = self._stub.Generate(request, timeout=timeout_s, metadata=_metadata())
            try:
                async for response in call:
                    yield response
            finally:
                call.cancel()

    async def generate_all(self, question: Question, timeout_s: float) -> Generated:
        """Samples completions and waits for all; see `gateway.model.Backend`."""
        request = inference_pb2.GenerateAllRequest(within_ms=_milliseconds(timeout_s))
        convert_model.write_question(question, self.model.name, request.generation)
        try:
            response = await self.pass_on_all(request, timeout_s + self._transit_s)
        except ServiceError as error:
            raise error.renamed(lambda field: convert_model.callers_field(field, question)) from error
        return convert_model.to_generated(response)

    async def pass_on_all(
        self, request: inference_pb2.GenerateAllRequest, timeout_s: float
    ) -> inference_pb2.GenerateAllResponse:
        """Lets a replica answer a request in one message, what is done in time included; see `pass_on`."""
        timeout_s = min(timeout_s, (self._route.limits.timeout_s or math.inf) + self._transit_s)
        if request.within_ms > 0:
            request.within_ms = min(request.within_ms, _milliseconds(timeout_s - self._transit_s))
        with self._asking():
            return await self._stub.GenerateAll(request, timeout=timeout_s, metadata=_metadata())

    @property
    def _transit_s(self) -> float:
        """Time that an answer has to arrive which was sent when time ran out.

        Half of the margin before a caller's deadline: the other half is left to say that nothing came.
        """
        return max(self._settings.deadline_margin_s / 2, _LEAST_TRANSIT_S)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Around one call: the route's bound on calls, their count, and errors as the gateway's own."""
        limits = self._route.limits
        if limits.concurrency is not None and self._running >= limits.concurrency:
            raise ResourceExhausted(
                f"model {self.name!r} takes {limits.concurrency:,} calls at a time here; try again shortly",
                reason="MODEL_BUSY",
                retry_after_s=1.0,
            )
        self._running += 1
        in_flight = series(metrics.MODEL_IN_FLIGHT, self.name)
        in_flight.inc()
        try:
            yield
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if failure.code is Code.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(
                    "the model was not done in time; allow the call more time or ask for fewer tokens",
                    reason="DEADLINE_EXCEEDED",
                ) from error
            if failure.reason == "UNIMPLEMENTED":
                raise FailedPrecondition(
                    f"an inference server at {self.address} is of an older release than this gateway and doesn't know "
                    "all that it asks; upgrade it",
                    reason="INFERENCE_TOO_OLD",
                ) from error
            if failure.code is Code.UNAVAILABLE and failure.reason == "UNAVAILABLE":
                raise unreachable(self.address) from error
            raise failure from error
        finally:
            self._running -= 1
            in_flight.dec()

    async def follow_replicas(self) -> None:
        """Follows the health of each replica; never ends by itself."""
        await asyncio.gather(*(replica.follow() for replica in self._replicas))

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.gather(self._channel.close(), *(replica.close() for replica in self._replicas))


def _milliseconds(seconds: float) -> int:
    return round(1000 * min(max(seconds, 0.001), MAX_WITHIN_S))


def _metadata() -> tuple[tuple[str, str], ...]:
    return ((REQUEST_ID_KEY, request_id.get()),)


def unreachable(address: str) -> Unavailable:
    """That no replica answers."""
    return Unavailable(
        f"no inference server answers at {address}: it may be loading its model or be down; try again shortly, "
        "and see its log if that does not help",
        reason="BACKEND_UNREACHABLE",
        retry_after_s=2.0,
    )
