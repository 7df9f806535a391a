"""Starts what rows need, each server once, and makes their sides."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from loadtests.benchmark import rows
from loadtests.benchmark.axias import Detection, HttpDetection, IsqScoring, NewPictures, TextSearch
from loadtests.benchmark.rivals import CRUDE_STOPS, DEMO_MODEL, GPU_SHARE, BareEngine, Echo, OpenAiDetection, start_vllm
from loadtests.benchmark.sides import Side, stop
from loadtests.pictures import read_pictures
from loadtests.servers import (
    Server,
    Servers,
    end,
    index_gallery,
    wait_until_200,
    wait_until_listening,
    wait_until_serving,
)


class Stand:
    """The servers of a run. A property starts its server when it is first read; `ready` waits for all.

    Args:
        servers: Ends them.
        model: Folder of the model that axia and its rivals serve.
    """

    def __init__(self, servers: Servers, model: Path = DEMO_MODEL) -> None:
        self._servers = servers
        self._model = model
        self.pictures = read_pictures(None)
        self.starting: list[Server] = []

    def _start(self, name: str, **settings: object) -> Server:
        self.starting.append(self._servers.start(name, **settings))
        return self.starting[-1]

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
        server = self._servers.start_module("proxy", module, "PROXY", inference=self.inference.address)
        self.starting.append(server)
        return server

    @cached_property
    def echo(self) -> Server:
        """gRPC's floor."""
        self.starting.append(self._servers.start_module("echo", "loadtests.benchmark.children.echo", "ECHO"))
        return self.starting[-1]

    @cached_property
    def vllm(self) -> Server:
        """vLLM's own server."""
        self.starting.append(start_vllm(self._servers, str(self._model)))
        return self.starting[-1]

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
        """Waits until every server that was started answers, and indexes the demo's pictures.

        Raises:
            LoadError: If one doesn't.
        """
        # The rival first: its worker process spins, and would slow down what loads after it.
        for server in sorted(self.starting, key=lambda server: server.name != "vllm"):
            if server.name == "vllm":
                await wait_until_200(server, "/health")
                stop(server)
            elif server.name in {"echo", "proxy"}:
                await wait_until_listening(server)
            else:
                await wait_until_serving(server)
        if "retrieval" in self.__dict__:
            await index_gallery(self.retrieval.address)

    async def forget(self) -> None:
        """Starts the forgetful scoring service anew at its port."""
        old = self.forgetful
        await asyncio.to_thread(end, old)
        new = self._servers.start("scoring", port=old.port, metrics_port=old.metrics_port)
        self.__dict__["forgetful"] = new
        await wait_until_serving(new)

    def side(self, name: str) -> Side:
        """A side by its name in `rows`."""
        return self._makers[name]()

    @cached_property
    def _makers(self) -> Mapping[str, Callable[[], Side]]:
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
            return OpenAiDetection(name, self.vllm, self.pictures, requests=requests, stop=stop)

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
            rows.WARM: warm,
            rows.COLD: cold,
            rows.HTTP: lambda: HttpDetection(
                rows.HTTP, [self.inference, self.gateway, self.http], self.http, self.pictures
            ),
            rows.VLLM: lambda: rival(rows.VLLM),
            rows.VLLM_STOP: lambda: rival(rows.VLLM_STOP, stop=CRUDE_STOPS),
            rows.VLLM_THREE: lambda: rival(rows.VLLM_THREE, requests=3),
            rows.BARE_LOOP: lambda: BareEngine(rows.BARE_LOOP, self._servers, self._model),
            rows.BARE_PROXY: lambda: Detection(
                rows.BARE_PROXY, [self.inference, self.proxy], self.proxy.address, self.pictures
            ),
            rows.ISQ: lambda: IsqScoring(rows.ISQ, [self.scoring], self.scoring.address),
            rows.ECHO: lambda: Echo(rows.ECHO, [self.echo], self.echo.address),
            rows.SEARCH: lambda: searches(rows.SEARCH, self.retrieval),
            rows.SEARCH_GATEWAY: lambda: searches(rows.SEARCH_GATEWAY, self.retrieval, self.retrieval_gateway),
        }
