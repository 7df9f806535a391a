"""The scoring service behind the gateway, reached over gRPC; see `gateway.protocols.ports.scoring.Scoring`."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from axia.v1 import scoring_pb2, scoring_pb2_grpc
from gateway import metrics
from gateway.backends.channels import ServiceChannel, invocation
from gateway.protocols.fields import FIRST_ANSWER
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.scoring import (
    TOO_OLD,
    AbstainReason,
    Alignment,
    Attribution,
    CompletionGroup,
    Consensus,
    Grouping,
    IsqReading,
    PreferenceAnswer,
    Question,
    Readings,
    Verdict,
    Weight,
)
from gateway.protocols.sampling import GroundTruth
from services.serving.errors import FailedPrecondition, ServiceError, renaming
from services.serving.tracing import span
from services.serving.upstream.attempts import Attempt
from services.serving.upstream.replica import Replica

logger = logging.getLogger(__name__)

SERVICE = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name
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


class GrpcScoring:
    """The scoring service.

    Args:
        channel: To the service.
        hung_after_s: A call that was given this long and got no answer makes the service count as away.
        max_chars: Of what a model says, so many characters are sent: one answer without an end must not cost the call.
    """

    def __init__(self, channel: ServiceChannel, hung_after_s: float, max_chars: int) -> None:
        self._channel = channel
        self._hung_after_s = hung_after_s
        self._max_chars = max_chars
        self._too_old_at: int | None = None
        """The arrival of the service that was found to be too old."""

    @property
    def serving(self) -> bool:
        """Whether it says SERVING."""
        return self._channel.serving

    def _cut(self, texts: Sequence[str]) -> list[str]:
        return [text[: self._max_chars] for text in texts]

    def _cut_answers(self, answers: Sequence[PreferenceAnswer]) -> list[PreferenceAnswer]:
        return [answer._replace(answer=answer.answer[: self._max_chars]) for answer in answers]

    async def _call(self, method: str, request: Any, time_s: float) -> Any:
        outcome = "failed"
        asked: list[Replica] = []

        def invoke(attempt: Attempt) -> Any:
            asked.append(attempt.replica)
            return begin(attempt)

        try:
            with span(f"{SERVICE}/{method}", kind="client"), self._channel.calling(), self._doubting(asked, time_s):
                begin = invocation(scoring_pb2_grpc.ScoringServiceStub, method, request)
                response = await self._channel.calls.unary(invoke, time_s)
            outcome = "answered"
            return response
        finally:
            metrics.SCORING_CALLS.labels(method, outcome).inc()

    @contextmanager
    def _doubting(self, asked: Sequence[Replica], time_s: float) -> Iterator[None]:
        """Takes the replica that was asked last for away if it let a long time pass: every caller would wait for it."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and time_s >= self._hung_after_s:
                self._channel.doubt(asked[-1])
            raise

    async def read(
        self,
        sentences: Sequence[str],
        abstain_threshold: float,
        truth: GroundTruth | None,
        judge_answers: Sequence[str],
        timeout_s: float,
    ) -> Readings:
        """What sentences say, alone and together; logs why a part can't be read.

        Raises:
            FailedPrecondition: With the reason TOO_OLD if the service can't; logged once each time that it came.
        """
        request = _from_completions(self._cut(sentences), abstain_threshold, truth, self._cut(judge_answers))
        try:
            response = await self._call("ReadCompletions", request, timeout_s)
        except ServiceError as error:
            if error.reason != "UNIMPLEMENTED":
                raise
            too_old = self._too_old("ReadCompletions")
            if self._too_old_at != self._channel.arrivals:
                self._too_old_at = self._channel.arrivals
                logger.warning("detections have no results of the scoring service: %s", too_old.message)
            raise too_old from error
        for missing in response.missing:
            logger.info("%s can't be read: %s", missing.part, missing.message)
        return _to_readings(response)

    def _too_old(self, method: str) -> FailedPrecondition:
        return FailedPrecondition(
            f"the scoring service at {self._channel.address} is older than this gateway and doesn't know "
            f"{method}; upgrade it",
            reason=TOO_OLD,
        )

    async def read_verdicts(self, question: Question, answers: Sequence[str], timeout_s: float) -> list[Verdict]:
        """What each answer to this question says.

        Raises:
            FailedPrecondition: With the reason TOO_OLD if the service can't.
        """
        request = _from_question(question, self._cut(answers))
        try:
            response = await self._call("ReadVerdicts", request, timeout_s)
        except ServiceError as error:
            raise self._too_old("ReadVerdicts") if error.reason == "UNIMPLEMENTED" else error from error
        return [_to_verdict(read.verdict) for read in response.verdicts]

    async def verdicts(self, answers: Sequence[PreferenceAnswer], timeout_s: float) -> list[Verdict]:
        """What each answer to a question for yes or no says."""
        request = scoring_pb2.ScorePreferenceRequest(
            answers=_from_preference_answers(self._cut_answers(answers)), resamples=0
        )
        response = await self._call("ScorePreference", request, timeout_s)
        return [_to_verdict(verdict) for verdict in response.verdicts]

    async def preference_table(
        self, answers: Sequence[PreferenceAnswer], confidence_level: float, timeout_s: float
    ) -> Message:
        """Preference by value."""
        request = scoring_pb2.ScorePreferenceRequest(
            answers=_from_preference_answers(self._cut_answers(answers)),
            confidence_level=confidence_level,
        )
        table: scoring_pb2.ScorePreferenceResponse = await self._call("ScorePreference", request, timeout_s)
        return table

    async def isq(self, text: str, threshold: float, timeout_s: float) -> IsqReading:
        """Reads and scores one questionnaire."""
        request = scoring_pb2.ScoreIsqRequest(
            answers=[scoring_pb2.IsqAnswer(text=text[: self._max_chars])], threshold=threshold
        )
        with renaming(FIRST_ANSWER):
            response = await self._call("ScoreIsq", request, timeout_s)
        return _to_isq(response.scores[0])


def _from_completions(
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


def _to_readings(response: scoring_pb2.ReadCompletionsResponse) -> Readings:
    """Reads what sentences say; a part that is unset is None or empty."""
    return Readings(
        grouping=_to_grouping(response.grouping) if response.HasField("grouping") else None,
        response_types=tuple(response.response_types.scores),
        response_type_names=tuple(_type_name(score.type) for score in response.response_types.scores),
        attributions=tuple(_to_attribution(attribution) for attribution in response.values.attributions),
        alignments=tuple(_to_alignment(score) for score in response.alignment.scores),
    )


def _type_name(number: int) -> str:
    """A response type's name for metrics; "unspecified" for one that is not known here."""
    known = scoring_pb2.ResponseType.DESCRIPTOR.values_by_number
    return known[number].name.removeprefix("RESPONSE_TYPE_").lower() if number in known else "unspecified"


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


def _from_preference_answers(answers: Sequence[PreferenceAnswer]) -> list[scoring_pb2.PreferenceAnswer]:
    """Writes answers about pictures of values."""
    return [scoring_pb2.PreferenceAnswer(**answer._asdict()) for answer in answers]


def _to_verdict(verdict: scoring_pb2.PreferenceVerdict.ValueType) -> Verdict:
    """Reads what an answer says; one that this release doesn't know is unparsed."""
    return _VERDICTS.get(verdict, "unparsed")


def _from_question(question: Question, answers: Sequence[str]) -> scoring_pb2.ReadVerdictsRequest:
    """Writes answers to a question for yes or no."""
    return scoring_pb2.ReadVerdictsRequest(question=_QUESTIONS[question], answers=answers)


def from_verdict(verdict: Verdict | None) -> scoring_pb2.PreferenceVerdict.ValueType:
    """Writes what an answer says; None is one that nobody read."""
    return _VERDICT_VALUES[verdict] if verdict else scoring_pb2.PREFERENCE_VERDICT_UNSPECIFIED


def _to_isq(score: scoring_pb2.IsqScore) -> IsqReading:
    """Reads the score of a questionnaire."""
    return IsqReading(score.match if score.HasField("match") else None, tuple(score.missing), score, score.error)
