"""One inference server, what is in front of it and beside it, and what a user would run instead."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property

from loadtests.benchmark import rows
from loadtests.benchmark.axias import Detection, HttpDetection, IsqScoring, NewPictures, TextSearch
from loadtests.benchmark.notes import reader_hits, stream_lag
from loadtests.benchmark.rivals import CRUDE_STOPS, GPU_SHARE, BareEngine, Echo, OpenAiDetection
from loadtests.benchmark.setups.base import Setup
from loadtests.benchmark.setups.cameras import Watching
from loadtests.benchmark.setups.vllm_grpc import VllmGrpcDetection, start_vllm_grpc
from loadtests.benchmark.sides import Side, stop_but
from loadtests.servers import Server, end, index_gallery, wait_until_serving


class OneEngine(Setup):
    """One inference server, gateways with and without scoring, and the rivals that have one model."""

    _indexed = False

    @cached_property
    def inference(self) -> Server:
        """The inference service with the model in vLLM."""
        return self._start("inference", model=self._model, gpu_memory_utilization=GPU_SHARE)

    @cached_property
    def gateway(self) -> Server:
        """A gateway without scoring."""
        return self._start("gateway", inference=self.inference.address, scoring="", retrieval="")

    @cached_property
    def http(self) -> Server:
        """The HTTP API of that gateway."""
        return self._start("http", gateway=self.gateway.address)

    @cached_property
    def scoring(self) -> Server:
        """A scoring service that remembers what it has read."""
        return self._start("scoring")

    @cached_property
    def scored_gateway(self) -> Server:
        """A gateway that asks it."""
        scoring = self.scoring.address
        return self._start("gateway", inference=self.inference.address, scoring=scoring, retrieval="")

    @cached_property
    def forgetful(self) -> Server:
        """A scoring service that is started anew before each repetition."""
        return self._start("scoring")

    @cached_property
    def forgetful_gateway(self) -> Server:
        """A gateway that asks it."""
        scoring = self.forgetful.address
        return self._start("gateway", inference=self.inference.address, scoring=scoring, retrieval="")

    @cached_property
    def proxy(self) -> Server:
        """The bare proxy in front of the same inference service."""
        module = "loadtests.benchmark.children.bare_proxy"
        return self._await(self._servers.start_module("proxy", module, "PROXY", inference=self.inference.address))

    @cached_property
    def echo(self) -> Server:
        """gRPC's floor."""
        return self._await(self._servers.start_module("echo", "loadtests.benchmark.children.echo", "ECHO"))

    @cached_property
    def vllm(self) -> Server:
        """vLLM's own server."""
        return self._start_vllm()

    @cached_property
    def vllm_grpc(self) -> Server:
        """vLLM's own gRPC server."""
        return self._await(start_vllm_grpc(self._servers, str(self._model)))

    @cached_property
    def retrieval(self) -> Server:
        """The retrieval service with the demo's pictures."""
        return self._start("retrieval", data=self._servers.folder / "retrieval")

    @cached_property
    def retrieval_gateway(self) -> Server:
        """A gateway in front of it."""
        addresses = {"inference": self.inference.address, "scoring": "", "retrieval": self.retrieval.address}
        return self._start("gateway", **addresses)

    async def ready(self) -> None:
        """Indexes the demo's pictures as well; see the base."""
        await super().ready()
        if "retrieval" in self.__dict__ and not self._indexed:
            await index_gallery(self.retrieval.address)
            self._indexed = True

    async def forget(self) -> None:
        """Starts the forgetful scoring service anew at its port."""
        old = self.forgetful
        await asyncio.to_thread(end, old)
        new = self._servers.start("scoring", port=old.port, metrics_port=old.metrics_port)
        self.__dict__["forgetful"] = new
        await wait_until_serving(new)

    async def notes(self, sides: Mapping[str, Side]) -> dict[str, str]:
        """What the scoring services remembered, and how soon a streamed sentence arrives."""
        remembered = {"warm": "scoring", "cold, last repetition": "forgetful"}
        started = {what: self.__dict__[name] for what, name in remembered.items() if name in self.__dict__}
        found = await reader_hits(started)
        if rows.AXIA in sides:
            stop_but(sides[rows.AXIA], list(sides.values()))
            found |= await stream_lag(self.gateway, self.pictures)
        return found

    @cached_property
    def makers(self) -> Mapping[str, Callable[[], Side]]:
        """See the base."""

        def plain(name: str, *, full_text: bool = False) -> Side:
            servers = [self.inference, self.gateway]
            return Detection(name, servers, self.gateway.address, self.pictures, full_text=full_text)

        def warm() -> Side:
            servers = [self.inference, self.scoring, self.scored_gateway]
            return Detection(rows.WARM, servers, self.scored_gateway.address, self.pictures, scored=True)

        def cold() -> Side:
            side = Detection(
                rows.COLD,
                [self.inference, self.forgetful, self.forgetful_gateway],
                self.forgetful_gateway.address,
                self.pictures,
                scored=True,
                before=lambda: forget(),  # noqa: PLW0108 - it is defined below
            )

            async def forget() -> None:
                await self.forget()
                side.servers[1] = self.forgetful

            return side

        def rival(name: str, *, requests: int = 1, stop: tuple[str, ...] = ()) -> Side:
            return OpenAiDetection(name, [self.vllm], self.vllm, self.pictures, requests=requests, stop=stop)

        def searches(name: str, *servers: Server) -> Side:
            return TextSearch(name, servers, servers[-1].address)

        return {
            rows.AXIA: lambda: plain(rows.AXIA),
            rows.FULL_TEXT: lambda: plain(rows.FULL_TEXT, full_text=True),
            rows.SEEN_AGAIN: lambda: Detection(
                rows.SEEN_AGAIN, [self.inference, self.gateway], self.gateway.address, self.pictures[:1]
            ),
            rows.FIRST_SIGHT: lambda: NewPictures(
                rows.FIRST_SIGHT, [self.inference, self.gateway], self.gateway.address, self.pictures
            ),
            rows.WATCHED: lambda: Watching(
                rows.WATCHED, [self.inference, self.gateway], self.gateway.address, self.pictures
            ),
            rows.WARM: warm,
            rows.COLD: cold,
            rows.HTTP: lambda: HttpDetection(
                rows.HTTP, [self.inference, self.gateway, self.http], self.http, self.pictures
            ),
            rows.VLLM: lambda: rival(rows.VLLM),
            rows.VLLM_STOP: lambda: rival(rows.VLLM_STOP, stop=CRUDE_STOPS),
            rows.VLLM_THREE: lambda: rival(rows.VLLM_THREE, requests=3),
            rows.VLLM_GRPC: lambda: VllmGrpcDetection(rows.VLLM_GRPC, self.vllm_grpc, str(self._model), self.pictures),
            rows.BARE_LOOP: lambda: BareEngine(rows.BARE_LOOP, self._servers, self._model),
            rows.BARE_PROXY: lambda: Detection(
                rows.BARE_PROXY, [self.inference, self.proxy], self.proxy.address, self.pictures
            ),
            rows.ISQ: lambda: IsqScoring(rows.ISQ, [self.scoring], self.scoring.address),
            rows.ECHO: lambda: Echo(rows.ECHO, [self.echo], self.echo.address),
            rows.SEARCH: lambda: searches(rows.SEARCH, self.retrieval),
            rows.SEARCH_GATEWAY: lambda: searches(rows.SEARCH_GATEWAY, self.retrieval, self.retrieval_gateway),
        }
