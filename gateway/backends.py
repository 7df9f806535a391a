"""The models behind the gateway, each with its replicas, reached over gRPC."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple, cast

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway import convert_model, metrics
from gateway.channels import replica_options
from gateway.model import ModelEvent, ModelInfo, Question
from gateway.replicas import Replica
from gateway.routes import Route
from gateway.sampling import ModelDefaults, ModelLimits
from gateway.settings import GatewaySettings
from services.serving.errors import Code, DeadlineExceeded, NotFound, ResourceExhausted, ServiceError, Unavailable
from services.serving.logs import REQUEST_ID_KEY, request_id
from services.serving.status import from_rpc_error

logger = logging.getLogger(__name__)

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
_DESCRIBE_TIMEOUT_S = 1.0
_CONNECT_TIMEOUT_S = 2.5
"""A little more than the longest pause between two attempts to connect (`channel_options`)."""


class BackendState(NamedTuple):
    """What the gateway knows of a model's servers."""

    address: str
    model: ModelInfo | None
    """With the limits that hold for callers."""
    available: bool


class GrpcBackend:
    """One model: the replicas of a route."""

    def __init__(self, route: Route, settings: GatewaySettings) -> None:
        self.address = route.shown
        self.available = False
        self.defaults = ModelDefaults(**route.defaults.model_dump())
        self._route = route
        self._running = 0
        self._channel = grpc.aio.insecure_channel(route.target, options=replica_options(settings, SERVICE, "Generate"))
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
        request = convert_model.from_question(question, self.model.name)
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
            DeadlineExceeded: If not one completion was done in time.
            Unavailable: If no replica answers.
            ServiceError: What the replica refuses.
        """
        limits = self._route.limits
        if limits.concurrency is not None and self._running >= limits.concurrency:
            raise ResourceExhausted(
                f"model {self.name!r} takes {limits.concurrency:,} calls at a time here; try again shortly",
                reason="MODEL_BUSY",
                retry_after_s=1.0,
            )
        timeout_s = min(timeout_s, limits.timeout_s or timeout_s)
        metadata = ((REQUEST_ID_KEY, request_id.get()),)
        self._running += 1
        in_flight = metrics.MODEL_IN_FLIGHT.labels(self.name)
        in_flight.inc()
        call = self._stub.Generate(request, timeout=timeout_s, metadata=metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if failure.code is Code.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(
                    "not one completion was done in time; allow the call more time or ask for fewer tokens",
                    reason="DEADLINE_EXCEEDED",
                ) from error
            if failure.code is Code.UNAVAILABLE and failure.reason == "UNAVAILABLE":
                raise _unreachable(self.address) from error
            raise failure from error
        finally:
            self._running -= 1
            in_flight.dec()
            call.cancel()

    async def follow_replicas(self) -> None:
        """Follows the health of each replica; never ends by itself."""
        await asyncio.gather(*(replica.follow() for replica in self._replicas))

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.gather(self._channel.close(), *(replica.close() for replica in self._replicas))


class BackendPool:
    """All models, their servers asked again and again in the background."""

    def __init__(self, routes: Sequence[Route], settings: GatewaySettings) -> None:
        self._settings = settings
        self._routes = routes
        self._backends: Sequence[GrpcBackend] = ()

    async def start(self) -> None:
        """Opens the connections and asks each server once."""
        self._backends = [GrpcBackend(route, self._settings) for route in self._routes]
        await self._refresh()

    async def watch(self) -> None:
        """Keeps asking models and each of their replicas; never ends by itself."""
        await asyncio.gather(self._keep_refreshing(), *(backend.follow_replicas() for backend in self._backends))

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_s)
            await self._refresh()

    async def _refresh(self) -> None:
        await asyncio.gather(*(backend.refresh() for backend in self._backends))

    async def find(self, model: str) -> GrpcBackend:
        """The backend of a model by name, or the first one for an empty name.

        Raises:
            NotFound: If every server answers and none holds the model.
            Unavailable: If a server that may hold it does not answer.
        """
        found = self._known(model)
        if found is None:
            # A server that came up a moment ago is worth one question, even between two attempts to connect to it.
            unknown = [backend for backend in self._candidates(model) if backend.known_model is None]
            await asyncio.gather(*(b.refresh(connecting=True) for b in unknown or self._candidates(model)))
            found = self._known(model)
        if found is not None:
            return found
        silent = [backend.address for backend in self._candidates(model) if backend.known_model is None]
        if silent:
            raise _unreachable(", ".join(silent))
        names = ", ".join(repr(backend.name) for backend in self._backends)
        raise NotFound(
            "model", f"there is no model {model!r} behind this gateway; there is {names}", reason="MODEL_UNKNOWN"
        )

    def _candidates(self, model: str) -> Sequence[GrpcBackend]:
        """Those that may hold a model: its route, or every one whose name is still to be learned."""
        if not model:
            return self._backends[:1]
        return [backend for backend in self._backends if backend.name in ("", model)]

    def _known(self, model: str) -> GrpcBackend | None:
        holding = (b for b in self._candidates(model) if b.known_model is not None)
        return next(holding, None)

    async def states(self) -> list[BackendState]:
        """Each model, its servers asked now."""
        await self._refresh()
        return [BackendState(backend.address, backend.offered, backend.available) for backend in self._backends]

    async def close(self) -> None:
        """Closes all connections."""
        await asyncio.gather(*(backend.close() for backend in self._backends))


def _unreachable(address: str) -> Unavailable:
    return Unavailable(
        f"no inference server answers at {address}: it may be loading its model or be down; try again shortly, "
        "and see its log if that does not help",
        reason="BACKEND_UNREACHABLE",
        retry_after_s=2.0,
    )
