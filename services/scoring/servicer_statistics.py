"""The calls about what answers come to: the studies' measures, comparisons of models, agreement of annotators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from axia.v1 import scoring_pb2
from services.scoring import convert, convert_language, metrics
from services.scoring.protocols.misalignment import TypedAnswer, classify_misalignments
from services.scoring.protocols.persona import DEFAULT_RESAMPLES as DEFAULT_PERSONA_RESAMPLES
from services.scoring.protocols.persona import score_persona
from services.scoring.protocols.preference import DEFAULT_RESAMPLES, PreferenceAnswer, score_preference
from services.scoring.protocols.preference_pairs import compare_preferences
from services.scoring.reading.isq.score import DEFAULT_THRESHOLD, IsqItems, check_threshold, score_isq
from services.scoring.reading.isq.text import score_isq_text
from services.scoring.reading.labels import Question, Verdict
from services.scoring.reading.verdicts import read_verdicts
from services.scoring.scorer import complete_types, score_agreement
from services.scoring.servicer_base import ScoringCalls, given, level
from services.scoring.statistics.agreement import measure_agreement
from services.scoring.statistics.cochran import DEFAULT_PERMUTATIONS
from services.scoring.statistics.model_comparison import DEFAULT_TARGET_POWER, compare_models
from services.serving.errors import InvalidArgument
from services.serving.limits import check_between

_INLINE_BYTES = 4096
_ISQ_SCORED = metrics.ITEMS.labels("ScoreIsq")
"""Looked up once, because it is the most frequent call."""


class StatisticsCalls(ScoringCalls):
    """Converts, calls a measure, converts."""

    # The names of the methods below are the contract's.
    # ruff: noqa: N802

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

    def _score_preference(self, request: scoring_pb2.ScorePreferenceRequest) -> scoring_pb2.ScorePreferenceResponse:
        self._check_number("answers", request.answers, self._settings.max_answers)
        answers = convert.to_preference_answers("answers", request.answers, self._settings.max_chars)
        resamples = given(request, "resamples", DEFAULT_RESAMPLES)
        profile = score_preference(answers, self._verdicts(answers), level(request), resamples, request.seed)
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
        comparison = compare_preferences(first, second, verdicts, level(request))
        metrics.ITEMS.labels("ComparePreferences").inc(len(first) + len(second))
        return convert.from_comparison(comparison)

    def _score_isq(self, request: scoring_pb2.ScoreIsqRequest) -> scoring_pb2.ScoreIsqResponse:
        self._check_number("answers", request.answers, self._settings.max_sentences)
        threshold = given(request, "threshold", DEFAULT_THRESHOLD)
        check_threshold("threshold", threshold)
        scores = []
        for index, answer in enumerate(request.answers):
            field = f"answers[{index}]"
            answered = convert.to_isq_answer(field, answer, self._settings.max_chars)
            if isinstance(answered, IsqItems):
                scores.append(convert.from_isq(score_isq(answered, threshold, f"{field}.items")))
            else:
                scores.append(convert.from_isq(score_isq_text(answered, threshold)))
        _ISQ_SCORED.inc(len(scores))
        return scoring_pb2.ScoreIsqResponse(scores=scores)

    def _score_persona(self, request: scoring_pb2.ScorePersonaRequest) -> scoring_pb2.ScorePersonaResponse:
        self._check_number("outcomes", request.outcomes, self._settings.max_sentences)
        outcomes = convert.to_outcomes(request.outcomes, self._settings.max_chars)
        resamples = given(request, "resamples", DEFAULT_PERSONA_RESAMPLES)
        score = score_persona(outcomes, level(request), resamples, request.seed)
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
            level(request),
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
            level(request),
            given(request, "permutations", DEFAULT_PERMUTATIONS),
            request.seed,
            given(request, "target_power", DEFAULT_TARGET_POWER),
            given(request, "target_difference", None),
        )
        metrics.ITEMS.labels("CompareModels").inc(len(request.models))
        return convert.from_models(comparison)

    def _measure_agreement(self, request: scoring_pb2.MeasureAgreementRequest) -> scoring_pb2.MeasureAgreementResponse:
        self._check_number("ratings", request.ratings, self._settings.max_answers)
        ratings = convert.to_ratings(request.ratings, self._settings.max_chars)
        if request.HasField("judge"):
            language, judge = self._language, convert_language.to_judge(request.judge)
            agreement = score_agreement(language, ratings, judge, self._settings.max_sentences, level(request))
            judged_by = convert_language.from_judge(judge, language.reader)
        else:
            agreement, judged_by = measure_agreement(ratings, level(request)), ""
        metrics.ITEMS.labels("MeasureAgreement").inc(len(ratings))
        return convert.from_agreement(agreement, judged_by)

    def _verdicts(self, answers: Sequence[PreferenceAnswer]) -> list[Verdict]:
        texts = [answer.answer for answer in answers]
        return [read.verdict for read in read_verdicts(self._language.reader, Question.LIKE, texts)]

    def _types(self, name: str, texts: list[str], kinds: list[Any]) -> list[Any]:
        for index, text in enumerate(texts):
            if len(text) > self._settings.max_chars:
                raise InvalidArgument(
                    f"items[{index}].{name}",
                    f"has {len(text):,} characters, at most {self._settings.max_chars:,} are allowed",
                    reason="TEXT_TOO_LONG",
                )
        types = [
            convert_language.to_response_type(f"items[{index}].{name}_type", kind) for index, kind in enumerate(kinds)
        ]
        return complete_types(self._language, types, texts)

    @staticmethod
    def _check_number(field: str, values: Sequence[object], maximum: int) -> None:
        check_between(field, len(values), 1, maximum)
