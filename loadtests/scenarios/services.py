"""Scores and searches over gRPC, through the gateway's proxy or straight from their services."""

from typing import Any

from axia.lexicon import VALUES
from axia.v1 import retrieval_pb2, retrieval_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from loadtests.records import Outcome
from loadtests.scenarios.base import GrpcScenario

HITS = 5


def isq_request() -> scoring_pb2.ScoreIsqRequest:
    """One answer to the questionnaire of interest."""
    request = scoring_pb2.ScoreIsqRequest()
    items = request.answers.add().items
    items.visual_attractiveness, items.curiosity_stimulation, items.emotional_engagement = 8, 7, 6
    items.value_expectation, items.preference_alignment, items.action_desire = 5, 1, 0.5
    return request


class ScoreIsq(GrpcScenario):
    """Scores one answer to the questionnaire of interest: next to no work, so what a call costs by itself."""

    name = "isq"
    help = "ScoreIsq of one answer"
    needs = frozenset({"scoring"})

    async def open(self) -> None:
        """See the base."""
        await super().open()
        self._stubs: list[Any] = [scoring_pb2_grpc.ScoringServiceStub(channel) for channel in self.channels]
        self._request = isq_request()

    async def ask(self, number: int, channel: int) -> Outcome:
        """See the base."""
        response = await self._stubs[channel].ScoreIsq(
            self._request, timeout=self.target.timeout_s, metadata=self.metadata
        )
        if len(response.scores) != 1:
            return Outcome("WRONG_COUNT", message=f"{len(response.scores)} scores came for one answer")
        return Outcome()


class Search(GrpcScenario):
    """Searches the indexed pictures for a value's keywords."""

    name = "search"
    help = "SearchByText"
    needs = frozenset({"retrieval"})

    async def open(self) -> None:
        """See the base."""
        await super().open()
        self._stubs: list[Any] = [retrieval_pb2_grpc.RetrievalServiceStub(channel) for channel in self.channels]
        self._queries = search_queries()

    async def ask(self, number: int, channel: int) -> Outcome:
        """See the base."""
        request = retrieval_pb2.SearchByTextRequest(query=self._queries[number % len(self._queries)], k=HITS)
        response = await self._stubs[channel].SearchByText(
            request, timeout=self.target.timeout_s, metadata=self.metadata
        )
        if not response.hits:
            return Outcome("NO_HITS", message="the search found nothing: index images with `axia index`")
        return Outcome(images=len(response.hits))


def search_queries() -> list[str]:
    """What is searched for: the names of the values."""
    return list(VALUES)
