"""The calls of the scoring service with `await`; `axia.scoring` describes each."""
# ruff: noqa: ASYNC109 - the limit travels to the server; asyncio.timeout can't do that

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc.aio

from axia import _requests, _scoring_requests, convert
from axia._connection.call import NewCall
from axia.inputs import (
    AlignmentItem,
    GroundTruth,
    IsqItems,
    Judge,
    MisalignmentItem,
    ModelScores,
    PersonaOutcome,
    PreferenceAnswer,
    Rating,
)
from axia.results import (
    Agreement,
    Alignment,
    CompletionsReading,
    Grouping,
    IsqScore,
    Misalignments,
    ModelComparison,
    PersonaScores,
    PreferenceComparison,
    PreferenceScores,
    ReadVerdict,
    ResponseTypeScore,
    ValueAttribution,
)
from axia.results.base import Result
from axia.results.scoring import Question
from axia.v1 import scoring_pb2_grpc

if TYPE_CHECKING:
    from axia.v1.scoring_pb2_grpc import ScoringServiceAsyncStub

ResultT = TypeVar("ResultT", bound=Result)


class AsyncScoring:
    """`Scoring` with `await`."""

    def __init__(self, channel: Callable[[], grpc.aio.Channel], new_call: NewCall) -> None:
        self._channel = channel
        self._new_call = new_call

    @property
    def _stub(self) -> "ScoringServiceAsyncStub":
        # One class at run time, whose type depends on the channel; the generated stubs spell it as two.
        return cast("ScoringServiceAsyncStub", scoring_pb2_grpc.ScoringServiceStub(self._channel()))

    async def classify_responses(
        self, sentences: Sequence[str], *, timeout: float | None = None
    ) -> tuple[ResponseTypeScore, ...]:
        """See `Scoring.classify_responses`."""
        response = await self._ask(self._stub.ClassifyResponses, _scoring_requests.classify(sentences), timeout)
        return tuple(convert.to_result(ResponseTypeScore, score) for score in response.scores)

    async def attribute_values(
        self, sentences: Sequence[str], *, timeout: float | None = None
    ) -> tuple[ValueAttribution, ...]:
        """See `Scoring.attribute_values`."""
        response = await self._ask(self._stub.AttributeValues, _scoring_requests.attribute_values(sentences), timeout)
        return tuple(convert.to_result(ValueAttribution, attribution) for attribution in response.attributions)

    async def summarize_completions(
        self, sentences: Sequence[str], *, abstain_threshold: float | None = None, timeout: float | None = None
    ) -> Grouping:
        """See `Scoring.summarize_completions`."""
        request = _scoring_requests.summarize(sentences, abstain_threshold)
        return convert.to_grouping(await self._ask(self._stub.SummarizeCompletions, request, timeout))

    async def read_completions(
        self,
        sentences: Sequence[str],
        *,
        abstain_threshold: float | None = None,
        ground_truth: GroundTruth | None = None,
        model_answers: Sequence[str] = (),
        timeout: float | None = None,
    ) -> CompletionsReading:
        """See `Scoring.read_completions`."""
        request = _scoring_requests.read_completions(sentences, abstain_threshold, ground_truth, model_answers)
        return convert.to_completions_reading(await self._ask(self._stub.ReadCompletions, request, timeout))

    async def score_alignment(
        self,
        items: Sequence[AlignmentItem],
        *,
        judge: Judge = "semantic",
        model_answers: Sequence[str] = (),
        human_labels: Sequence[int] = (),
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> Alignment:
        """See `Scoring.score_alignment`."""
        request = _scoring_requests.alignment(items, judge, model_answers, human_labels, confidence_level)
        return await self._get(self._stub.ScoreAlignment, request, Alignment, timeout)

    async def read_verdicts(
        self, question: Question, answers: Sequence[str], *, timeout: float | None = None
    ) -> tuple[ReadVerdict, ...]:
        """See `Scoring.read_verdicts`."""
        response = await self._ask(self._stub.ReadVerdicts, _scoring_requests.verdicts(question, answers), timeout)
        return tuple(convert.to_result(ReadVerdict, verdict) for verdict in response.verdicts)

    async def score_preference(
        self,
        answers: Sequence[PreferenceAnswer],
        *,
        confidence_level: float | None = None,
        resamples: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> PreferenceScores:
        """See `Scoring.score_preference`."""
        request = _scoring_requests.preference(answers, confidence_level, resamples, seed)
        return await self._get(self._stub.ScorePreference, request, PreferenceScores, timeout)

    async def compare_preferences(
        self,
        first: Sequence[PreferenceAnswer],
        second: Sequence[PreferenceAnswer],
        *,
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> PreferenceComparison:
        """See `Scoring.compare_preferences`."""
        request = _scoring_requests.compare_preferences(first, second, confidence_level)
        return await self._get(self._stub.ComparePreferences, request, PreferenceComparison, timeout)

    async def score_isq(
        self, answers: Sequence[IsqItems | str], *, threshold: float | None = None, timeout: float | None = None
    ) -> tuple[IsqScore, ...]:
        """See `Scoring.score_isq`."""
        response = await self._ask(self._stub.ScoreIsq, _scoring_requests.isq(answers, threshold), timeout)
        return tuple(convert.to_result(IsqScore, score) for score in response.scores)

    async def score_persona(
        self,
        outcomes: Sequence[PersonaOutcome],
        *,
        confidence_level: float | None = None,
        resamples: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> PersonaScores:
        """See `Scoring.score_persona`."""
        request = _scoring_requests.persona(outcomes, confidence_level, resamples, seed)
        return await self._get(self._stub.ScorePersona, request, PersonaScores, timeout)

    async def classify_misalignments(
        self, items: Sequence[MisalignmentItem], *, confidence_level: float | None = None, timeout: float | None = None
    ) -> Misalignments:
        """See `Scoring.classify_misalignments`."""
        request = _scoring_requests.misalignments(items, confidence_level)
        return await self._get(self._stub.ClassifyMisalignments, request, Misalignments, timeout)

    async def compare_models(
        self,
        models: Sequence[ModelScores],
        *,
        confidence_level: float | None = None,
        permutations: int | None = None,
        seed: int | None = None,
        target_power: float | None = None,
        target_difference: float | None = None,
        timeout: float | None = None,
    ) -> ModelComparison:
        """See `Scoring.compare_models`."""
        request = _scoring_requests.compare_models(
            models, confidence_level, permutations, seed, target_power, target_difference
        )
        return await self._get(self._stub.CompareModels, request, ModelComparison, timeout)

    async def measure_agreement(
        self,
        ratings: Sequence[Rating],
        *,
        judge: Judge | None = None,
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> Agreement:
        """See `Scoring.measure_agreement`."""
        request = _scoring_requests.agreement(ratings, confidence_level, judge)
        return await self._get(self._stub.MeasureAgreement, request, Agreement, timeout)

    async def _ask(self, method: Callable[..., Any], request: Any, timeout: float | None) -> Any:
        call = self._new_call(timeout)
        with call.errors():
            return await method(_requests.limited(request), **call.options)

    async def _get(
        self, method: Callable[..., Any], request: Any, result: type[ResultT], timeout: float | None
    ) -> ResultT:
        return convert.to_result(result, await self._ask(method, request, timeout))
