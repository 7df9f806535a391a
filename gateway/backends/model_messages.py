"""Maps between the contract of inference servers (axia.v1) and the protocols' own types."""

import hashlib
import re
from collections.abc import Iterator

from axia.v1 import inference_pb2
from gateway.backends.model_replicas import to_model_info
from gateway.protocols.ports.model import (
    AnswerFormat,
    CallSize,
    Completion,
    Finished,
    Generated,
    ModelEvent,
    Question,
    StageTimes,
    Started,
)
from services.serving.errors import ServiceError

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


def pictures(request: inference_pb2.GenerateRequest) -> Iterator[bytes]:
    """The pictures of a conversation in their order."""
    if request.image.data:
        yield request.image.data
    for message in request.messages:
        for shown in message.images:
            yield shown.image.data


def size_of(request: inference_pb2.GenerateRequest) -> CallSize:
    """What decides how long a request takes."""
    return CallSize(
        completions=len(request.samples),
        max_tokens=request.max_tokens,
        images=request.HasField("image") + sum(len(message.images) for message in request.messages),
        first_sentence_only=request.stop_rule == inference_pb2.STOP_RULE_FIRST_SENTENCE,
        formatted=request.HasField("answer_format"),
    )


def fingerprint(request: inference_pb2.GenerateRequest) -> bytes:
    """A hash of the pictures and the prompt, without what is sampled."""
    digest = hashlib.sha256()
    for picture in pictures(request):
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
