"""Maps between the contract (axia.v1) and the inference service's own types."""

import json

from axia.sentence.first_sentence import SentenceRule
from axia.v1 import image_pb2, inference_pb2
from services.inference.engines.engine import AnswerFormat, Message, ModelDescription, Role, Sampling
from services.inference.generation import Completion, Ending, FinishReason, Started, TextDelta
from services.inference.request import SampleRequest, ShownImage
from services.inference.sampling import Sampled, Summary
from services.inference.settings import InferenceSettings
from services.serving.errors import InvalidArgument
from services.serving.limits import MAX_WITHIN_S, TOLD_TOO_LATE, check_between

_DEFAULT_TOP_P = 1.0
_DEFAULT_MAX_TOKENS = 100
_TRANSIT_S = 0.025
"""Time that an answer has to arrive before the call's deadline."""

_ROLES = {
    inference_pb2.ROLE_SYSTEM: Role.SYSTEM,
    inference_pb2.ROLE_USER: Role.USER,
    inference_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
}
_FINISH_REASONS = {
    FinishReason.STOP: inference_pb2.FINISH_REASON_STOP,
    FinishReason.SENTENCE: inference_pb2.FINISH_REASON_SENTENCE,
    FinishReason.LENGTH: inference_pb2.FINISH_REASON_LENGTH,
    FinishReason.REASONING: inference_pb2.FINISH_REASON_REASONING,
}
_SENTENCE_RULES: dict[int, SentenceRule] = {
    inference_pb2.SENTENCE_RULE_UNSPECIFIED: SentenceRule.ANSWER,
    inference_pb2.SENTENCE_RULE_ANSWER: SentenceRule.ANSWER,
    inference_pb2.SENTENCE_RULE_LITERAL: SentenceRule.LITERAL,
}


def to_sample_request(
    request: inference_pb2.GenerateRequest, settings: InferenceSettings, cache_salt: str = ""
) -> SampleRequest:
    """Reads a request; ranges are the sampler's to check."""
    top_p = request.top_p if request.HasField("top_p") else _DEFAULT_TOP_P
    max_tokens = request.max_tokens if request.HasField("max_tokens") else _DEFAULT_MAX_TOKENS
    if request.lower_max_tokens:
        max_tokens = min(max_tokens, settings.max_tokens)
    answer_format = _to_answer_format(request.answer_format) if request.HasField("answer_format") else None
    return SampleRequest(
        model=request.model,
        images=_to_images(request),
        messages=[_to_message(index, message) for index, message in enumerate(request.messages)],
        samplings=[
            Sampling(sample.seed, sample.temperature, top_p, max_tokens, answer_format) for sample in request.samples
        ],
        ending=Ending(
            first_sentence_only=request.stop_rule == inference_pb2.STOP_RULE_FIRST_SENTENCE,
            sentence_rule=_to_sentence_rule(request.sentence_rule),
            stops=tuple(request.stop),
            deltas=request.text_deltas,
        ),
        cache_salt=cache_salt,
    )


def _to_images(request: inference_pb2.GenerateRequest) -> list[ShownImage]:
    first = [ShownImage(request.image.data, "image.data")] if request.HasField("image") else []
    return first + [
        ShownImage(shown.image.data, f"messages[{index}].images[{position}].image.data", index, shown.after_chars)
        for index, message in enumerate(request.messages)
        for position, shown in enumerate(message.images)
    ]


def _to_sentence_rule(rule: int) -> SentenceRule:
    known = _SENTENCE_RULES.get(rule)
    if known is None:
        raise InvalidArgument("sentence_rule", "is not known to this release", reason="SENTENCE_RULE_UNKNOWN")
    return known


def _to_answer_format(asked: inference_pb2.AnswerFormat) -> AnswerFormat:
    if asked.WhichOneof("format") == "json_schema":
        if not asked.json_schema:  # empty, it would read as none at all
            raise InvalidArgument("answer_format.json_schema", "must not be empty", reason="TEXT_EMPTY")
        return AnswerFormat(json_schema=asked.json_schema)
    return AnswerFormat(choices=tuple(asked.choices.texts))


def _to_message(index: int, message: inference_pb2.Message) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidArgument(f"messages[{index}].role", "must be system, user or assistant", reason="ROLE_UNKNOWN")
    return Message(role, message.text)


def from_event(
    event: Started | TextDelta | Completion | Summary, settings: InferenceSettings
) -> inference_pb2.GenerateResponse:
    """Writes an event of a generation."""
    if isinstance(event, Started):
        started = inference_pb2.GenerateStarted(prompt_tokens=event.prompt_tokens)
        return inference_pb2.GenerateResponse(started=started)
    if isinstance(event, TextDelta):
        delta = inference_pb2.TextDelta(index=event.index, text=event.text, reasoning=event.reasoning)
        return inference_pb2.GenerateResponse(delta=delta)
    if isinstance(event, Completion):
        return inference_pb2.GenerateResponse(completion=_from_completion(event, settings))
    return inference_pb2.GenerateResponse(summary=_from_summary(event, settings))


def to_time_for_all(request: inference_pb2.GenerateAllRequest, remaining_s: float | None) -> float | None:
    """Seconds after which what is done is to be sent; None if that is when all is done.

    Args:
        request: The request.
        remaining_s: Until the call's deadline, as gRPC tells it; None if there is none.
    """
    check_between("within_ms", request.within_ms, 0, 1000 * MAX_WITHIN_S)
    if not request.within_ms:
        return None
    within_s = request.within_ms / 1000
    if remaining_s is None or within_s <= remaining_s:
        return within_s
    # The request was long on its way, or at another replica before, and its time counts from its arrival here.
    return max(remaining_s * (1 - TOLD_TOO_LATE) - _TRANSIT_S, 0.001)


def from_sampled(sampled: Sampled, settings: InferenceSettings) -> inference_pb2.GenerateAllResponse:
    """Writes all of a generation."""
    return inference_pb2.GenerateAllResponse(
        completions=[_from_completion(completion, settings) for completion in sampled.completions],
        summary=_from_summary(sampled.summary, settings) if sampled.summary else None,
    )


def _from_completion(completion: Completion, settings: InferenceSettings) -> inference_pb2.Completion:
    return inference_pb2.Completion(
        index=completion.index,
        first_sentence=completion.first_sentence,
        text=completion.text,
        finish_reason=_FINISH_REASONS[completion.finish_reason],
        tokens=completion.tokens,
        seed=completion.sampling.seed,
        temperature=completion.sampling.temperature,
        omitted=completion.omitted,
        reasoning=completion.reasoning,
    )


def _from_summary(summary: Summary, settings: InferenceSettings) -> inference_pb2.GenerateSummary:
    image = None
    if summary.image:
        width, height = summary.used_size
        image = image_pb2.ImageInfo(**summary.image._asdict(), used_width=width, used_height=height)
    return inference_pb2.GenerateSummary(
        image=image,
        model=from_model(summary.model, settings),
        prompt_tokens=summary.prompt_tokens,
        timings=inference_pb2.Timings(
            total_ms=summary.total_s * 1000,
            decode_ms=summary.decode_s * 1000,
            queue_ms=summary.queue_s * 1000,
            first_token_ms=summary.first_token_s * 1000,
            generation_ms=summary.generation_s * 1000,
        ),
        top_p=summary.sampling.top_p,
        max_tokens=summary.sampling.max_tokens,
        sentence_rule=summary.sentence_rule,
    )


def from_model(model: ModelDescription, settings: InferenceSettings) -> inference_pb2.Model:
    """Writes the description of a model with the server's bounds."""
    return inference_pb2.Model(
        name=model.name,
        revision=model.revision,
        engine=model.engine,
        engine_version=model.engine_version,
        max_context_tokens=model.max_context_tokens,
        max_samples=settings.max_samples,
        max_tokens=settings.max_tokens,
        accepts_images=model.accepts_images,
        max_images=model.max_images if model.accepts_images else 0,
        structured_answers=model.structured_answers,
        prompt_template=model.prompt_template,
        trust_remote_code=model.trust_remote_code,
        engine_settings=json.dumps(model.engine_settings, sort_keys=True) if model.engine_settings else "",
    )
