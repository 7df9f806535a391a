"""The gRPC face of the scoring service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc

from axia.v1 import scoring_pb2, scoring_pb2_grpc
from services.scoring import convert, convert_language, metrics
from services.scoring.protocols.completions import read_completions
from services.scoring.protocols.misalignment import TypedAnswer, classify_misalignments
from services.scoring.protocols.persona import DEFAULT_RESAMPLES as DEFAULT_PERSONA_RESAMPLES
from services.scoring.protocols.persona import score_persona
from services.scoring.protocols.preference import DEFAULT_RESAMPLES, PreferenceAnswer, score_preference
from services.scoring.protocols.preference_pairs import compare_preferences
from services.scoring.reading.isq.score import DEFAULT_THRESHOLD, IsqItems, check_threshold, score_isq
from services.scoring.reading.isq.text import score_isq_text
from services.scoring.reading.labels import Question, Verdict
from services.scoring.reading.language import Language
from services.scoring.reading.verdicts import read_verdicts
from services.scoring.scorer import complete_types, load_language, score_agreement, score_alignment
from services.scoring.settings import ScoringSettings
from services.scoring.statistics.agreement import measure_agreement
from services.scoring.statistics.cochran import DEFAULT_PERMUTATIONS
from services.scoring.statistics.intervals import DEFAULT_LEVEL
from services.scoring.statistics.model_comparison import DEFAULT_TARGET_POWER, compare_models
from services.serving.errors import InvalidArgument, Unavailable
from services.serving.limits import check_between

SERVICE = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name

DEFAULT_ABSTAIN_THRESHOLD = 0.5
_INLINE_BYTES = 4096

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """Converts, calls, converts; all but small requests in a thread, so that the event loop never waits for numbers."""

    def __init__(self, settings: ScoringSettings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="scoring")
        self._loaded: Language | None = None
        self._isq_scored = metrics.ITEMS.labels("ScoreIsq")  # looked up once, for it is the most frequent call

    async def load(self) -> None:
        """Loads the reader model, if there is one."""
        self._loaded = await asyncio.get_running_loop().run_in_executor(self._pool, load_language, self._settings)

    def close(self) -> None:
        """Lets the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def _language(self) -> Language:
        if self._loaded is None:
            raise Unavailable(
                "the reader model is being loaded; health turns to SERVING when it is",
                reason="MODEL_LOADING",
                retry_after_s=1.0,
            )
        return self._loaded

    async def _compute(self, score: Callable[[RequestT], ResponseT], request: RequestT) -> ResponseT:
        return await asyncio.get_running_loop().run_in_executor(self._pool, score, request)

    # The names of the methods below are the contract's.
    # ruff: noqa: N802

    async def ClassifyResponses(
        self, request: scoring_pb2.ClassifyResponsesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ClassifyResponsesResponse:
        """Says what kind of answer each sentence is."""
        return await self._compute(self._classify_responses, request)

    async def AttributeValues(
        self, request: scoring_pb2.AttributeValuesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.AttributeValuesResponse:
        """Says which values each sentence concerns."""
        return await self._compute(self._attribute_values, request)

    async def SummarizeCompletions(
        self, request: scoring_pb2.SummarizeCompletionsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.SummarizeCompletionsResponse:
        """Says what completions say together."""
        return await self._compute(self._summarize_completions, request)

    async def ReadCompletions(
        self, request: scoring_pb2.ReadCompletionsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ReadCompletionsResponse:
        """Says everything of one picture's completions."""
        return await self._compute(self._read_completions, request)

    async def ScoreAlignment(
        self, request: scoring_pb2.ScoreAlignmentRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ScoreAlignmentResponse:
        """Says whether answers name the annotators' element."""
        return await self._compute(self._score_alignment, request)

    async def ReadVerdicts(
        self, request: scoring_pb2.ReadVerdictsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ReadVerdictsResponse:
        """Says what answers to a yes-or-no question say."""
        return await self._compute(self._read_verdicts, request)

    async def ScorePreference(
        self, request: scoring_pb2.ScorePreferenceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ScorePreferenceResponse:
        """Scores preference by value."""
        return await self._compute(self._score_preference, request)

    async def ComparePreferences(
        self, request: scoring_pb2.ComparePreferencesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ComparePreferencesResponse:
        """Compares two sets of preference answers."""
        return await self._compute(self._compare_preferences, request)

    async def ScoreIsq(
        self, request: scoring_pb2.ScoreIsqRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ScoreIsqResponse:
        """Scores questionnaires."""
        # Numbers take microseconds, and a thread would cost more than it spares; a text may take a thousand times that.
        if request.ByteSize() <= _INLINE_BYTES and not any(answer.HasField("text") for answer in request.answers):
            return self._score_isq(request)
        return await self._compute(self._score_isq, request)

    async def ScorePersona(
        self, request: scoring_pb2.ScorePersonaRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ScorePersonaResponse:
        """Scores role-play."""
        return await self._compute(self._score_persona, request)

    async def ClassifyMisalignments(
        self, request: scoring_pb2.ClassifyMisalignmentsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.ClassifyMisalignmentsResponse:
        """Sorts answers by how they miss."""
        return await self._compute(self._classify_misalignments, request)

    async def CompareModels(
        self, request: scoring_pb2.CompareModelsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.CompareModelsResponse:
        """Tests whether models differ."""
        return await self._compute(self._compare_models, request)

    async def MeasureAgreement(
        self, request: scoring_pb2.MeasureAgreementRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> scoring_pb2.MeasureAgreementResponse:
        """Measures how far annotators agree."""
        return await self._compute(self._measure_agreement, request)

    def _classify_responses(
        self, request: scoring_pb2.ClassifyResponsesRequest
    ) -> scoring_pb2.ClassifyResponsesResponse:
        responses = self._language.classify(request.sentences)
        metrics.ITEMS.labels("ClassifyResponses").inc(len(responses))
        return convert_language.from_types(responses)

    def _attribute_values(self, request: scoring_pb2.AttributeValuesRequest) -> scoring_pb2.AttributeValuesResponse:
        attributions = self._language.attribute(request.sentences)
        metrics.ITEMS.labels("AttributeValues").inc(len(attributions))
        return convert_language.from_attributions(attributions)

    def _summarize_completions(
        self, request: scoring_pb2.SummarizeCompletionsRequest
    ) -> scoring_pb2.SummarizeCompletionsResponse:
        threshold = _given(request, "abstain_threshold", DEFAULT_ABSTAIN_THRESHOLD)
        language = self._language
        consensus = language.summarize(request.sentences, threshold)
        metrics.ITEMS.labels("SummarizeCompletions").inc(len(request.sentences))
        return convert_language.from_consensus(consensus, language.reader)

    def _read_completions(self, request: scoring_pb2.ReadCompletionsRequest) -> scoring_pb2.ReadCompletionsResponse:
        language = self._language
        sentences = list(request.sentences)
        truth = None
        if request.HasField("ground_truth"):
            truth = convert_language.to_annotated_element(request.ground_truth, len(sentences))
        threshold = _given(request, "abstain_threshold", DEFAULT_ABSTAIN_THRESHOLD)
        reading = read_completions(language, sentences, threshold, truth)
        metrics.ITEMS.labels("ReadCompletions").inc(len(sentences))
        return convert_language.from_reading(reading, truth, language.reader)

    def _score_alignment(self, request: scoring_pb2.ScoreAlignmentRequest) -> scoring_pb2.ScoreAlignmentResponse:
        language = self._language
        judge = convert_language.to_judge(request.judge)
        alignment = score_alignment(
            language,
            convert_language.to_alignment_items(request, judge),
            judge,
            [item.picture_id for item in request.items],
            list(request.human_labels),
            _level(request),
        )
        metrics.ITEMS.labels("ScoreAlignment").inc(len(request.items))
        return convert_language.from_alignment(alignment, judge, language.reader)

    def _read_verdicts(self, request: scoring_pb2.ReadVerdictsRequest) -> scoring_pb2.ReadVerdictsResponse:
        language = self._language
        verdicts = language.decide(convert_language.to_question(request.question), list(request.answers))
        metrics.ITEMS.labels("ReadVerdicts").inc(len(verdicts))
        return convert_language.from_verdicts(verdicts, language.reader)

    def _score_preference(self, request: scoring_pb2.ScorePreferenceRequest) -> scoring_pb2.ScorePreferenceResponse:
        self._check_number("answers", request.answers, self._settings.max_answers)
        answers = convert.to_preference_answers("answers", request.answers, self._settings.max_chars)
        resamples = _given(request, "resamples", DEFAULT_RESAMPLES)
        profile = score_preference(answers, self._verdicts(answers), _level(request), resamples, request.seed)
        metrics.ITEMS.labels("ScorePreference").inc(len(answers))
        for verdict, name in (("yes", "yes"), ("no", "no"), ("refusals", "refusal"), ("unparsed", "unparsed")):
            total = sum(getattr(score, verdict) for score in profile.scores)
            metrics.PREFERENCE_VERDICTS.labels(name).inc(total)
        return convert.from_profile(profile)

    def _compare_preferences(
        self, request: scoring_pb2.ComparePreferencesRequest
    ) -> scoring_pb2.ComparePreferencesResponse:
        for field, answers in (("first", request.first), ("second", request.second)):
            self._check_number(field, answers, self._settings.max_answers)
        first = convert.to_preference_answers("first", request.first, self._settings.max_chars)
        second = convert.to_preference_answers("second", request.second, self._settings.max_chars)
        verdicts = self._verdicts(first), self._verdicts(second)
        comparison = compare_preferences(first, second, verdicts, _level(request))
        metrics.ITEMS.labels("ComparePreferences").inc(len(first) + len(second))
        return convert.from_comparison(comparison)

    def _score_isq(self, request: scoring_pb2.ScoreIsqRequest) -> scoring_pb2.ScoreIsqResponse:
        self._check_number("answers", request.answers, self._settings.max_sentences)
        threshold = _given(request, "threshold", DEFAULT_THRESHOLD)
        check_threshold("threshold", threshold)
        scores = []
        for index, answer in enumerate(request.answers):
            field = f"answers[{index}]"
            given = convert.to_isq_answer(field, answer, self._settings.max_chars)
            if isinstance(given, IsqItems):
                scores.append(convert.from_isq(score_isq(given, threshold, f"{field}.items")))
            else:
                scores.append(convert.from_isq(score_isq_text(given, threshold)))
        self._isq_scored.inc(len(scores))
        return scoring_pb2.ScoreIsqResponse(scores=scores)

    def _score_persona(self, request: scoring_pb2.ScorePersonaRequest) -> scoring_pb2.ScorePersonaResponse:
        self._check_number("outcomes", request.outcomes, self._settings.max_sentences)
        outcomes = convert.to_outcomes(request.outcomes, self._settings.max_chars)
        resamples = _given(request, "resamples", DEFAULT_PERSONA_RESAMPLES)
        score = score_persona(outcomes, _level(request), resamples, request.seed)
        metrics.ITEMS.labels("ScorePersona").inc(len(outcomes))
        return convert.from_persona(score)

    def _classify_misalignments(
        self, request: scoring_pb2.ClassifyMisalignmentsRequest
    ) -> scoring_pb2.ClassifyMisalignmentsResponse:
        items = request.items
        self._check_number("items", items, self._settings.max_sentences)
        answer_types = self._types("answer", [item.answer for item in items], [item.answer_type for item in items])
        element_types = self._types("element", [item.element for item in items], [item.element_type for item in items])
        found = classify_misalignments(
            [
                TypedAnswer(answer_type, element_type, item.aligned)
                for answer_type, element_type, item in zip(answer_types, element_types, items, strict=True)
            ],
            _level(request),
            [item.picture_id for item in items],
        )
        metrics.ITEMS.labels("ClassifyMisalignments").inc(len(items))
        for share in found.shares:
            metrics.MISALIGNMENTS.labels(share.misalignment_class.value).inc(share.count)
        return convert.from_misalignments(found)

    def _compare_models(self, request: scoring_pb2.CompareModelsRequest) -> scoring_pb2.CompareModelsResponse:
        self._check_number("models", request.models, self._settings.max_models)
        for index, model in enumerate(request.models):
            self._check_number(f"models[{index}].picture_ids", model.picture_ids, self._settings.max_answers)
        comparison = compare_models(
            convert.to_models(request.models, self._settings.max_chars),
            _level(request),
            _given(request, "permutations", DEFAULT_PERMUTATIONS),
            request.seed,
            _given(request, "target_power", DEFAULT_TARGET_POWER),
            _given(request, "target_difference", None),
        )
        metrics.ITEMS.labels("CompareModels").inc(len(request.models))
        return convert.from_models(comparison)

    def _measure_agreement(self, request: scoring_pb2.MeasureAgreementRequest) -> scoring_pb2.MeasureAgreementResponse:
        self._check_number("ratings", request.ratings, self._settings.max_answers)
        ratings = convert.to_ratings(request.ratings, self._settings.max_chars)
        if request.HasField("judge"):
            language, judge = self._language, convert_language.to_judge(request.judge)
            agreement = score_agreement(language, ratings, judge, self._settings.max_sentences, _level(request))
            judged_by = convert_language.from_judge(judge, language.reader)
        else:
            agreement, judged_by = measure_agreement(ratings, _level(request)), ""
        metrics.ITEMS.labels("MeasureAgreement").inc(len(ratings))
        return convert.from_agreement(agreement, judged_by)

    def _verdicts(self, answers: Sequence[PreferenceAnswer]) -> list[Verdict]:
        texts = [answer.answer for answer in answers]
        return [read.verdict for read in read_verdicts(self._language.reader, Question.LIKE, texts)]

    def _types(self, name: str, texts: list[str], given: list[Any]) -> list[Any]:
        for index, text in enumerate(texts):
            if len(text) > self._settings.max_chars:
                raise InvalidArgument(
                    f"items[{index}].{name}",
                    f"has {len(text):,} characters, at most {self._settings.max_chars:,} are taken",
                    reason="TEXT_TOO_LONG",
                )
        types = [
            convert_language.to_response_type(f"items[{index}].{name}_type", kind) for index, kind in enumerate(given)
        ]
        return complete_types(self._language, types, texts)

    @staticmethod
    def _check_number(field: str, values: Sequence[object], maximum: int) -> None:
        check_between(field, len(values), 1, maximum)


def _given(request: Any, field: str, default: Any) -> Any:
    return getattr(request, field) if request.HasField(field) else default


def _level(request: Any) -> float:
    return float(_given(request, "confidence_level", DEFAULT_LEVEL))


class ScoringComponent:
    """The scoring service as the shared boot runs it."""

    name = "scoring"
    services = (SERVICE,)

    def __init__(self, settings: ScoringSettings) -> None:
        self._servicer = ScoringServicer(settings)
        self.start = self._servicer.load

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer to a server."""
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(self._servicer, server)

    async def watch(self) -> None:
        """Runs for ever: nothing that answers need can get lost."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Lets the threads go."""
        self._servicer.close()
