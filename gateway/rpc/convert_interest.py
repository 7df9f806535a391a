"""Maps between interest in the contract (axia.v1) and the gateway's own types."""

from typing import Literal

from axia.v1 import gateway_pb2, scoring_pb2
from axia.version import __version__
from gateway.backends.scoring_client import from_verdict
from gateway.protocols.interest import Interest, InterestJudgement, InterestPicture, InterestRequest
from gateway.rpc.convert_detection import as_written, from_item_error, from_model_info, from_prompt
from gateway.rpc.convert_preference import from_answer_sampling, to_answer_request
from services.serving.errors import InvalidArgument

_STRATEGIES: dict[int, Literal["simple", "isq"]] = {
    gateway_pb2.INTEREST_STRATEGY_UNSPECIFIED: "simple",
    gateway_pb2.INTEREST_STRATEGY_SIMPLE: "simple",
    gateway_pb2.INTEREST_STRATEGY_ISQ: "isq",
}
_DECISIONS = {
    True: gateway_pb2.INTEREST_DECISION_STAY,
    False: gateway_pb2.INTEREST_DECISION_SWIPE,
    None: gateway_pb2.INTEREST_DECISION_UNSPECIFIED,
}


def to_interest_request(request: gateway_pb2.JudgeInterestRequest) -> InterestRequest:
    """Reads a request; what is not set stays None."""
    strategy = _STRATEGIES.get(request.strategy)
    if strategy is None:
        raise InvalidArgument("strategy", "is not known to this release", reason="STRATEGY_UNKNOWN")
    return InterestRequest(
        pictures=[
            InterestPicture(picture.image.data if picture.HasField("image") else None, picture.image_id)
            for picture in request.pictures
        ],
        traits=tuple(request.traits),
        strategy=strategy,
        threshold=request.threshold if request.HasField("threshold") else None,
        model=request.model,
        answers=to_answer_request(request),
        structured=request.structured,
    )


def from_interest(interest: Interest, request_id: str) -> gateway_pb2.JudgeInterestResponse:
    """Writes a persona's interest."""
    return gateway_pb2.JudgeInterestResponse(
        judgements=[_from_judgement(judgement) for judgement in interest.judgements],
        model=from_model_info(interest.model),
        prompt=from_prompt(interest.prompt),
        seed=interest.sampling.seed,
        stay_share=interest.stay_share,
        undecided=interest.undecided,
        request_id=request_id,
        axia_version=__version__,
        sampling=from_answer_sampling(interest.sampling),
        structured=interest.structured,
    )


def _from_judgement(judgement: InterestJudgement) -> gateway_pb2.InterestJudgement:
    return gateway_pb2.InterestJudgement(
        image_sha256=judgement.image_sha256,
        text=judgement.text,
        decision=_DECISIONS[judgement.stays],
        verdict=from_verdict(judgement.verdict),
        isq=as_written(judgement.isq, scoring_pb2.IsqScore) if judgement.isq is not None else None,
        error=from_item_error(judgement.error) if judgement.error else None,
        reasoning=judgement.reasoning,
    )
