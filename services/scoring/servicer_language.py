"""The calls about what texts say: alignment, groups, verdicts, values, response types."""

from __future__ import annotations

from typing import Any

import grpc

from axia.v1 import scoring_pb2
from services.scoring import convert_language, metrics
from services.scoring.protocols.completions import read_completions
from services.scoring.scorer import score_alignment
from services.scoring.servicer_base import ScoringCalls, given, level

DEFAULT_ABSTAIN_THRESHOLD = 0.5


class LanguageCalls(ScoringCalls):
    """Converts, calls the reader of texts, converts."""

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
        threshold = given(request, "abstain_threshold", DEFAULT_ABSTAIN_THRESHOLD)
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
        threshold = given(request, "abstain_threshold", DEFAULT_ABSTAIN_THRESHOLD)
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
            level(request),
        )
        metrics.ITEMS.labels("ScoreAlignment").inc(len(request.items))
        return convert_language.from_alignment(alignment, judge, language.reader)

    def _read_verdicts(self, request: scoring_pb2.ReadVerdictsRequest) -> scoring_pb2.ReadVerdictsResponse:
        language = self._language
        verdicts = language.decide(convert_language.to_question(request.question), list(request.answers))
        metrics.ITEMS.labels("ReadVerdicts").inc(len(verdicts))
        return convert_language.from_verdicts(verdicts, language.reader)
