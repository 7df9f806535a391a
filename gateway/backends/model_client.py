"""One model behind the gateway, reached over gRPC; see `gateway.protocols.ports.model.Backend`."""

import hashlib
import math
import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway import metrics
from gateway.backends.model_replicas import SERVICE, ModelReplicas, Shared, to_model_info, unreachable
from gateway.backends.model_spans import ModelSpan
from gateway.backends.routes import Route
from gateway.protocols.ports.model import (
    AnswerFormat,
    Completion,
    Finished,
    Generated,
    ModelEvent,
    Question,
    StageTimes,
    Started,
)
from gateway.protocols.sampling import ModelDefaults
from gateway.settings import GatewaySettings
from services.serving.attempts import Attempt, Calls, NoReplica
from services.serving.errors import Code, DeadlineExceeded, FailedPrecondition, ResourceExhausted, ServiceError
from services.serving.in_flight import InFlight
from services.serving.limits import MAX_WITHIN_S
from services.serving.logs import request_metadata
from services.serving.metrics import series
from services.serving.started import answer_with_headers
from services.serving.status import from_rpc_error
from services.serving.tracing import span, stream_span

_GENERATE_ALL = f"/{SERVICE}/GenerateAll"
_TRANSIT_SHARE, _LEAST_TRANSIT_S, _USUAL_TRANSIT_S = 0.1, 0.005, 0.025
FINISH_REASONS = {
    inference_pb2.FINISH_REASON_STOP: "stop",
    inference_pb2.FINISH_REASON_SENTENCE: "sentence",
    inference_pb2.FINISH_REASON_LENGTH: "length",
    inference_pb2.FINISH_REASON_REASONING: "reasoning",
}
_SENTENCE_RULES = {
    "answer": inference_pb2.SENTENCE_RULE_ANSWER,
    "literal": inference_pb2.SENTENCE_RULE_LITERAL,
}
_ROLES = {
    "system": inference_pb2.ROLE_SYSTEM,
    "user": inference_pb2.ROLE_USER,
    "assistant": inference_pb2.ROLE_ASSISTANT,
}
_REFUSED_WHOLE = "CONVERSATION_REFUSED"
_MESSAGE_FIELD = re.compile(r"(?:generation\.)?messages(?:\[(\d+)\])?(?:\.\w+)?$")


class GrpcBackend(ModelReplicas):
    """One model, which any of its replicas answers for."""

    def __init__(self, route: Route, settings: GatewaySettings, shared: Shared) -> None:
        super().__init__(route, settings, shared)
        self.defaults = ModelDefaults(**route.defaults.model_dump())
        self._settings = settings
        self._in_flight = InFlight(route.limits.concurrency or sys.maxsize)
        self._calls = Calls(self._replicas, settings.model_attempts, shared.budget, shared.deaths, self._note_retry)

    def follow_route(self, route: Route) -> None:
        """Goes over to another route to the same model, with its defaults and limits."""
        super().follow_route(route)
        self.defaults = ModelDefaults(**route.defaults.model_dump())
        self._in_flight.most = route.limits.concurrency or sys.maxsize

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
        with stream_span(f"chat {self.name}", kind="client") as traced, self._asking():
            noted = ModelSpan(traced, self.name, request)
            timeout_s = min(timeout_s, self._route.limits.timeout_s or math.inf)
            metadata = request_metadata(traced)

            def invoke(attempt: Attempt) -> Any:
                noted.tried(attempt.replica.address)
                stub = attempt.replica.stub(inference_pb2_grpc.InferenceServiceStub)
                return stub.Generate(request, timeout=attempt.timeout_s, metadata=metadata)

            calls = self._calls.stream(invoke, timeout_s, self._key(request), lambda: _fingerprint(request))
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
        if request.within_ms > 0:
            request.within_ms = min(request.within_ms, _milliseconds(timeout_s - self._transit_s(timeout_s)))

        def invoke(attempt: Attempt) -> Any:
            noted.tried(attempt.replica.address)
            options: dict[str, Any] = {"timeout": attempt.timeout_s, "metadata": metadata}
            if started is None:
                return attempt.replica.stub(inference_pb2_grpc.InferenceServiceStub).GenerateAll(request, **options)
            answer = inference_pb2.GenerateAllResponse
            return answer_with_headers(attempt.replica.channel, _GENERATE_ALL, request, answer, started, **options)

        generation = request.generation
        with span(f"chat {self.name}", kind="client") as traced, self._asking():
            noted = ModelSpan(traced, self.name, generation)
            metadata = request_metadata()
            response: inference_pb2.GenerateAllResponse = await self._calls.unary(
                invoke, timeout_s, self._key(generation), lambda: _fingerprint(generation)
            )
            noted.read_all(response)
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
        if self._in_flight.full:
            raise ResourceExhausted(
                f"model {self.name!r} takes {self._in_flight.most:,} calls at a time here; try again shortly",
                reason="MODEL_BUSY",
                retry_after_s=1.0,
            )
        try:
            with self._in_flight.counted(), series(metrics.MODEL_IN_FLIGHT, self.name).track_inprogress():
                yield
        except NoReplica as error:
            raise unreachable(self.address) from error
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if failure.code is Code.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(
                    "the model did not finish in time; give the call a longer timeout or ask for fewer tokens",
                    reason="DEADLINE_EXCEEDED",
                ) from error
            if failure.reason == "UNIMPLEMENTED":
                raise FailedPrecondition(
                    f"an inference server at {self.address} is of an older release than this gateway and doesn't know "
                    "all fields of the request; upgrade it",
                    reason="INFERENCE_TOO_OLD",
                ) from error
            if failure.code is Code.UNAVAILABLE and failure.reason == "UNAVAILABLE":
                raise unreachable(self.address) from error
            raise failure from error


def transit_s(timeout_s: float, margin_s: float) -> float:
    """Time that a model's answer has to arrive which was sent when time ran out: half of the margin before a caller's
    deadline, for the other half is left to say that nothing came."""
    return max(min(max(margin_s / 2, _USUAL_TRANSIT_S), _TRANSIT_SHARE * timeout_s), _LEAST_TRANSIT_S)


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


def write_question(question: Question, model: str, request: inference_pb2.GenerateRequest) -> None:
    """Writes what an inference server is asked.

    Args:
        question: The question.
        model: Name of the model.
        request: Filled in place: a message handed to a constructor is copied, with its picture.
    """
    request.model = model
    if question.image is not None:
        request.image.data = question.image
    for turn in question.turns:
        request.messages.add(role=_ROLES[turn.role], text=turn.text)
    for sample in question.samples:
        request.samples.add(seed=sample.seed, temperature=sample.temperature)
    request.top_p = question.top_p
    request.max_tokens = question.max_tokens
    request.stop_rule = (
        inference_pb2.STOP_RULE_FIRST_SENTENCE if question.first_sentence_only else inference_pb2.STOP_RULE_NONE
    )
    request.sentence_rule = _SENTENCE_RULES[question.sentence_rule]
    if question.answer_format is not None:
        _write_answer_format(question.answer_format, request)


def _write_answer_format(asked: AnswerFormat, request: inference_pb2.GenerateRequest) -> None:
    if asked.json_schema:
        request.answer_format.json_schema = asked.json_schema
    else:
        request.answer_format.choices.texts.extend(asked.choices)


def as_callers(error: ServiceError, question: Question) -> ServiceError:
    """An inference server's error with the caller's names of fields."""
    return error.renamed(lambda field: callers_field(field, question, error.reason))


def callers_field(field: str, question: Question, reason: str = "") -> str:
    """The caller's name of a field that an inference server names in an error with this reason."""
    if reason == _REFUSED_WHOLE and field.endswith("messages"):
        return "model"  # it refuses for a cause of its own, such as a sampling parameter; no text of the caller's
    if message := _MESSAGE_FIELD.match(field):
        index = int(message.group(1) or len(question.turns) - 1)
        return question.turns[index].field or field
    field = field.removeprefix("generation.")
    if question.answer_format and field.startswith("answer_format"):
        return question.answer_format.field or field
    return field


def to_model_event(response: inference_pb2.GenerateResponse) -> ModelEvent:
    """Reads an event of a generation."""
    kind = response.WhichOneof("event")
    if kind == "completion":
        return _to_completion(response.completion)
    if kind == "summary":
        return _to_finished(response.summary)
    return Started()


def to_generated(response: inference_pb2.GenerateAllResponse) -> Generated:
    """Reads all of a generation."""
    finished = _to_finished(response.summary) if response.HasField("summary") else None
    return Generated(tuple(map(_to_completion, response.completions)), finished)


def _to_completion(completion: inference_pb2.Completion) -> Completion:
    return Completion(
        index=completion.index,
        first_sentence=completion.first_sentence,
        text=completion.text,
        finish_reason=FINISH_REASONS.get(completion.finish_reason, "unknown"),  # a newer server may know more
        tokens=completion.tokens,
        seed=completion.seed,
        temperature=completion.temperature,
        omitted=completion.omitted,
        reasoning=completion.reasoning,
    )


def _to_finished(summary: inference_pb2.GenerateSummary) -> Finished:
    timings = summary.timings
    times = StageTimes(timings.decode_ms, timings.queue_ms, timings.first_token_ms, timings.generation_ms)
    used_size = (summary.image.used_width, summary.image.used_height)
    top_p = summary.top_p if summary.HasField("top_p") else None
    return Finished(to_model_info(summary.model), times, summary.sentence_rule, used_size, top_p)
