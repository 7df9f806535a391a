"""The calls of the scoring service: `client.scoring` of either client."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc

from axia import _requests, _scoring_requests, convert
from axia._async_scoring import AsyncScoring
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

__all__ = ["AsyncScoring", "NewCall", "Scoring"]

ResultT = TypeVar("ResultT", bound=Result)


class Scoring:
    """Turns answers into numbers. Every call takes `timeout`, in seconds; by default it is the client's.

    >>> client.scoring.score_alignment([AlignmentItem(answer="the hot stove", element="a hot stove")]).mean
    1.0

    Raises:
        InvalidRequest: If an argument is wrong; `fields` says which.
        FailedPrecondition: If the reader model is needed and the server has none; the message says what to install.
    """

    def __init__(self, channel: grpc.Channel, new_call: NewCall) -> None:
        self._stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        self._new_call = new_call

    def classify_responses(
        self, sentences: Sequence[str], *, timeout: float | None = None
    ) -> tuple[ResponseTypeScore, ...]:
        """Says of each sentence whether it describes, voices concern, denies or comments on the image's quality."""
        response = self._ask(self._stub.ClassifyResponses, _scoring_requests.classify(sentences), timeout)
        return tuple(convert.to_result(ResponseTypeScore, score) for score in response.scores)

    def attribute_values(
        self, sentences: Sequence[str], *, timeout: float | None = None
    ) -> tuple[ValueAttribution, ...]:
        """Says of each sentence which of Schwartz's ten values it concerns, and how much.

        Args:
            sentences: First sentences of completions.
            timeout: Seconds for this call.
        """
        response = self._ask(self._stub.AttributeValues, _scoring_requests.attribute_values(sentences), timeout)
        return tuple(convert.to_result(ValueAttribution, attribution) for attribution in response.attributions)

    def summarize_completions(
        self, sentences: Sequence[str], *, abstain_threshold: float | None = None, timeout: float | None = None
    ) -> Grouping:
        """Groups sentences of the same meaning and says on which element they agree, if they do.

        Args:
            sentences: First sentences of the completions of one image; an empty one said nothing.
            abstain_threshold: Abstain when the agreement is below this, 0 to 1. Default 0.5.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.summarize(sentences, abstain_threshold)
        return convert.to_grouping(self._ask(self._stub.SummarizeCompletions, request, timeout))

    def read_completions(
        self,
        sentences: Sequence[str],
        *,
        abstain_threshold: float | None = None,
        ground_truth: GroundTruth | None = None,
        model_answers: Sequence[str] = (),
        timeout: float | None = None,
    ) -> CompletionsReading:
        """Says everything of one image's completions in one call: groups, response types, values and alignment.

        What the server can't read is in `missing` with the reason; the rest is there.

        Args:
            sentences: First sentences of the completions of one image.
            abstain_threshold: Abstain when the agreement is below this, 0 to 1. Default 0.5.
            ground_truth: What annotators named, for alignment; `judge_model` stays empty.
            model_answers: With the judge ``model``: its answer about each sentence.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.read_completions(sentences, abstain_threshold, ground_truth, model_answers)
        return convert.to_completions_reading(self._ask(self._stub.ReadCompletions, request, timeout))

    def score_alignment(
        self,
        items: Sequence[AlignmentItem],
        *,
        judge: Judge = "semantic",
        model_answers: Sequence[str] = (),
        human_labels: Sequence[int] = (),
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> Alignment:
        """Says of each answer whether it names the element that annotators named.

        Args:
            items: Answers and what they should name.
            judge: Who judges.
            model_answers: With the judge ``model``: its answer about each item.
            human_labels: A person's label for each item, 0 or 1; or none.
            confidence_level: 0.5 to 0.999. Default 0.95.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.alignment(items, judge, model_answers, human_labels, confidence_level)
        return self._get(self._stub.ScoreAlignment, request, Alignment, timeout)

    def read_verdicts(
        self, question: Question, answers: Sequence[str], *, timeout: float | None = None
    ) -> tuple[ReadVerdict, ...]:
        """Says of each answer to a yes-or-no question whether it says yes, no, declines, or says neither.

        Args:
            question: What was asked: ``like``, ``interest`` or ``judge``.
            answers: The answers as the model gave them.
            timeout: Seconds for this call.
        """
        response = self._ask(self._stub.ReadVerdicts, _scoring_requests.verdicts(question, answers), timeout)
        return tuple(convert.to_result(ReadVerdict, verdict) for verdict in response.verdicts)

    def score_preference(
        self,
        answers: Sequence[PreferenceAnswer],
        *,
        confidence_level: float | None = None,
        resamples: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> PreferenceScores:
        """Scores how much a model likes images of each value, from its answers to the plain question.

        Args:
            answers: The answers.
            confidence_level: 0.5 to 0.999. Default 0.95.
            resamples: Of the bootstrap over keywords, 0 to 20,000. Default 2,000.
            seed: Of the bootstrap. Default 0.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.preference(answers, confidence_level, resamples, seed)
        return self._get(self._stub.ScorePreference, request, PreferenceScores, timeout)

    def compare_preferences(
        self,
        first: Sequence[PreferenceAnswer],
        second: Sequence[PreferenceAnswer],
        *,
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> PreferenceComparison:
        """Compares two sets of answers pair by pair; answers are pairs if value and `item_id` are equal."""
        request = _scoring_requests.compare_preferences(first, second, confidence_level)
        return self._get(self._stub.ComparePreferences, request, PreferenceComparison, timeout)

    def score_isq(
        self, answers: Sequence[IsqItems | str], *, threshold: float | None = None, timeout: float | None = None
    ) -> tuple[IsqScore, ...]:
        """Scores inductive scoring questionnaires: their six items, or text that names them with their numbers.

        Args:
            answers: One an image.
            threshold: S% above this is a match, 0 to 100. Default 60.
            timeout: Seconds for this call.
        """
        response = self._ask(self._stub.ScoreIsq, _scoring_requests.isq(answers, threshold), timeout)
        return tuple(convert.to_result(IsqScore, score) for score in response.scores)

    def score_persona(
        self,
        outcomes: Sequence[PersonaOutcome],
        *,
        confidence_level: float | None = None,
        resamples: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> PersonaScores:
        """Scores role-play by I_avg: how far feeds moved towards what personas find interesting (arXiv 2411.11479).

            >>> outcomes = [PersonaOutcome(persona="cook", platform="TikTok", before=0.2, after=0.3)]
            >>> client.scoring.score_persona(outcomes).platforms[0].i_avg
            50.0

        Args:
            outcomes: Shares of interesting videos before and after, one for each persona and platform.
            confidence_level: 0.5 to 0.999. Default 0.95.
            resamples: Of the bootstrap over personas, 100 to 20,000. Default 10,000.
            seed: Of the bootstrap. Default 0.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.persona(outcomes, confidence_level, resamples, seed)
        return self._get(self._stub.ScorePersona, request, PersonaScores, timeout)

    def classify_misalignments(
        self, items: Sequence[MisalignmentItem], *, confidence_level: float | None = None, timeout: float | None = None
    ) -> Misalignments:
        """Sorts answers that miss the annotators' element into kinds (arXiv 2501.03957).

        Args:
            items: Answers with what annotators said and whether they are aligned; an aligned answer is no miss.
            confidence_level: 0.5 to 0.999. Default 0.95.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.misalignments(items, confidence_level)
        return self._get(self._stub.ClassifyMisalignments, request, Misalignments, timeout)

    def compare_models(
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
        """Tests whether models differ in alignment: Cochran's Q, McNemar between pairs, intervals, power.

        Args:
            models: Scores of each model on the same images.
            confidence_level: 0.5 to 0.999. Default 0.95.
            permutations: Where the exact distribution is too large, 100 to 20,000. Default 10,000.
            seed: Of the permutations. Default 0.
            target_power: That `needed_pictures` aims at. Default 0.8.
            target_difference: That a study should detect. Default: each pair's own for `needed_pictures`, and no power.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.compare_models(
            models, confidence_level, permutations, seed, target_power, target_difference
        )
        return self._get(self._stub.CompareModels, request, ModelComparison, timeout)

    def measure_agreement(
        self,
        ratings: Sequence[Rating],
        *,
        judge: Judge | None = None,
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> Agreement:
        """Measures how far annotators agree, and the best score that a model can be expected to reach.

        Args:
            ratings: What each annotator said of each unit.
            judge: ``lexical`` or ``semantic``: who says whether an annotator names what the others do. Give the judge
                that scores the models, so that the ceiling compares with their scores. Default: equal texts alone
                agree.
            confidence_level: 0.5 to 0.999. Default 0.95.
            timeout: Seconds for this call.
        """
        request = _scoring_requests.agreement(ratings, confidence_level, judge)
        return self._get(self._stub.MeasureAgreement, request, Agreement, timeout)

    def _ask(self, method: Callable[..., Any], request: Any, timeout: float | None) -> Any:
        call = self._new_call(timeout)
        with call.errors():
            return method(_requests.limited(request), **call.options)

    def _get(self, method: Callable[..., Any], request: Any, result: type[ResultT], timeout: float | None) -> ResultT:
        return convert.to_result(result, self._ask(method, request, timeout))
