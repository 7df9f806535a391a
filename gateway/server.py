"""The gateway as the shared boot runs it: its own service, and a proxy for those of models, retrieval and scoring."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import grpc

from axia.prompts import PromptText
from axia.v1 import gateway_pb2_grpc, inference_pb2_grpc, retrieval_pb2, scoring_pb2
from gateway.backends import model_replicas, retrieval_client, scoring_client
from gateway.backends.channels import ServiceChannel
from gateway.backends.pool import BackendPool
from gateway.backends.retrieval_client import GrpcRetrieval
from gateway.backends.routes import Route, load_routes
from gateway.backends.scoring_client import GrpcScoring
from gateway.protocols.alignment_judge import AlignmentJudge
from gateway.protocols.detection import Detector
from gateway.protocols.interest import InterestJudge
from gateway.protocols.preference import PreferenceAssessor
from gateway.protocols.reader import Reader
from gateway.rpc.inference_servicer import InferenceServicer
from gateway.rpc.proxy import ServiceProxy
from gateway.rpc.servicer import SERVICE, GatewayServicer, Protocols
from gateway.settings import GatewaySettings
from services.serving.health import Health


class GatewayComponent:
    """The gateway."""

    name = "gateway"
    services = (SERVICE, model_replicas.SERVICE)

    def __init__(self, settings: GatewaySettings, routes: Sequence[Route], prompts: Mapping[str, PromptText]) -> None:
        reload = partial(load_routes, settings, prompts) if settings.models else None
        self._backends = BackendPool(routes, settings, self._models_changed, reload, self._model_removed)
        retrieval = ServiceChannel("retrieval", retrieval_client.SERVICE, settings.retrieval, settings)
        scoring = ServiceChannel("scoring", scoring_client.SERVICE, settings.scoring, settings)
        self._channels = (retrieval, scoring)
        limits = (settings.max_passed_calls, settings.default_timeout_s)
        self._proxies = (
            ServiceProxy(retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"], retrieval, *limits),
            ServiceProxy(scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"], scoring, *limits),
        )
        score, find = (
            GrpcScoring(scoring, settings.scoring_timeout_s, settings.max_text_chars),
            GrpcRetrieval(retrieval),
        )
        reader = Reader(score, prompts, settings.scoring_timeout_s, settings.scoring_reserve_s, settings.max_text_chars)
        self._protocols = Protocols(
            Detector(self._backends, prompts, settings, reader),
            PreferenceAssessor(self._backends, find, score, prompts, settings),
            InterestJudge(self._backends, find, score, prompts, settings),
            AlignmentJudge(self._backends, score, prompts, settings),
        )
        self._servicer = GatewayServicer(self._protocols, self._backends, prompts, settings)
        self._inference = InferenceServicer(self._backends, settings)
        self._health: Health | None = None
        self._following: list[asyncio.Task[None]] = []

    def report_to(self, health: Health) -> None:
        """Takes the health of the server, which is ready only while a model can be called. Of the services that are
        proxied it says what they say themselves."""
        self._health = health

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer, and the proxied services, to a server."""
        gateway_pb2_grpc.add_GatewayServiceServicer_to_server(self._servicer, server)
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(self._inference, server)
        for proxy in self._proxies:
            proxy.register(server)

    async def start(self) -> None:
        """Connects to the models, and begins to follow the health of the services."""
        for channel in self._channels:
            await self._report(channel, False)
            self._following.append(asyncio.create_task(self._follow(channel)))
        await self._backends.start()
        await self._models_changed()

    async def _models_changed(self) -> None:
        """Says that this server is ready while a model can be called."""
        if self._health is not None:
            await self._health.set_ready(self._backends.callable)

    def _model_removed(self, name: str) -> None:
        self._protocols.detector.forget(name)

    async def watch(self) -> None:
        """Keeps asking the models' servers; ends only if following a service fails, which is a fault of ours."""
        refreshing = asyncio.create_task(self._backends.watch())
        try:
            done, _ = await asyncio.wait({refreshing, *self._following}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)

    async def close(self) -> None:
        """Closes connections and threads."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        self._protocols.detector.close()
        self._protocols.interest.close()
        await self._backends.close()
        for channel in self._channels:
            await channel.close()

    async def _follow(self, channel: ServiceChannel) -> None:
        async def changed(serving: bool) -> None:
            await self._report(channel, serving)

        await channel.follow_health(changed)

    async def _report(self, channel: ServiceChannel, serving: bool) -> None:
        if self._health is not None:
            await self._health.follow(channel.service, serving=serving)
