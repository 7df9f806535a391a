"""One model behind the gateway, reached over gRPC; see `gateway.protocols.ports.model.Backend`."""

import hashlib
import math
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway import metrics
from gateway.backends.admission import Admission, Flow, Place
from gateway.backends.model_messages import (
    as_callers,
    fingerprint,
    pictures,
    size_of,
    to_generated,
    to_model_event,
    write_question,
)
from gateway.backends.model_replicas import SERVICE, ModelReplicas, Shared
from gateway.backends.model_spans import ModelSpan
from gateway.backends.routes import Route
from gateway.protocols.ports.model import CallSize, Generated, ModelEvent, Question
from gateway.protocols.sampling import ModelDefaults
from gateway.settings import GatewaySettings
from services.serving.deadlines import Deadline
from services.serving.errors import Code, DeadlineExceeded, FailedPrecondition, ResourceExhausted, ServiceError
from services.serving.identity.cache_salt import cache_salt_metadata
from services.serving.identity.principal import ANYBODY, principal
from services.serving.in_flight import InFlight
from services.serving.limits import MAX_WITHIN_S
from services.serving.logs import request_metadata
from services.serving.metrics import series
from services.serving.status import from_rpc_error
from services.serving.tracing import span, stream_span
from services.serving.upstream.attempts import Attempt, Calls, NoReplica
from services.serving.upstream.replica import Replica
from services.serving.upstream.started import answer_with_headers

_GENERATE_ALL = f"/{SERVICE}/GenerateAll"
_TRANSIT_SHARE, _LEAST_TRANSIT_S, _USUAL_TRANSIT_S = 0.1, 0.005, 0.025


class GrpcBackend(ModelReplicas):
    """One model, which any of its replicas answers for."""

    def __init__(self, route: Route, settings: GatewaySettings, shared: Shared) -> None:
        super().__init__(route, settings, shared)
        self.defaults = ModelDefaults(**route.defaults.model_dump())
        self._settings = settings
        self._in_flight = InFlight(route.limits.concurrency or sys.maxsize)
        self._calls = Calls(self._replicas, settings.model_attempts, shared.budget, shared.deaths, self._note_retry)
        self._admission = Admission(
            lambda: self.name,
            lambda: self._replicas.replicas,
            self._completions_each,
            settings.most_waiting,
            self._note_waiting,
        )

    def follow_route(self, route: Route) -> None:
        """Goes over to another route to the same model, with its defaults and limits."""
        super().follow_route(route)
        self.defaults = ModelDefaults(**route.defaults.model_dump())
        self._in_flight.most = route.limits.concurrency or sys.maxsize
        self._admission.next_turns()  # it may let replicas have more at a time

    async def refresh(self, *, connecting: bool = False) -> None:
        """Asks each replica for its health and its model; see `ModelReplicas.refresh`."""
        await super().refresh(connecting=connecting)
        self._admission.next_turns()  # one may have been found to hold another model, or be about to leave

    async def adopt(self, other: ModelReplicas) -> None:
        """Takes in the replicas of another backend, and the calls to them that are still to come."""
        await super().adopt(other)
        if isinstance(other, GrpcBackend):
            other._admission = self._admission

    def _completions_each(self) -> int:
        return self._route.limits.replica_completions or self._settings.replica_completions

    async def _report(self, replica: Replica) -> None:
        await super()._report(replica)
        self._admission.next_turns()  # one that came back has room

    def _note_retry(self, reason: str) -> None:
        metrics.RETRIES.labels(self.name, reason).inc()

    async def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        """Samples completions; see `gateway.protocols.ports.model.Backend`."""
        request = inference_pb2.GenerateRequest()
        write_question(question, self.model.name, request)
        try:
            async with aclosing(self.forward(request, timeout_s)) as responses:
                async for response in responses:
                    yield to_model_event(response)
        except ServiceError as error:
            raise as_callers(error, question) from error

    async def forward(
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
        timeout_s = min(timeout_s, self._route.limits.timeout_s or math.inf)
        with stream_span(f"chat {self.name}", kind="client") as traced:
            noted = ModelSpan(traced, self.name, request)
            async with self._asking(request, timeout_s) as place:
                noted.waited(place.waited_s)
                metadata = (*request_metadata(traced), *cache_salt_metadata())

                def invoke(attempt: Attempt) -> Any:
                    place.at(attempt.replica)
                    noted.tried(attempt.replica.address)
                    stub = attempt.replica.stub(inference_pb2_grpc.InferenceServiceStub)
                    return stub.Generate(request, timeout=attempt.timeout_s, metadata=metadata)

                left_s = timeout_s - place.waited_s
                calls = self._calls.stream(invoke, left_s, self._key(request), lambda: fingerprint(request))
                async with aclosing(calls) as responses:
                    async for response in responses:
                        noted.read(response)
                        yield response

    async def generate_all(self, question: Question, timeout_s: float) -> Generated:
        """Samples completions and waits for all; see `gateway.protocols.ports.model.Backend`."""
        request = inference_pb2.GenerateAllRequest(within_ms=_milliseconds(timeout_s))
        write_question(question, self.model.name, request.generation)
        try:
            response = await self.forward_all(request, timeout_s + self._transit_s(timeout_s))
        except ServiceError as error:
            raise as_callers(error, question) from error
        return to_generated(response)

    async def forward_all(
        self, request: inference_pb2.GenerateAllRequest, timeout_s: float, started: Callable[[], None] | None = None
    ) -> inference_pb2.GenerateAllResponse:
        """Lets a replica answer a request in one message, what is done in time included; see `forward`.

        Args:
            request: What is asked.
            timeout_s: Time for it, in seconds.
            started: Called as soon as the replica says that its model has begun to answer.
        """
        limit_s = self._route.limits.timeout_s
        if limit_s is not None:
            timeout_s = min(timeout_s, limit_s + self._transit_s(limit_s))
        generation = request.generation
        answer_s = min(timeout_s, request.within_ms / 1000 or math.inf)
        with span(f"chat {self.name}", kind="client") as traced:
            noted = ModelSpan(traced, self.name, generation)
            async with self._asking(generation, answer_s) as place:
                noted.waited(place.waited_s)
                left_s = timeout_s - place.waited_s
                if request.within_ms > 0:
                    within_ms = request.within_ms - round(1000 * place.waited_s)
                    request.within_ms = max(min(within_ms, _milliseconds(left_s - self._transit_s(left_s))), 1)
                metadata = (*request_metadata(), *cache_salt_metadata())

                def invoke(attempt: Attempt) -> Any:
                    place.at(attempt.replica)
                    noted.tried(attempt.replica.address)
                    options: dict[str, Any] = {"timeout": attempt.timeout_s, "metadata": metadata}
                    if started is None:
                        stub = attempt.replica.stub(inference_pb2_grpc.InferenceServiceStub)
                        return stub.GenerateAll(request, **options)
                    answer = inference_pb2.GenerateAllResponse
                    return answer_with_headers(
                        attempt.replica.channel, _GENERATE_ALL, request, answer, started, **options
                    )

                response: inference_pb2.GenerateAllResponse = await self._calls.unary(
                    invoke, left_s, self._key(generation), lambda: fingerprint(generation)
                )
                noted.read_all(response)
                return response

    def _key(self, request: inference_pb2.GenerateRequest) -> bytes:
        """What keeps a picture at one replica, if that is wanted."""
        if not self._settings.picture_affinity:
            return b""
        first = next(pictures(request), b"")  # of several the others may be new in each turn of a conversation
        return hashlib.sha256(first).digest() if first else b""

    def _transit_s(self, timeout_s: float) -> float:
        return transit_s(timeout_s, self._settings.deadline_margin_s)

    @asynccontextmanager
    async def _asking(self, request: inference_pb2.GenerateRequest, timeout_s: float) -> AsyncIterator[Place]:
        """Around one call: the route's bound on calls, its turn, their count, and errors as the gateway's own.

        Args:
            request: What is asked.
            timeout_s: Seconds in which its model has to have answered, the time until it is its turn included.
        """
        self._require_room()
        size = size_of(request)
        turn = self._admission.place(self._flow(), size.completions, Deadline(timeout_s), size.kind)
        with self._in_flight.counted():
            async with turn as place:
                if place.waited_s:
                    series(metrics.MODEL_WAIT_SECONDS, self.name).observe(place.waited_s)
                with self._errors_as_own(place), series(metrics.MODEL_IN_FLIGHT, self.name).track_inprogress():
                    yield place
                place.served()

    def check_queue(self, size: CallSize, timeout_s: float) -> None:
        """Refuses what `generate` would refuse at once; see `gateway.protocols.ports.model.Backend`."""
        self._require_room()
        timeout_s = min(timeout_s, self._route.limits.timeout_s or math.inf)
        self._admission.check(self._flow(), size.completions, Deadline(timeout_s), size.kind)

    def _require_room(self) -> None:
        if self._in_flight.full:
            raise ResourceExhausted(
                f"model {self.name!r} is limited to {self._in_flight.most:,} calls at a time; try again shortly",
                reason="MODEL_BUSY",
                retry_after_s=1.0,
            )

    def _flow(self) -> Flow:
        caller = principal.get() or ANYBODY
        quota = caller.quota
        return Flow(caller.id, (quota and quota.priority) or self._settings.priority)

    def _note_waiting(self, waiting: int) -> None:
        series(metrics.MODEL_WAITING, self.name).set(waiting)

    @contextmanager
    def _errors_as_own(self, place: Place) -> Iterator[None]:
        try:
            yield
        except NoReplica as error:
            raise self._unreachable() from error
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if failure.code is Code.DEADLINE_EXCEEDED:
                place.served(cut_off=True)
                raise DeadlineExceeded(
                    "the model did not finish in time; give the call a longer timeout or ask for fewer tokens",
                    reason="DEADLINE_EXCEEDED",
                ) from error
            if failure.reason == "UNIMPLEMENTED":
                raise FailedPrecondition(
                    f"an inference server at {self.address} has an older release than this gateway and doesn't know "
                    "all fields of the request; upgrade it",
                    reason="INFERENCE_TOO_OLD",
                ) from error
            if failure.code is Code.UNAVAILABLE and failure.reason == "UNAVAILABLE":
                raise self._unreachable() from error
            raise failure from error


def transit_s(timeout_s: float, margin_s: float) -> float:
    """Time that a model's answer has to arrive which was sent when time ran out: half of the margin before a caller's
    deadline, for the other half is left to say that nothing came."""
    return max(min(max(margin_s / 2, _USUAL_TRANSIT_S), _TRANSIT_SHARE * timeout_s), _LEAST_TRANSIT_S)


def _milliseconds(seconds: float) -> int:
    return round(1000 * min(max(seconds, 0.001), MAX_WITHIN_S))
