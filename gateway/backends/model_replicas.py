"""The replicas of a route, which model they hold, and whether they can be called."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, NamedTuple

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway import metrics
from gateway.backends.routes import Route
from gateway.protocols.ports.model import ModelInfo
from gateway.protocols.sampling import ModelLimits
from gateway.settings import GatewaySettings
from services.serving.app import channels_to
from services.serving.errors import Unavailable
from services.serving.tracing import untraced_headers
from services.serving.upstream.attempts import Deaths, RetryBudget
from services.serving.upstream.replica import Replica, State
from services.serving.upstream.replicas import ReplicaSet

logger = logging.getLogger(__name__)

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
_DESCRIBE_TIMEOUT_S = 1.0
_CONNECT_TIMEOUT_S = 2.5
"""A little more than the longest pause between two attempts to connect (`channel_options`)."""


class Shared(NamedTuple):
    """What the models behind a gateway have in common."""

    budget: RetryBudget
    deaths: Deaths
    changed: Callable[[], Awaitable[None]]
    """Told that a replica can be called or no longer can."""


class ModelReplicas:
    """One model: the replicas of a route, asked for what they hold."""

    def __init__(self, route: Route, settings: GatewaySettings, shared: Shared) -> None:
        self._route = route
        self._model: ModelInfo | None = None
        channels = channels_to(SERVICE, settings)
        self._replicas = ReplicaSet(route.addresses, channels, self._describe, self._report, self._forget)
        self._changed = shared.changed
        self._reported: dict[str, tuple[str, bool]] = {}
        self._meeting: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """The addresses, for people."""
        return ",".join(self._replicas.targets)

    @property
    def callable(self) -> bool:
        """Whether a replica can be called."""
        return self._replicas.callable

    @property
    def named_by_route(self) -> bool:
        """Whether the routing table names the model, rather than its servers."""
        return bool(self._route.name)

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
        """Asks each replica for its health and those that can be called for their model.

        Args:
            connecting: Wait for connections, where the questions would otherwise fail at once between two attempts.
        """
        await self._replicas.refresh(_CONNECT_TIMEOUT_S if connecting else 0.0)
        callable_now = [
            replica for replica in list(self._replicas.replicas) if replica.state in (State.SERVING, State.SLOW)
        ]
        for replica, fit in zip(callable_now, await asyncio.gather(*map(self._describe, callable_now)), strict=True):
            replica.fit = fit
        if self._replicas.targets:
            metrics.BACKEND_AVAILABLE.labels(self.address).set(self.callable)
        await self._changed()

    async def meet(self) -> None:
        """Asks as `refresh` does, and waits for connections. Callers that come meanwhile share the questions: one after
        the other would wait longer than their deadlines for a server that accepts connections and doesn't answer."""
        if self._meeting is None or self._meeting.done():
            self._meeting = asyncio.create_task(self.refresh(connecting=True))
        await asyncio.shield(self._meeting)

    def follow_route(self, route: Route) -> None:
        """Goes over to another route to the same model. Replicas that it doesn't name end their calls first."""
        if route.addresses != self._route.addresses:
            metrics.BACKEND_AVAILABLE.remove(self.address)
            self._replicas.targets[:] = route.addresses
        self._route = route

    def leave(self) -> None:
        """Gives up all replicas, each as soon as its calls have ended."""
        metrics.BACKEND_AVAILABLE.remove(self.address)
        self._replicas.targets.clear()

    @property
    def removed(self) -> bool:
        """Whether the routing table no longer names it."""
        return not self._replicas.targets

    @property
    def left(self) -> bool:
        """Whether it has no replicas left after `leave`."""
        return not self._replicas.replicas

    def _unreachable(self) -> Unavailable:
        """That no replica answers, or that there are none any more."""
        if not self.removed:
            return unreachable(self.address)
        return Unavailable(
            f"{self.name!r} is no longer available: the routing table changed while this call waited; ListModels "
            "lists the models",
            reason="MODEL_REMOVED",
            retry_after_s=2.0,
        )

    async def adopt(self, other: "ModelReplicas") -> None:
        """Takes in the replicas of another backend, which were found to hold the same model. Whoever holds the other
        can continue with it."""
        for address in (self.address, other.address):
            metrics.BACKEND_AVAILABLE.remove(address)
        self._replicas.absorb(other._replicas)
        self._reported |= other._reported
        logger.info("%s are replicas of %s", self.address, self.name)
        await self.refresh()

    async def _describe(self, replica: Replica) -> bool:
        """Asks a replica for its model; whether it is this one."""
        try:
            stub: Any = replica.stub(inference_pb2_grpc.InferenceServiceStub)
            metadata = untraced_headers()
            response = await stub.GetModel(
                inference_pb2.GetModelRequest(), timeout=_DESCRIBE_TIMEOUT_S, metadata=metadata
            )
        except grpc.aio.AioRpcError:
            # One that is busy is as fit as it was before.
            return replica.fit and self._model is not None
        except asyncio.CancelledError:
            if not replica.closed:
                raise
            return False
        return self._note(replica, to_model_info(response.model))

    def _note(self, replica: Replica, model: ModelInfo) -> bool:
        expected = self._route.name or (self.name if self._held_beside(replica) else "")
        if expected and model.name != expected:
            if replica.fit:
                logger.error(
                    "the inference server at %s serves %r, not %r; it is not used",
                    replica.address,
                    model.name,
                    expected,
                )
            return False
        if self._model is None or self._model.name != model.name:
            logger.info("the inference server at %s serves %s", replica.address, model.name)
        self._model = model
        return True

    def _held_beside(self, replica: Replica) -> bool:
        """Whether another replica that can be called holds this model."""
        able = (State.SERVING, State.SLOW)
        return any(other is not replica and other.fit and other.state in able for other in self._replicas.replicas)

    async def _report(self, replica: Replica) -> None:
        """Says of each address whether it can be called."""
        await self._changed()
        if replica.state is State.SLOW:
            return  # it may be busy for a moment
        model, available = self.name, replica.state is State.SERVING and replica.fit
        before = self._reported.get(replica.address)
        if before is not None and before[0] != model:  # learned since, or another: no series may stay behind
            metrics.REPLICA_AVAILABLE.remove(before[0], replica.address)
        self._reported[replica.address] = (model, available)
        metrics.REPLICA_AVAILABLE.labels(model, replica.address).set(available)
        if available and (before is None or not before[1]):
            logger.info("the replica of %s at %s is available", model or "a model", replica.address)
        elif before is not None and before[1] and not available:
            logger.warning("the replica of %s at %s is no longer available", model or "a model", replica.address)

    def _forget(self, replica: Replica) -> None:
        if (reported := self._reported.pop(replica.address, None)) is not None:
            metrics.REPLICA_AVAILABLE.remove(reported[0], replica.address)

    async def follow_replicas(self) -> None:
        """Follows the health of each replica; never ends by itself."""
        await self._replicas.follow()

    async def close(self) -> None:
        """Closes the connections."""
        if self._meeting is not None:
            self._meeting.cancel()
            await asyncio.gather(self._meeting, return_exceptions=True)
        await self._replicas.close()


def to_model_info(model: inference_pb2.Model) -> ModelInfo:
    """Reads the description of a model."""
    return _model_info(model.SerializeToString())


@lru_cache(maxsize=256)
def _model_info(serialized: bytes) -> ModelInfo:
    # Every answer describes its model, and it is nearly always the one before.
    model = inference_pb2.Model.FromString(serialized)
    return ModelInfo(**{field.name: getattr(model, field.name) for field in model.DESCRIPTOR.fields})


def unreachable(address: str) -> Unavailable:
    """That no replica answers."""
    return Unavailable(
        f"no inference server answers at {address}: it may be loading its model or not running; try again shortly. "
        "If the problem remains, check its log",
        reason="BACKEND_UNREACHABLE",
        retry_after_s=2.0,
    )
