"""One model behind the gateway, with its replicas, reached over gRPC."""

import asyncio
import dataclasses
import hashlib
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any, NamedTuple

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway import metrics
from gateway.backends import convert_model
from gateway.backends.routes import Route
from gateway.protocols.deadlines import transit_s
from gateway.protocols.ports.model import Generated, ModelEvent, ModelInfo, Question
from gateway.protocols.sampling import ModelDefaults, ModelLimits
from gateway.settings import GatewaySettings
from services.serving.app import channel_options
from services.serving.attempts import Attempt, Calls, Deaths, NoReplica, RetryBudget
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
from services.serving.replicas import Channels, Replica, ReplicaSet, State
from services.serving.started import answer_with_headers
from services.serving.status import from_rpc_error

logger = logging.getLogger(__name__)

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
_GENERATE_ALL = f"/{SERVICE}/GenerateAll"
_DESCRIBE_TIMEOUT_S = 1.0
_CONNECT_TIMEOUT_S = 2.5
"""A little more than the longest pause between two attempts to connect (`channel_options`)."""


class Shared(NamedTuple):
    """What the models behind a gateway have in common."""

    budget: RetryBudget
    deaths: Deaths
    changed: Callable[[], Awaitable[None]]
    """Told that a replica can be called or no longer can."""


class GrpcBackend:
    """One model: the replicas of a route."""

    def __init__(self, route: Route, settings: GatewaySettings, shared: Shared) -> None:
        self.defaults = ModelDefaults(**route.defaults.model_dump())
        self._route = route
        self._settings = settings
        self._running = 0
        self._model: ModelInfo | None = None
        channels = Channels(SERVICE, channel_options(settings))
        self._replicas = ReplicaSet(route.addresses, channels, self._describe, self._report, self._forget)
        self._calls = Calls(self._replicas, settings.model_attempts, shared.budget, shared.deaths, self._note_retry)
        self._changed = shared.changed
        self._reported: dict[str, tuple[str, bool]] = {}

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
        callable_now = [own for own in list(self._replicas.replicas) if own.state in (State.SERVING, State.SLOW)]
        for replica, fit in zip(callable_now, await asyncio.gather(*map(self._describe, callable_now)), strict=True):
            replica.fit = fit
        if self._replicas.targets:
            metrics.BACKEND_AVAILABLE.labels(self.address).set(self.callable)
        await self._changed()

    def follow_route(self, route: Route) -> None:
        """Goes over to another route to the same model. Replicas that it doesn't name end their calls first."""
        if route.addresses != self._route.addresses:
            metrics.BACKEND_AVAILABLE.remove(self.address)
            self._replicas.targets[:] = route.addresses
        self._route = route
        self.defaults = ModelDefaults(**route.defaults.model_dump())

    def leave(self) -> None:
        """Gives up all replicas, each as soon as its calls have ended."""
        metrics.BACKEND_AVAILABLE.remove(self.address)
        self._replicas.targets.clear()

    @property
    def left(self) -> bool:
        """Whether it has no replicas left after `leave`."""
        return not self._replicas.replicas

    async def adopt(self, other: "GrpcBackend") -> None:
        """Takes in the replicas of another backend, which were found to hold the same model. Whoever holds the other
        can go on with it."""
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
            response = await stub.GetModel(inference_pb2.GetModelRequest(), timeout=_DESCRIBE_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            # One that is busy is as fit as it was before.
            return replica.fit and self._model is not None
        except asyncio.CancelledError:
            if not replica.closed:
                raise
            return False
        return self._note(replica, convert_model.to_model_info(response.model))

    def _note(self, replica: Replica, model: ModelInfo) -> bool:
        expected = self._route.name or (self.name if self._held_beside(replica) else "")
        if expected and model.name != expected:
            if replica.fit:
                logger.error(
                    "the inference server at %s holds %r, not %r; it is not used", replica.address, model.name, expected
                )
            return False
        if self._model is None or self._model.name != model.name:
            logger.info("the inference server at %s answers with %s", replica.address, model.name)
        self._model = model
        return True

    def _held_beside(self, replica: Replica) -> bool:
        """Whether another replica that can be called holds this model."""
        able = (State.SERVING, State.SLOW)
        return any(own is not replica and own.fit and own.state in able for own in self._replicas.replicas)

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
            logger.info("the replica of %s at %s can be called", model or "a model", replica.address)
        elif before is not None and before[1] and not available:
            logger.warning("the replica of %s at %s can no longer be called", model or "a model", replica.address)

    def _forget(self, replica: Replica) -> None:
        if (reported := self._reported.pop(replica.address, None)) is not None:
            metrics.REPLICA_AVAILABLE.remove(reported[0], replica.address)

    def _note_retry(self, reason: str) -> None:
        metrics.RETRIES.labels(self.name, reason).inc()

    async def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        """Samples completions; see `gateway.protocols.ports.model.Backend`."""
        request = inference_pb2.GenerateRequest()
        convert_model.write_question(question, self.model.name, request)
        try:
            async with aclosing(self.pass_on(request, timeout_s)) as responses:
                async for response in responses:
                    yield convert_model.to_model_event(response)
        except ServiceError as error:
            raise error.renamed(partial(convert_model.callers_field, question=question, reason=error.reason)) from error

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
            metadata = _metadata()

            def invoke(attempt: Attempt) -> Any:
                stub = attempt.replica.stub(inference_pb2_grpc.InferenceServiceStub)
                return stub.Generate(request, timeout=attempt.timeout_s, metadata=metadata)

            calls = self._calls.stream(invoke, timeout_s, self._key(request), lambda: _fingerprint(request))
            async with aclosing(calls) as responses:
                async for response in responses:
                    yield response

    async def generate_all(self, question: Question, timeout_s: float) -> Generated:
        """Samples completions and waits for all; see `gateway.protocols.ports.model.Backend`."""
        request = inference_pb2.GenerateAllRequest(within_ms=_milliseconds(timeout_s))
        convert_model.write_question(question, self.model.name, request.generation)
        try:
            response = await self.pass_on_all(request, timeout_s + self._transit_s(timeout_s))
        except ServiceError as error:
            raise error.renamed(partial(convert_model.callers_field, question=question, reason=error.reason)) from error
        return convert_model.to_generated(response)

    async def pass_on_all(
        self, request: inference_pb2.GenerateAllRequest, timeout_s: float, started: Callable[[], None] | None = None
    ) -> inference_pb2.GenerateAllResponse:
        """Lets a replica answer a request in one message, what is done in time included; see `pass_on`.

        Args:
            request: What is asked.
            timeout_s: Time for it, in seconds.
            started: Called as soon as the replica says that its model has begun to answer.
        """
        limit_s = self._route.limits.timeout_s
        if limit_s is not None:
            timeout_s = min(timeout_s, limit_s + self._transit_s(limit_s))
        if request.within_ms > 0:
            request.within_ms = min(request.within_ms, _milliseconds(timeout_s - self._transit_s(timeout_s)))
        metadata = _metadata()

        def invoke(attempt: Attempt) -> Any:
            options: dict[str, Any] = {"timeout": attempt.timeout_s, "metadata": metadata}
            if started is None:
                return attempt.replica.stub(inference_pb2_grpc.InferenceServiceStub).GenerateAll(request, **options)
            answer = inference_pb2.GenerateAllResponse
            return answer_with_headers(attempt.replica.channel, _GENERATE_ALL, request, answer, started, **options)

        generation = request.generation
        with self._asking():
            response: inference_pb2.GenerateAllResponse = await self._calls.unary(
                invoke, timeout_s, self._key(generation), lambda: _fingerprint(generation)
            )
            return response

    def _key(self, request: inference_pb2.GenerateRequest) -> bytes:
        """What keeps a picture at one replica, if that is wanted."""
        if not self._settings.picture_affinity:
            return b""
        first = next(_pictures(request), b"")  # of several the others may be new in each turn of a conversation
        return hashlib.sha256(first).digest() if first else b""

    def _transit_s(self, timeout_s: float) -> float:
        return transit_s(timeout_s, self._settings.deadline_margin_s)

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
        except NoReplica as error:
            raise unreachable(self.address) from error
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
        await self._replicas.follow()

    async def close(self) -> None:
        """Closes the connections."""
        await self._replicas.close()


def _milliseconds(seconds: float) -> int:
    return round(1000 * min(max(seconds, 0.001), MAX_WITHIN_S))


def _pictures(request: inference_pb2.GenerateRequest) -> Iterator[bytes]:
    """The pictures of a conversation in their order."""
    if request.image.data:
        yield request.image.data
    for message in request.messages:
        for shown in message.images:
            yield shown.image.data


def _fingerprint(request: inference_pb2.GenerateRequest) -> bytes:
    """A hash of the pictures and the prompt, without what is sampled."""
    digest = hashlib.sha256()
    for picture in _pictures(request):
        digest.update(hashlib.sha256(picture).digest())
    for message in request.messages:
        digest.update(f"\0{message.role}\0{message.text}".encode())
    return digest.digest()


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
