"""Maps between inference servers' part of the contract (axia.v1) and the gateway's own types."""

import re

from axia.v1 import inference_pb2
from gateway.detection import Completion
from gateway.model import Finished, ModelEvent, ModelInfo, Question, StageTimes, Started

_FINISH_REASONS = {
    inference_pb2.FINISH_REASON_STOP: "stop",
    inference_pb2.FINISH_REASON_SENTENCE: "sentence",
    inference_pb2.FINISH_REASON_LENGTH: "length",
}
_FINISH_REASON_VALUES = {name: value for value, name in _FINISH_REASONS.items()}
_ROLES = {
    "system": inference_pb2.ROLE_SYSTEM,
    "user": inference_pb2.ROLE_USER,
    "assistant": inference_pb2.ROLE_ASSISTANT,
}
_MESSAGE_FIELD = re.compile(r"messages(?:\[(\d+)\])?(?:\.\w+)?$")


def from_question(question: Question, model: str) -> inference_pb2.GenerateRequest:
    """Writes the request that an inference server gets."""
    request = inference_pb2.GenerateRequest(
        model=model,
        messages=[inference_pb2.Message(role=_ROLES[turn.role], text=turn.text) for turn in question.turns],
        samples=[inference_pb2.Sample(**sample._asdict()) for sample in question.samples],
        top_p=question.top_p,
        max_tokens=question.max_tokens,
        stop_rule=(
            inference_pb2.STOP_RULE_FIRST_SENTENCE if question.first_sentence_only else inference_pb2.STOP_RULE_NONE
        ),
    )
    if question.image is not None:
        request.image.data = question.image  # in place: a message handed to a constructor is copied, 2 ms a megabyte
    return request


def callers_field(field: str, question: Question) -> str:
    """The caller's name of a field that an inference server names in an error."""
    if message := _MESSAGE_FIELD.match(field):
        index = int(message.group(1) or len(question.turns) - 1)
        return question.turns[index].field or field
    return field


def to_model_event(response: inference_pb2.GenerateResponse) -> ModelEvent:
    """Reads an event of a generation."""
    kind = response.WhichOneof("event")
    if kind == "completion":
        completion = response.completion
        return Completion(
            index=completion.index,
            first_sentence=completion.first_sentence,
            text=completion.text,
            finish_reason=_FINISH_REASONS[completion.finish_reason],
            tokens=completion.tokens,
            seed=completion.seed,
            temperature=completion.temperature,
        )
    if kind == "summary":
        timings = response.summary.timings
        times = StageTimes(timings.decode_ms, timings.queue_ms, timings.first_token_ms, timings.generation_ms)
        return Finished(to_model_info(response.summary.model), times)
    return Started()


def from_completion(completion: Completion) -> inference_pb2.Completion:
    """Writes a completion."""
    return inference_pb2.Completion(
        index=completion.index,
        first_sentence=completion.first_sentence,
        text=completion.text,
        finish_reason=_FINISH_REASON_VALUES[completion.finish_reason],
        tokens=completion.tokens,
        seed=completion.seed,
        temperature=completion.temperature,
    )


def from_model_info(model: ModelInfo) -> inference_pb2.Model:
    """Writes the description of a model."""
    return inference_pb2.Model(**vars(model))


def to_model_info(model: inference_pb2.Model) -> ModelInfo:
    """Reads the description of a model."""
    return ModelInfo(**{field.name: getattr(model, field.name) for field in model.DESCRIPTOR.fields})
