"""Processes on this machine that are measured, and end with the measurement."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import grpc
import psutil

from axia import AsyncClient, Rejected
from axia._connection.call import channel_options
from axia.testing import free_port
from loadtests.errors import LoadError
from loadtests.pictures import GALLERY

ROOT = Path(__file__).parents[1]
ANSWERS = Path(__file__).parent / "answers.yaml"
LOADING_S = 900.0
_POLL_S = 0.1
_STOP_S = 45.0
_LOG_CHARS = 4_000
SERVICES = {
    "inference": ("services.inference", "axia.v1.InferenceService"),
    "retrieval": ("services.retrieval", "axia.v1.RetrievalService"),
    "scoring": ("services.scoring", "axia.v1.ScoringService"),
    "gateway": ("gateway", "axia.v1.GatewayService"),
    "http": ("gateway.http", ""),
}


class Server(NamedTuple):
    """A running process."""

    name: str
    port: int
    metrics_port: int
    """Port of its Prometheus metrics; 0 if it has none."""
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def require_running(self) -> None:
        """Raises LoadError with the end of its log if it has ended."""
        if (code := self.process.poll()) is not None:
            raise LoadError(f"{self.name} ended with {code}:\n{self.log.read_text(errors='replace')[-_LOG_CHARS:]}")


class Servers:
    """Starts processes and ends them all, the last one first; also when this process gets SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="axia-load-")))
        """For logs and data of the time of the run."""
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            self._stack.callback(signal.signal, signal.SIGTERM, signal.SIG_DFL)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def spawn(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, port: int, metrics_port: int = 0
    ) -> Server:
        """Starts a command that will listen on a port."""
        log = self.folder / f"{name}-{port}.log"
        with log.open("wb") as file:
            # A session of its own: Ctrl-C ends the run, which then ends its servers.
            process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), stdout=file, stderr=file, start_new_session=True
            )
        self._stack.callback(_end, process)
        return Server(name, port, metrics_port, process, log)

    def spawn_with_pipes(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Server:
        """Starts a command that is talked to by its standard input and output."""
        log = self.folder / f"{name}.log"
        pipe = subprocess.PIPE
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), stdin=pipe, stdout=pipe, stderr=file, start_new_session=True
            )
        self._stack.callback(_end, process)
        return Server(name, 0, 0, process, log)

    def start(self, name: str, **settings: object) -> Server:
        """Starts a service of the suite. What the environment sets for it holds where `settings` says nothing."""
        module, _ = SERVICES[name]
        return self.start_module(name, module, name.upper(), **settings)

    def start_module(self, name: str, module: str, prefix: str, **settings: object) -> Server:
        """Starts a Python module whose settings are environment variables with this prefix."""
        port, metrics_port = free_port(), free_port()
        values: dict[str, object] = {"port": port, "metrics_port": metrics_port, **settings}
        environment = os.environ | {f"AXIA_{prefix}_{key}".upper(): str(value) for key, value in values.items()}
        environment |= {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(self.folder / "bentoml")}
        command = [sys.executable, "-m", module]
        return self.spawn(
            name, command, environment, port=int(str(values["port"])), metrics_port=int(str(values["metrics_port"]))
        )


async def wait_until_serving(server: Server, *, limit_s: float = LOADING_S) -> None:
    """Waits until a service of the suite says that it can answer.

    Raises:
        LoadError: If it ends or takes too long, with the end of its log.
    """
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    service = SERVICES[server.name][1]
    if not service:
        await wait_until_200(server, "/readyz", limit_s=limit_s)
        return
    request = health_pb2.HealthCheckRequest(service=service)
    until = time.monotonic() + limit_s
    async with grpc.aio.insecure_channel(server.address, options=channel_options(server.address)) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < until:
            server.require_running()
            try:
                if (await stub.Check(request, timeout=1)).status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass  # not listening yet
            await asyncio.sleep(_POLL_S)
    raise _too_long(server, limit_s)


async def wait_until_200(server: Server, path: str, *, limit_s: float = LOADING_S) -> None:
    """Waits until an address of an HTTP server answers with 200.

    Raises:
        LoadError: If it ends or takes too long, with the end of its log.
    """
    import aiohttp

    until = time.monotonic() + limit_s
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while time.monotonic() < until:
            server.require_running()
            try:
                async with session.get(f"http://{server.address}{path}") as response:
                    if response.status == 200:  # noqa: PLR2004 - HTTP's OK
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass  # not listening yet
            await asyncio.sleep(_POLL_S)
    raise _too_long(server, limit_s)


async def wait_until_listening(server: Server, *, limit_s: float = LOADING_S) -> None:
    """Waits until a gRPC server without health can be connected to.

    Raises:
        LoadError: If it ends or takes too long, with the end of its log.
    """
    async with grpc.aio.insecure_channel(server.address, options=channel_options(server.address)) as channel:
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            server.require_running()
            try:
                await asyncio.wait_for(channel.channel_ready(), 1)
            except TimeoutError:
                continue
            return
    raise _too_long(server, limit_s)


class Suite(NamedTuple):
    """A gateway and what is behind it."""

    gateway: Server
    http: Server | None
    behind: Mapping[str, Server]


async def start_suite(servers: Servers, needs: frozenset[str], *, scripted: bool) -> Suite:
    """Starts a gateway with what scenarios need, and indexes the demo's pictures where they search.

    Args:
        servers: Ends them.
        needs: Names of services, and "http".
        scripted: Answer from a file instead of a model.

    Raises:
        LoadError: If one can't start.
    """
    settings: dict[str, dict[str, object]] = {"retrieval": {"data": servers.folder / "retrieval"}}
    if scripted:
        settings["inference"] = {"engine": "scripted", "answers": ANSWERS}
    # The gateway reports itself as ready when a model can be asked.
    names: list[str] = [name for name in ("inference", "retrieval", "scoring") if name in needs | {"inference"}]
    behind = {name: servers.start(name, **settings.get(name, {})) for name in names}
    addresses: dict[str, object] = {
        name: behind[name].address if name in behind else "" for name in ("inference", "retrieval", "scoring")
    }
    # In this order, so that the gateway doesn't wait before it connects to a service again.
    for server in behind.values():
        await wait_until_serving(server)
    gateway = servers.start("gateway", **addresses)
    http = servers.start("http", gateway=gateway.address) if "http" in needs else None
    for server in (gateway, *([http] if http else [])):
        await wait_until_serving(server)
    if "retrieval" in behind:
        await index_gallery(gateway.address)
    return Suite(gateway, http, behind)


async def index_gallery(address: str) -> None:
    """Indexes the demo's scenes.

    Raises:
        LoadError: If one is refused.
    """
    async with AsyncClient(address, timeout=LOADING_S) as client:
        async for event in client.index_images(sorted(GALLERY.glob("study-*.webp"))):
            if isinstance(event, Rejected):
                raise LoadError(f"an image of the demo could not be indexed: {event}")


def end(server: Server) -> None:
    """Ends a server before the others, to start it anew."""
    _end(server.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    children: list[psutil.Process] = []
    if process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGCONT)  # one that stands still would not hear SIGTERM
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:  # vLLM's outlive a server that was killed
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _too_long(server: Server, limit_s: float) -> LoadError:
    said = server.log.read_text(errors="replace")[-_LOG_CHARS:]
    return LoadError(f"{server.name} was not ready within {limit_s:g} s:\n{said}")
