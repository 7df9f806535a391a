"""Maps between the scoring service's part of the contract (axia.v1) and the gateway's own types."""

from __future__ import annotations

from collections.abc import Sequence

from axia.v1 import scoring_pb2
from gateway.protocols.consensus import AbstainReason, CompletionGroup, Consensus
from gateway.protocols.ports.scoring import (
    Alignment,
    Attribution,
    Grouping,
    IsqReading,
    PreferenceAnswer,
    Question,
    Readings,
    Verdict,
    Weight,
)
from gateway.protocols.sampling import GroundTruth

_JUDGES = {
    "lexical": scoring_pb2.JUDGE_LEXICAL,
    "semantic": scoring_pb2.JUDGE_SEMANTIC,
    "model": scoring_pb2.JUDGE_MODEL,
}
_VERDICTS: dict[scoring_pb2.PreferenceVerdict.ValueType, Verdict] = {
    scoring_pb2.PREFERENCE_VERDICT_YES: "yes",
    scoring_pb2.PREFERENCE_VERDICT_NO: "no",
    scoring_pb2.PREFERENCE_VERDICT_REFUSAL: "refusal",
    scoring_pb2.PREFERENCE_VERDICT_UNPARSED: "unparsed",
}
ABSTAIN_REASONS: dict[scoring_pb2.AbstainReason.ValueType, AbstainReason] = {
    scoring_pb2.ABSTAIN_REASON_LOW_AGREEMENT: "low_agreement",
    scoring_pb2.ABSTAIN_REASON_TIE: "tie",
    scoring_pb2.ABSTAIN_REASON_NO_ANSWER: "no_answer",
    scoring_pb2.ABSTAIN_REASON_REFUSED: "refused",
    scoring_pb2.ABSTAIN_REASON_NONE_IN_MINORITY: "none_in_minority",
}
_QUESTIONS: dict[Question, scoring_pb2.Question.ValueType] = {
    "like": scoring_pb2.QUESTION_LIKE,
    "interest": scoring_pb2.QUESTION_INTEREST,
    "judge": scoring_pb2.QUESTION_JUDGE,
}
_VERDICT_VALUES = {name: value for value, name in _VERDICTS.items()}


def from_completions(
    sentences: Sequence[str], abstain_threshold: float, truth: GroundTruth | None, judge_answers: Sequence[str]
) -> scoring_pb2.ReadCompletionsRequest:
    """Writes sentences with what they should name, if that is known."""
    request = scoring_pb2.ReadCompletionsRequest(sentences=sentences, abstain_threshold=abstain_threshold)
    if truth:
        request.ground_truth.element = truth.element
        request.ground_truth.accept.extend(truth.accept)
        request.ground_truth.judge = _JUDGES[truth.judge]
        request.ground_truth.model_answers.extend(judge_answers)
    return request


def to_readings(response: scoring_pb2.ReadCompletionsResponse) -> Readings:
    """Reads what sentences say; a part that is unset is None or empty."""
    return Readings(
        grouping=_to_grouping(response.grouping) if response.HasField("grouping") else None,
        response_types=tuple(response.response_types.scores),
        attributions=tuple(_to_attribution(attribution) for attribution in response.values.attributions),
        alignments=tuple(_to_alignment(score) for score in response.alignment.scores),
    )


def _to_grouping(response: scoring_pb2.SummarizeCompletionsResponse) -> Grouping:
    groups = tuple(
        CompletionGroup(group.representative, tuple(group.members), group.share, group.type)
        for group in response.groups
    )
    consensus = Consensus(
        groups,
        response.consensus,
        response.agreement,
        response.entropy,
        response.abstain,
        ABSTAIN_REASONS.get(response.abstain_reason),
    )
    return Grouping(consensus, by_meaning=bool(response.sentence_model))


def _to_attribution(attribution: scoring_pb2.ValueAttribution) -> Attribution:
    return Attribution(tuple(Weight(value.name, value.weight) for value in attribution.values), attribution)


def _to_alignment(score: scoring_pb2.AlignmentScore) -> Alignment:
    return Alignment(score.score if score.HasField("score") else None, score)


def from_preference_answers(answers: Sequence[PreferenceAnswer]) -> list[scoring_pb2.PreferenceAnswer]:
    """Writes answers about pictures of values."""
    return [scoring_pb2.PreferenceAnswer(**answer._asdict()) for answer in answers]


def to_verdict(verdict: scoring_pb2.PreferenceVerdict.ValueType) -> Verdict:
    """Reads what an answer says; one that this release doesn't know is unparsed."""
    return _VERDICTS.get(verdict, "unparsed")


def from_question(question: Question, answers: Sequence[str]) -> scoring_pb2.ReadVerdictsRequest:
    """Writes answers to a question for yes or no."""
    return scoring_pb2.ReadVerdictsRequest(question=_QUESTIONS[question], answers=answers)


def from_verdict(verdict: Verdict | None) -> scoring_pb2.PreferenceVerdict.ValueType:
    """Writes what an answer says; None is one that nobody read."""
    return _VERDICT_VALUES[verdict] if verdict else scoring_pb2.PREFERENCE_VERDICT_UNSPECIFIED


def to_isq(score: scoring_pb2.IsqScore) -> IsqReading:
    """Reads the score of a questionnaire."""
    return IsqReading(score.match if score.HasField("match") else None, tuple(score.missing), score, score.error)
