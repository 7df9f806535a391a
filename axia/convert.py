"""Turns messages into results: the one place that knows both."""

from datetime import UTC
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from axia.results import (
    Acknowledgement,
    Alignment,
    Completion,
    CompletionsReading,
    Detection,
    FinishReason,
    FrameDetection,
    FrameFailed,
    FrameSuperseded,
    Group,
    Grouping,
    ImageInfo,
    Indexed,
    ItemFailure,
    MissingPart,
    ModelInfo,
    ModelList,
    ModelStatus,
    PreferenceEvent,
    PreferenceJudgement,
    PreferencePlan,
    PreferenceSummary,
    Prompt,
    Provenance,
    Reading,
    Rejected,
    ResponseTypeScore,
    StoredImage,
    ValueAttribution,
    WatchEvent,
)
from axia.results.base import Result
from axia.results.scoring import AbstainReason
from axia.results.truth import GroundTruth
from axia.v1 import gateway_pb2, inference_pb2, retrieval_pb2, scoring_pb2

ResultT = TypeVar("ResultT", bound=Result)

_FINISH_REASONS: dict[int, FinishReason] = {
    inference_pb2.FINISH_REASON_STOP: "stop",
    inference_pb2.FINISH_REASON_SENTENCE: "sentence",
    inference_pb2.FINISH_REASON_LENGTH: "length",
    inference_pb2.FINISH_REASON_REASONING: "reasoning",
}


def to_completion(message: inference_pb2.Completion) -> Completion:
    """Converts one completion."""
    return Completion(
        index=message.index,
        first_sentence=message.first_sentence,
        text=message.text,
        seed=message.seed,
        temperature=message.temperature,
        finish_reason=_FINISH_REASONS.get(message.finish_reason, "unknown"),
        tokens=message.tokens,
        omitted=message.omitted,
        reasoning=message.reasoning,
    )


def to_detection(message: gateway_pb2.DetectValuesResponse, *, path: str | None, request_id: str) -> Detection:
    """Converts a whole answer; `path` is the image's as given, `request_id` stands in where the server sent none."""
    return Detection(
        image=ImageInfo(
            path=path,
            sha256=message.image.sha256,
            format=message.image.format,
            width=message.image.width,
            height=message.image.height,
            used_width=message.image.used_width,
            used_height=message.image.used_height,
        ),
        model=message.model,
        completions=tuple(to_completion(completion) for completion in message.completions),
        groups=tuple(to_result(Group, group) for group in message.groups),
        consensus=None if message.abstain else message.consensus,
        agreement=message.agreement,
        entropy=message.entropy,
        abstain=message.abstain,
        abstain_reason=cast(
            "AbstainReason | None", _word(message.abstain_reason, scoring_pb2.AbstainReason.DESCRIPTOR)
        ),
        partial=message.partial,
        completions_requested=message.completions_requested,
        completions_done=message.completions_done,
        provenance=_to_provenance(message.provenance, request_id),
        timings_ms={
            "total": message.timings.total_ms,
            "decode": message.timings.decode_ms,
            "queue": message.timings.queue_ms,
            "first_token": message.timings.first_token_ms,
            "generation": message.timings.generation_ms,
        },
        readings=tuple(to_result(Reading, reading) for reading in message.readings),
        values={weight.name: weight.weight for weight in message.values},
        alignment=message.alignment if message.HasField("alignment") else None,
        degraded=message.degraded,
        missing=tuple(message.missing),
    )


def to_watch_event(message: gateway_pb2.WatchValuesResponse, *, path: str | None, request_id: str) -> WatchEvent | None:
    """Converts what became of a frame; None for an outcome that this client does not know."""
    match message.WhichOneof("outcome"):
        case "detection":
            detection = to_detection(message.detection, path=path, request_id=request_id)
            return FrameDetection(frame_id=message.frame_id, detection=detection)
        case "superseded":
            return FrameSuperseded(frame_id=message.frame_id, by_frame_id=message.superseded.by_frame_id)
        case "error":
            return FrameFailed(frame_id=message.frame_id, error=to_result(ItemFailure, message.error))
    return None


def to_preference_event(message: gateway_pb2.AssessPreferenceResponse) -> PreferenceEvent | None:
    """Converts one event of an assessment; None for one that this client does not know."""
    match message.WhichOneof("event"):
        case "plan":
            return to_result(PreferencePlan, message.plan)
        case "judgement":
            return to_result(PreferenceJudgement, message.judgement)
        case "summary":
            return to_result(PreferenceSummary, message.summary)
    return None


def to_acknowledgement(message: retrieval_pb2.IndexImagesResponse, *, path: str | None) -> Acknowledgement:
    """Converts what became of an image."""
    if message.HasField("indexed"):
        found = to_result(Indexed, message.indexed, path=path)
        return found.model_copy(update={"info": found.info.model_copy(update={"path": path})})
    return to_result(Rejected, message.rejected, path=path)


def to_stored_image(message: retrieval_pb2.GetImagesResponse) -> StoredImage:
    """Converts a stored image."""
    return to_result(StoredImage, message, data=message.image.data if message.HasField("image") else None)


def to_model_list(message: gateway_pb2.ListModelsResponse) -> ModelList:
    """Converts the list of models and prompts."""
    return ModelList(
        models=tuple(
            ModelStatus(
                model=_to_model(status.model) if status.HasField("model") else None,
                available=status.available,
                address=status.address,
            )
            for status in message.models
        ),
        prompts=tuple(_to_prompt(prompt) for prompt in message.prompts),
    )


def _to_model(message: inference_pb2.Model) -> ModelInfo:
    return ModelInfo(
        name=message.name,
        revision=message.revision,
        engine=message.engine,
        engine_version=message.engine_version,
        max_context_tokens=message.max_context_tokens,
        max_samples=message.max_samples,
        max_tokens=message.max_tokens,
        accepts_images=message.accepts_images,
        max_images=message.max_images,
        structured_answers=message.structured_answers,
        prompt_template=message.prompt_template,
        trust_remote_code=message.trust_remote_code,
        engine_settings=message.engine_settings,
    )


def _to_prompt(message: gateway_pb2.Prompt) -> Prompt:
    return Prompt(id=message.id, sha256=message.sha256, text=message.text, role=message.role, source=message.source)


def _to_provenance(message: gateway_pb2.Provenance, request_id: str) -> Provenance:
    return Provenance(
        model=_to_model(message.model),
        prompt=_to_prompt(message.prompt),
        system_prompt=_to_prompt(message.system_prompt) if message.HasField("system_prompt") else None,
        seed=message.seed,
        temperatures=tuple(message.temperatures),
        top_p=message.top_p,
        max_tokens=message.max_tokens,
        full_text=message.full_text,
        abstain_threshold=message.abstain_threshold,
        image_sha256=message.image_sha256,
        axia_version=message.axia_version,
        request_id=message.request_id or request_id,
        ground_truth=to_result(GroundTruth, message.ground_truth) if message.HasField("ground_truth") else None,
        sentence_rule=message.sentence_rule,
    )


def to_completions_reading(message: scoring_pb2.ReadCompletionsResponse) -> CompletionsReading:
    """Converts what completions say."""
    return CompletionsReading(
        grouping=to_grouping(message.grouping) if message.HasField("grouping") else None,
        response_types=tuple(to_result(ResponseTypeScore, score) for score in message.response_types.scores),
        values=tuple(to_result(ValueAttribution, attribution) for attribution in message.values.attributions),
        alignment=to_result(Alignment, message.alignment) if message.HasField("alignment") else None,
        missing=tuple(to_result(MissingPart, part) for part in message.missing),
    )


def to_grouping(message: scoring_pb2.SummarizeCompletionsResponse) -> Grouping:
    """Converts what completions say together."""
    return to_result(Grouping, message, consensus=None if message.abstain else message.consensus)


def to_result(result: type[ResultT], message: Message, **further: object) -> ResultT:
    """Converts a message whose fields are named as the result's, and nested ones alike.

    What is unset becomes None where that differs from its default, enums become words, and weights become a mapping.
    """
    return result.model_validate({**_fields(message), **further})


def _fields(message: Message) -> dict[str, Any]:
    fields = {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}
    if isinstance(message, gateway_pb2.ItemError):
        known = message.code in code_pb2.Code.values()
        fields["code"] = code_pb2.Code.Name(message.code) if known else "UNKNOWN"
    return fields


def _value(message: Message, field: Any) -> Any:
    if field.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if isinstance(value, Message):
        return _single(value, field)
    if hasattr(value, "items"):
        return dict(value)
    if field.message_type is not None and field.message_type is scoring_pb2.ValueWeight.DESCRIPTOR:
        return {weight.name: weight.weight for weight in value}
    if not isinstance(value, str | bytes) and hasattr(value, "__len__"):  # repeated
        return tuple(_single(part, field) for part in value)
    return _single(value, field)


def _single(value: Any, field: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToDatetime(UTC)
    if field.enum_type is not None:
        return _word(value, field.enum_type)
    return _fields(value) if isinstance(value, Message) else value


def _word(number: int, enum: EnumDescriptor) -> str | None:
    """The name of an enum's value in lower case without the enum's; None if unspecified or not known here."""
    value = enum.values_by_number.get(number)
    if value is None or not number:
        return None
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return value.name.removeprefix(prefix).lower()
