"""Maps between detections in the contract (axia.v1) and the gateway's own types."""

from typing import Literal, TypeVar

from google.protobuf import message as protobuf

from axia.prompts import PromptText
from axia.v1 import gateway_pb2, image_pb2, inference_pb2, scoring_pb2
from axia.version import __version__
from gateway.backends.model_messages import FINISH_REASONS
from gateway.backends.scoring_client import ABSTAIN_REASONS
from gateway.protocols.detection import Detection
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.model import Completion, ModelInfo
from gateway.protocols.ports.scoring import CompletionGroup, Readings
from gateway.protocols.sampling import DetectionRequest, GroundTruth, SentenceRule
from services.serving.errors import InvalidArgument, ServiceError

_JUDGES: dict[int, Literal["lexical", "semantic", "model"]] = {
    scoring_pb2.JUDGE_UNSPECIFIED: "semantic",
    scoring_pb2.JUDGE_LEXICAL: "lexical",
    scoring_pb2.JUDGE_SEMANTIC: "semantic",
    scoring_pb2.JUDGE_MODEL: "model",
}
_SENTENCE_RULES: dict[int, SentenceRule] = {
    inference_pb2.SENTENCE_RULE_UNSPECIFIED: "answer",
    inference_pb2.SENTENCE_RULE_ANSWER: "answer",
    inference_pb2.SENTENCE_RULE_LITERAL: "literal",
}
_FINISH_REASONS = {name: value for value, name in FINISH_REASONS.items()}
_ABSTAIN_REASONS = {None: scoring_pb2.ABSTAIN_REASON_UNSPECIFIED} | {
    name: value for value, name in ABSTAIN_REASONS.items()
}

MessageT = TypeVar("MessageT", bound=protobuf.Message)


def as_written(message: Message, kind: type[MessageT]) -> MessageT:
    """A message that a protocol handed on, as what its service wrote.

    Raises:
        TypeError: It is of another kind, which is a fault of ours.
    """
    if not isinstance(message, kind):
        raise TypeError(f"a {type(message).__name__} stands where a {kind.__name__} belongs")
    return message


def to_detection_request(request: gateway_pb2.DetectValuesRequest) -> DetectionRequest:
    """Reads a request; what is not set stays None."""
    optional = {
        name: getattr(request, name) if request.HasField(name) else None
        for name in (
            "n", "temperature", "top_p", "max_tokens", "seed", "abstain_threshold",
            "prompt_id", "prompt_text", "system_prompt_id", "system_prompt_text",
        )
    }  # fmt: skip
    return DetectionRequest(
        image=request.image.data,
        temperatures=tuple(request.temperatures),
        model=request.model,
        full_text=request.full_text,
        ground_truth=_to_ground_truth(request.ground_truth) if request.HasField("ground_truth") else None,
        sentence_rule=_to_sentence_rule(request.sentence_rule),
        **optional,
    )


def _to_sentence_rule(rule: int) -> SentenceRule:
    known = _SENTENCE_RULES.get(rule)
    if known is None:
        raise InvalidArgument("sentence_rule", "is not known to this release", reason="SENTENCE_RULE_UNKNOWN")
    return known


def _to_ground_truth(truth: gateway_pb2.GroundTruth) -> GroundTruth:
    judge = _JUDGES.get(truth.judge)
    if judge is None:
        raise InvalidArgument("ground_truth.judge", "is not known to this release", reason="JUDGE_UNKNOWN")
    return GroundTruth(
        truth.element,
        tuple(truth.accept),
        judge,
        truth.judge_model,
        truth.judge_samples or 1,
        truth.judge_structured,
    )


def from_detection(detection: Detection, request_id: str) -> gateway_pb2.DetectValuesResponse:
    """Writes a detection."""
    consensus = detection.consensus
    used_width, used_height = detection.used_size
    return gateway_pb2.DetectValuesResponse(
        image=image_pb2.ImageInfo(**detection.image._asdict(), used_width=used_width, used_height=used_height),
        model=detection.model.name,
        completions=[from_completion(completion) for completion in detection.completions],
        groups=[_from_group(group) for group in consensus.groups],
        consensus=consensus.element,
        agreement=consensus.agreement,
        entropy=consensus.entropy_bits,
        abstain=consensus.abstain,
        abstain_reason=_ABSTAIN_REASONS[consensus.abstain_reason],
        completions_requested=len(detection.plan.temperatures),
        completions_done=len(detection.completions),
        partial=detection.partial,
        provenance=_from_provenance(detection, request_id),
        timings=inference_pb2.Timings(total_ms=detection.total_ms, **detection.times._asdict()),
        readings=_from_readings(detection.readings, len(detection.completions)),
        values=[scoring_pb2.ValueWeight(**value._asdict()) for value in detection.readings.values],
        alignment=detection.readings.alignment,
        degraded=bool(detection.readings.missing),
        missing=detection.readings.missing,
    )


def _from_readings(readings: Readings, completions: int) -> list[gateway_pb2.CompletionReading]:
    if not (readings.response_types or readings.attributions or readings.alignments):
        return []
    written = [gateway_pb2.CompletionReading() for _ in range(completions)]
    for reading, response_type in zip(written, readings.response_types, strict=False):
        reading.response_type.CopyFrom(as_written(response_type, scoring_pb2.ResponseTypeScore))
    for reading, attribution in zip(written, readings.attributions, strict=False):
        reading.values.CopyFrom(as_written(attribution.message, scoring_pb2.ValueAttribution))
    for reading, alignment in zip(written, readings.alignments, strict=False):
        reading.alignment.CopyFrom(as_written(alignment.message, scoring_pb2.AlignmentScore))
    return written


def _from_group(group: CompletionGroup) -> gateway_pb2.CompletionGroup:
    return gateway_pb2.CompletionGroup(
        representative=group.representative,
        members=group.members,
        share=group.share,
        type=scoring_pb2.ResponseType.ValueType(group.type),
    )


def _from_provenance(detection: Detection, request_id: str) -> gateway_pb2.Provenance:
    plan = detection.plan
    return gateway_pb2.Provenance(
        model=from_model_info(detection.model),
        prompt=from_prompt(plan.prompt),
        system_prompt=from_prompt(plan.system_prompt) if plan.system_prompt else None,
        seed=plan.seed,
        temperatures=detection.temperatures,
        top_p=plan.top_p if detection.top_p is None else detection.top_p,
        max_tokens=plan.max_tokens,
        full_text=plan.full_text,
        abstain_threshold=plan.abstain_threshold,
        image_sha256=detection.image.sha256,
        axia_version=__version__,
        request_id=request_id,
        ground_truth=_from_ground_truth(detection.truth) if detection.truth else None,
        sentence_rule=detection.sentence_rule,
    )


def _from_ground_truth(truth: GroundTruth) -> gateway_pb2.GroundTruth:
    judge = scoring_pb2.Judge.Value(f"JUDGE_{truth.judge.upper()}")
    return gateway_pb2.GroundTruth(
        element=truth.element,
        accept=truth.accept,
        judge=judge,
        judge_model=truth.judge_model,
        judge_samples=truth.judge_samples,
        judge_structured=truth.judge_structured,
    )


def from_prompt(prompt: PromptText) -> gateway_pb2.Prompt:
    """Writes a prompt."""
    return gateway_pb2.Prompt(
        id=prompt.id, sha256=prompt.sha256, text=prompt.text, role=prompt.role, source=prompt.source
    )


def from_item_error(error: ServiceError) -> gateway_pb2.ItemError:
    """Writes why one of many items could not be answered."""
    return gateway_pb2.ItemError(code=error.code.value.grpc, reason=error.reason, message=error.message)


def from_completion(completion: Completion) -> inference_pb2.Completion:
    """Writes a completion."""
    return inference_pb2.Completion(
        index=completion.index,
        first_sentence=completion.first_sentence,
        text=completion.text,
        finish_reason=_FINISH_REASONS.get(
            completion.finish_reason, inference_pb2.FinishReason.FINISH_REASON_UNSPECIFIED
        ),
        tokens=completion.tokens,
        seed=completion.seed,
        temperature=completion.temperature,
        omitted=completion.omitted,
        reasoning=completion.reasoning,
    )


def from_model_info(model: ModelInfo) -> inference_pb2.Model:
    """Writes the description of a model."""
    return inference_pb2.Model(**vars(model))
