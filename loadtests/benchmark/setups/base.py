"""What every setup is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from loadtests.benchmark.rivals import DEMO_MODEL, GPU_SHARE, on_gpu, start_vllm
from loadtests.benchmark.setups import vllm_grpc
from loadtests.benchmark.sides import Side, stop
from loadtests.pictures import read_pictures
from loadtests.servers import Server, Servers, wait_until_200, wait_until_listening, wait_until_serving

SPINNING = frozenset({"vllm", vllm_grpc.NAME})
"""Servers whose processes keep a core busy when they have nothing to do."""
_WITHOUT_HEALTH = frozenset({"echo", "proxy", vllm_grpc.NAME})
"""Servers that listen once they can answer, and are asked for no health."""
ROUTER = "router"
_LIKE_VLLM = frozenset({"vllm", ROUTER})
"""Servers with vLLM's HTTP API."""


class Setup(ABC):
    """Servers and sides. A property starts its server when it is first read; `ready` waits for all.

    Args:
        servers: Ends them.
        model: Folder of the model that axia and its rivals serve.
    """

    def __init__(self, servers: Servers, model: Path = DEMO_MODEL) -> None:
        self._servers = servers
        self._model = model
        self.pictures = read_pictures(None)
        self._starting: list[Server] = []

    @cached_property
    @abstractmethod
    def makers(self) -> Mapping[str, Callable[[], Side]]:
        """What makes each side, by its name in `rows`."""

    def _start(self, name: str, **settings: object) -> Server:
        return self._await(self._servers.start(name, **settings))

    def _start_vllm(self, *, share: float = GPU_SHARE) -> Server:
        return self._await(start_vllm(self._servers, str(self._model), share=share))

    def _await(self, server: Server) -> Server:
        """Has `ready` wait for a server."""
        self._starting.append(server)
        return server

    async def ready(self) -> None:
        """Waits until every server that was started answers.

        Raises:
            LoadError: If one doesn't.
        """
        # The rivals first: vLLM's worker processes spin, and would slow down what loads after them. A router is ready
        # only while the servers behind it answer.
        spinning = [server for server in self._starting if server.name in SPINNING]
        routers = [server for server in self._starting if server.name == ROUTER]
        for server in (*spinning, *routers):
            await wait_until_ready(server)
        for server in spinning:
            stop(server)
        for server in self._starting:
            if server not in spinning and server not in routers:
                await wait_until_ready(server)
        self._starting.clear()

    async def open(self, names: Sequence[str]) -> dict[str, Side]:
        """Starts what sides need, waits until all of it answers, and connects.

        On a GPU each side's servers are ready before the next ones start: an engine that loads measures how much of the
        memory is free, which another one that loads at the same time would change.

        Args:
            names: Of the sides in `rows`.

        Raises:
            LoadError: If a server can't start.
        """
        sides: dict[str, Side] = {}
        for batch in [[name] for name in names] if on_gpu() else [names]:
            made = {name: self.makers[name]() for name in batch}
            await self.ready()
            for side in made.values():
                await side.open()
            sides |= made
        return sides

    async def notes(self, sides: Mapping[str, Side]) -> dict[str, str]:
        """Further figures, measured after the repetitions; see `table.Benchmark.notes`."""
        return {}


async def wait_until_ready(server: Server) -> None:
    """Waits until a server of any kind answers.

    Raises:
        LoadError: If it doesn't.
    """
    if server.name in _LIKE_VLLM:
        await wait_until_200(server, "/health")
    elif server.name in _WITHOUT_HEALTH:
        await wait_until_listening(server)
    else:
        await wait_until_serving(server)
