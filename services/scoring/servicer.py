"""The gRPC servicer of the scoring service: servicer_language and servicer_statistics have its calls."""

from __future__ import annotations

import asyncio

import grpc

from axia.v1 import scoring_pb2, scoring_pb2_grpc
from services.scoring.servicer_language import LanguageCalls
from services.scoring.servicer_statistics import StatisticsCalls
from services.scoring.settings import ScoringSettings

SERVICE = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name


class ScoringServicer(LanguageCalls, StatisticsCalls, scoring_pb2_grpc.ScoringServiceServicer):
    """Converts, calls, converts."""


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
