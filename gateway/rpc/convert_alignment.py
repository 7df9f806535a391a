"""Maps between a model's judgements of answers in the contract (axia.v1) and the gateway's own types."""

from axia.v1 import gateway_pb2
from gateway.protocols.alignment_judge import Item, Judged, Judgements, JudgeRequest, Votes
from gateway.rpc.convert_detection import from_item_error, from_model_info, from_prompt


def to_judge_request(request: gateway_pb2.JudgeAlignmentRequest) -> JudgeRequest:
    """Reads a request."""
    return JudgeRequest(
        items=[Item(item.answer, (item.element, *item.accept)) for item in request.items],
        model=request.model,
        votes=Votes(request.samples or 1, request.structured),
    )


def from_judgements(judgements: Judgements) -> gateway_pb2.JudgeAlignmentResponse:
    """Writes what a model said."""
    return gateway_pb2.JudgeAlignmentResponse(
        judgements=[_from_judged(judged) for judged in judgements.judged],
        model=from_model_info(judgements.model),
        prompt=from_prompt(judgements.prompt),
    )


def _from_judged(judged: Judged) -> gateway_pb2.JudgedAnswer:
    return gateway_pb2.JudgedAnswer(
        score=judged.score,
        answers=judged.answers,
        error=from_item_error(judged.error) if judged.error else None,
    )
