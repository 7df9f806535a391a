"""Maps between the contract (axia.v1) and what the language parts take and give."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from axia.v1 import scoring_pb2
from services.scoring.convert import VERDICTS, from_interval
from services.scoring.protocols.completions import AnnotatedElement, Reading
from services.scoring.reading.alignment import AlignmentItem, AlignmentVerdict, Judge
from services.scoring.reading.grouping import AbstainReason, Consensus, GroupBy
from services.scoring.reading.labels import Question
from services.scoring.reading.model import Reader
from services.scoring.reading.response_types import ResponseType, TypedResponse
from services.scoring.reading.values import ValueAttribution
from services.scoring.reading.verdicts import ReadVerdict
from services.scoring.scorer import Alignment, HumanAgreement
from services.serving.errors import InvalidArgument

ReadT = TypeVar("ReadT")
WrittenT = TypeVar("WrittenT")

_JUDGES = {
    scoring_pb2.JUDGE_UNSPECIFIED: Judge.SEMANTIC,
    scoring_pb2.JUDGE_LEXICAL: Judge.LEXICAL,
    scoring_pb2.JUDGE_SEMANTIC: Judge.SEMANTIC,
    scoring_pb2.JUDGE_MODEL: Judge.MODEL,
}
_QUESTIONS = {
    scoring_pb2.QUESTION_UNSPECIFIED: Question.LIKE,
    scoring_pb2.QUESTION_LIKE: Question.LIKE,
    scoring_pb2.QUESTION_INTEREST: Question.INTEREST,
    scoring_pb2.QUESTION_JUDGE: Question.JUDGE,
}
_ABSTAIN_REASONS = {
    None: scoring_pb2.ABSTAIN_REASON_UNSPECIFIED,
    AbstainReason.LOW_AGREEMENT: scoring_pb2.ABSTAIN_REASON_LOW_AGREEMENT,
    AbstainReason.TIE: scoring_pb2.ABSTAIN_REASON_TIE,
    AbstainReason.NO_ANSWER: scoring_pb2.ABSTAIN_REASON_NO_ANSWER,
    AbstainReason.REFUSED: scoring_pb2.ABSTAIN_REASON_REFUSED,
    AbstainReason.NONE_IN_MINORITY: scoring_pb2.ABSTAIN_REASON_NONE_IN_MINORITY,
}


def to_question(question: scoring_pb2.Question.ValueType) -> Question:
    """Reads what was asked."""
    known = _QUESTIONS.get(question)
    if known is None:
        raise InvalidArgument("question", "must be like, interest or judge", reason="QUESTION_UNKNOWN")
    return known


def to_judge(judge: scoring_pb2.Judge.ValueType, field: str = "judge") -> Judge:
    """Reads who judges."""
    known = _JUDGES.get(judge)
    if known is None:
        raise InvalidArgument(field, "must be lexical, semantic or model", reason="JUDGE_UNKNOWN")
    return known


def to_response_type(field: str, kind: scoring_pb2.ResponseType.ValueType) -> ResponseType:
    """Reads a type of response; the numbers of contract and domain are the same."""
    try:
        return ResponseType(kind)
    except ValueError:
        raise InvalidArgument(field, "must be one of the types 1 to 5, or open", reason="TYPE_UNKNOWN") from None


def to_alignment_items(request: scoring_pb2.ScoreAlignmentRequest, judge: Judge) -> list[AlignmentItem]:
    """Reads the items, each with the judge model's answer where a model judges."""
    _check_model_answers("model_answers", request.model_answers, judge, "items", len(request.items))
    answers: Sequence[str] = request.model_answers or [""] * len(request.items)
    return [
        AlignmentItem(item.answer, item.element, tuple(item.accept), answer)
        for item, answer in zip(request.items, answers, strict=True)
    ]


def to_annotated_element(truth: scoring_pb2.AnnotatedElement, sentences: int) -> AnnotatedElement:
    """Reads what that many completions should name."""
    judge = to_judge(truth.judge, "ground_truth.judge")
    _check_model_answers("ground_truth.model_answers", truth.model_answers, judge, "sentences", sentences)
    return AnnotatedElement(truth.element, tuple(truth.accept), judge, tuple(truth.model_answers))


def _check_model_answers(field: str, answers: Sequence[str], judge: Judge, items: str, count: int) -> None:
    """Refuses answers that no model gave, or not one for each item."""
    if judge is not Judge.MODEL and answers:
        raise InvalidArgument(field, "are only for JUDGE_MODEL", reason="MODEL_ANSWERS_UNUSED")
    if judge is Judge.MODEL and len(answers) != count:
        raise InvalidArgument(field, f"has {len(answers):,} entries, and there are {count:,} {items}", reason="RAGGED")


def _each_once(write: Callable[[ReadT], WrittenT], read: Sequence[ReadT]) -> list[WrittenT]:
    """Writes each object once, however often it is in a list: equal sentences share theirs."""
    written = {id(result): write(result) for result in {id(result): result for result in read}.values()}
    return [written[id(result)] for result in read]


def from_types(responses: Sequence[TypedResponse]) -> scoring_pb2.ClassifyResponsesResponse:
    """Writes the types of sentences."""
    return scoring_pb2.ClassifyResponsesResponse(scores=_each_once(from_typed, responses))


def from_typed(response: TypedResponse) -> scoring_pb2.ResponseTypeScore:
    """Writes the type of a sentence."""
    return scoring_pb2.ResponseTypeScore(
        type=scoring_pb2.ResponseType.ValueType(int(response.type)),
        confidence=response.confidence,
        probabilities=response.probabilities,
        language=response.language,
    )


def from_attributions(attributions: Sequence[ValueAttribution]) -> scoring_pb2.AttributeValuesResponse:
    """Writes the values that sentences concern."""
    return scoring_pb2.AttributeValuesResponse(attributions=_each_once(from_attribution, attributions))


def from_attribution(attribution: ValueAttribution) -> scoring_pb2.ValueAttribution:
    """Writes the values that a sentence concerns."""
    return scoring_pb2.ValueAttribution(
        values=[scoring_pb2.ValueWeight(name=name, weight=weight) for name, weight in attribution.values.items()],
        groups=[scoring_pb2.ValueWeight(name=name, weight=weight) for name, weight in attribution.groups.items()],
        at_stake=attribution.at_stake,
    )


def from_verdicts(verdicts: Sequence[ReadVerdict], reader: Reader | None) -> scoring_pb2.ReadVerdictsResponse:
    """Writes what answers say."""
    return scoring_pb2.ReadVerdictsResponse(
        verdicts=_each_once(_from_read_verdict, verdicts), sentence_model=from_reader(reader)
    )


def _from_read_verdict(read: ReadVerdict) -> scoring_pb2.ReadVerdict:
    return scoring_pb2.ReadVerdict(verdict=VERDICTS[read.verdict], confidence=read.confidence, language=read.language)


def from_consensus(consensus: Consensus, reader: Reader | None) -> scoring_pb2.SummarizeCompletionsResponse:
    """Writes what completions say together."""
    semantic = consensus.grouped_by is GroupBy.SEMANTIC
    return scoring_pb2.SummarizeCompletionsResponse(
        groups=[
            scoring_pb2.MeaningGroup(
                representative=group.representative,
                members=group.members,
                share=group.share,
                type=scoring_pb2.ResponseType.ValueType(int(group.type)),
            )
            for group in consensus.groups
        ],
        consensus=consensus.element,
        agreement=consensus.agreement,
        entropy=consensus.entropy_bits,
        abstain=consensus.abstain,
        sentence_model=from_reader(reader) if semantic else "",
        abstain_reason=_ABSTAIN_REASONS[consensus.abstain_reason],
    )


def from_verdict(verdict: AlignmentVerdict) -> scoring_pb2.AlignmentScore:
    """Writes whether an answer is aligned."""
    return scoring_pb2.AlignmentScore(
        score=None if verdict.aligned is None else int(verdict.aligned),
        strength=verdict.score,
        evidence=verdict.evidence,
        matched=verdict.matched,
    )


def from_reader(reader: Reader | None) -> str:
    """Names the reader model with its revision."""
    return f"{reader.name}@{reader.revision}" if reader else ""


def from_judge(judge: Judge, reader: Reader | None) -> str:
    """Names the reader model that judges; empty for a judge that needs none."""
    return from_reader(reader) if judge is Judge.SEMANTIC else ""


def from_alignment(alignment: Alignment, judge: Judge, reader: Reader | None) -> scoring_pb2.ScoreAlignmentResponse:
    """Writes whether answers are aligned."""
    return scoring_pb2.ScoreAlignmentResponse(
        scores=_each_once(from_verdict, alignment.verdicts),
        mean=alignment.mean,
        interval=from_interval(alignment.interval),
        unparsed=alignment.unparsed,
        human_agreement=_from_human(alignment.human) if alignment.human else None,
        sentence_model=from_judge(judge, reader),
        other_language=alignment.other_language,
    )


def _from_human(human: HumanAgreement) -> scoring_pb2.JudgeAgreement:
    return scoring_pb2.JudgeAgreement(**{**human._asdict(), "kappa_interval": from_interval(human.kappa_interval)})


def from_reading(
    reading: Reading, truth: AnnotatedElement | None, reader: Reader | None
) -> scoring_pb2.ReadCompletionsResponse:
    """Writes what completions say."""
    alignment = from_alignment(reading.alignment, truth.judge, reader) if reading.alignment and truth else None
    return scoring_pb2.ReadCompletionsResponse(
        grouping=from_consensus(reading.grouping, reader) if reading.grouping else None,
        response_types=None if reading.response_types is None else from_types(reading.response_types),
        values=None if reading.values is None else from_attributions(reading.values),
        alignment=alignment,
        missing=[scoring_pb2.MissingPart(**part._asdict()) for part in reading.missing],
    )
