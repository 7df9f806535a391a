"""Maps between preference in the contract (axia.v1) and the gateway's own types."""

from collections.abc import Sequence
from typing import Literal

from axia.v1 import gateway_pb2, retrieval_pb2, scoring_pb2
from axia.version import __version__
from gateway.backends.scoring_client import from_verdict
from gateway.protocols.answers import UNSET, AnswerRequest, AnswerSampling
from gateway.protocols.preference import PreferenceEvent, PreferenceSummary
from gateway.protocols.preference_plan import (
    Judgement,
    PlannedPicture,
    PlannedPictures,
    PreferencePlan,
    PreferenceRequest,
)
from gateway.rpc.convert_detection import as_written, from_item_error, from_model_info, from_prompt
from services.serving.errors import Code, InvalidArgument, ServiceError

_MODALITIES: dict[int, Literal["picture", "description"]] = {
    gateway_pb2.MODALITY_UNSPECIFIED: "picture",
    gateway_pb2.MODALITY_PICTURE: "picture",
    gateway_pb2.MODALITY_DESCRIPTION: "description",
}
_CODES = {code.value.grpc: code for code in Code}


def to_answer_request(
    request: gateway_pb2.AssessPreferenceRequest | gateway_pb2.JudgeInterestRequest,
) -> AnswerRequest:
    """Reads how answers are sampled; what is not set stays None."""
    return AnswerRequest(
        temperature=request.temperature if request.HasField("temperature") else None,
        top_p=request.top_p if request.HasField("top_p") else None,
        max_tokens=request.max_tokens if request.HasField("max_tokens") else None,
        seed=request.seed if request.HasField("seed") else None,
    )


def from_answer_sampling(sampling: AnswerSampling) -> gateway_pb2.AnswerSampling:
    """Writes how answers are sampled; the seed has a field of its own beside it."""
    return gateway_pb2.AnswerSampling(
        temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_tokens
    )


def to_preference_request(request: gateway_pb2.AssessPreferenceRequest) -> PreferenceRequest:
    """Reads a request; what is not set stays None."""
    modality = _MODALITIES.get(request.modality)
    if modality is None:
        raise InvalidArgument("modality", "is not known to this release", reason="MODALITY_UNKNOWN")
    return PreferenceRequest(
        model=request.model,
        values=tuple(request.values),
        keywords=tuple(request.keywords),
        k=request.k if request.HasField("k") else None,
        search_filter=request.filter if request.HasField("filter") else None,
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        modality=modality,
        traits=tuple(request.traits),
        answers=to_answer_request(request),
        confidence_level=request.confidence_level if request.HasField("confidence_level") else None,
        structured=request.structured,
        describer=request.describer,
        describer_answers=_to_describer_answers(request),
        descriptions=_to_descriptions(request.descriptions),
        resume_sha256=request.resume.plan_sha256 if request.HasField("resume") else None,
        resumed=tuple(_to_judgement(judgement) for judgement in request.resume.judgements),
        resume_planned=_to_planned(request.resume) if request.resume.planned else None,
    )


def _to_planned(resume: gateway_pb2.PreferenceResume) -> PlannedPictures:
    pictures = (
        PlannedPicture(position, picture.value, picture.keyword, picture.image_id, picture.score, picture.source)
        for position, picture in enumerate(resume.planned)
    )
    search = resume.search if resume.HasField("search") else None
    return PlannedPictures(tuple(pictures), search, tuple(resume.short_keywords))


def _to_describer_answers(request: gateway_pb2.AssessPreferenceRequest) -> AnswerRequest:
    if not request.HasField("describer_sampling"):
        return UNSET
    sampling = request.describer_sampling
    return AnswerRequest(temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_tokens)


def _to_descriptions(descriptions: Sequence[gateway_pb2.ImageDescription]) -> dict[str, str]:
    given: dict[str, str] = {}
    for index, description in enumerate(descriptions):
        if not description.image_id or description.image_id in given:
            raise InvalidArgument(
                f"descriptions[{index}].image_id",
                "must be the id of an image, and must not be repeated",
                reason="PICTURE_REPEATED" if description.image_id else "TEXT_EMPTY",
            )
        given[description.image_id] = description.text
    return given


def _to_judgement(judgement: gateway_pb2.PreferenceJudgement) -> Judgement:
    picture = PlannedPicture(
        judgement.position, judgement.value, judgement.keyword, judgement.image_id, judgement.score, judgement.source
    )
    return Judgement(
        picture,
        replies=tuple(judgement.replies),
        error=_to_error(judgement.error) if judgement.HasField("error") else None,
        description=judgement.description,
        reasoning=tuple(judgement.reasoning),
    )


def _to_error(error: gateway_pb2.ItemError) -> ServiceError:
    read = ServiceError(error.message, reason=error.reason)
    read.code = _CODES.get(error.code, Code.INTERNAL)
    return read


def from_preference_event(event: PreferenceEvent, request_id: str) -> gateway_pb2.AssessPreferenceResponse:
    """Writes an event of an assessment."""
    if isinstance(event, PreferencePlan):
        return gateway_pb2.AssessPreferenceResponse(plan=_from_plan(event, request_id))
    if isinstance(event, Judgement):
        return gateway_pb2.AssessPreferenceResponse(judgement=_from_judgement(event))
    return gateway_pb2.AssessPreferenceResponse(summary=_from_summary(event))


def _from_plan(plan: PreferencePlan, request_id: str) -> gateway_pb2.PreferencePlan:
    given = plan.describing.given if plan.describing else {}
    describer = plan.describing if plan.describing and plan.describing.by_another and plan.describes else None
    return gateway_pb2.PreferencePlan(
        pictures=len(plan.pictures),
        sha256=plan.sha256,
        prompts=[from_prompt(prompt) for prompt in plan.prompts],
        model=from_model_info(plan.model),
        seed=plan.sampling.seed,
        search=as_written(plan.search, retrieval_pb2.SearchProvenance) if plan.search is not None else None,
        short_keywords=plan.short_keywords,
        request_id=request_id,
        axia_version=__version__,
        sampling=from_answer_sampling(plan.sampling),
        structured=plan.structured,
        describer=from_model_info(describer.backend.model) if describer else None,
        describer_sampling=from_answer_sampling(describer.sampling) if describer else None,
        given_descriptions=sum(picture.image_id in given for picture in plan.pictures),
        planned=[
            gateway_pb2.PlannedPicture(
                value=picture.value,
                keyword=picture.keyword,
                image_id=picture.image_id,
                score=picture.score,
                source=picture.source,
            )
            for picture in plan.pictures
        ],
    )


def _from_judgement(judgement: Judgement) -> gateway_pb2.PreferenceJudgement:
    return gateway_pb2.PreferenceJudgement(
        **judgement.picture._asdict(),
        replies=judgement.replies,
        verdict=from_verdict(judgement.verdict),
        error=from_item_error(judgement.error) if judgement.error else None,
        description=judgement.description,
        reasoning=judgement.reasoning,
    )


def _from_summary(summary: PreferenceSummary) -> gateway_pb2.PreferenceSummary:
    return gateway_pb2.PreferenceSummary(
        scores=as_written(summary.scores, scoring_pb2.ScorePreferenceResponse) if summary.scores is not None else None,
        failed=summary.failed,
        degraded=bool(summary.missing),
        missing=summary.missing,
    )
