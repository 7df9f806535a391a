"""One way to get an answer, to be measured beside others."""

import asyncio
import itertools
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Hashable, Sequence
from contextlib import suppress
from typing import NamedTuple

import psutil

from loadtests.errors import LoadError
from loadtests.servers import Server

_AWAKE_S = 120.0
_AFTER_ERROR_S = 0.05
_MIB = 2**20


class Answer(NamedTuple):
    """What a call brought."""

    images: int = 0
    tokens: int = 0
    """Tokens that were generated; 0 where the answer doesn't say."""
    texts: tuple[str, ...] = ()
    """What was said."""


class Ended(NamedTuple):
    """A call that is over. Times are of time.perf_counter."""

    began: float
    ended: float
    answer: Answer | Exception

    def overlaps(self, begin: float, end: float) -> bool:
        """Whether a part of it was within a window."""
        return self.began < end and self.ended > begin

    def share(self, begin: float, end: float) -> float:
        """Share of its time within a window, 0 to 1."""
        return (min(self.ended, end) - max(self.began, begin)) / max(1e-9, self.ended - self.began)


class CallLog:
    """The calls of a measurement: when they began and how they ended."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []
        self._running: dict[Hashable, float] = {}

    def begin(self, call: Hashable) -> None:
        """Notes that a call begins now."""
        self._running[call] = time.perf_counter()

    def end(self, call: Hashable, answer: Answer | Exception) -> None:
        """Notes what a call brought."""
        self.ended.append(Ended(self._running.pop(call), time.perf_counter(), answer))

    def forget(self, call: Hashable) -> None:
        """Leaves a call out, as one that was cancelled or a camera's frame that a newer one replaced."""
        self._running.pop(call, None)

    def any_from_before(self, end: float) -> bool:
        """Whether a call that began before this time still runs."""
        return any(began < end for began in self._running.values())


class Side(ABC):
    """A way to get an answer.

    Args:
        name: Names it in the table.
        servers: The processes that do the work, by what they are.
    """

    def __init__(self, name: str, servers: Sequence[Server]) -> None:
        self.name = name
        self.servers = list(servers)

    @abstractmethod
    async def call(self, number: int) -> Answer:
        """Gets one answer. Raises whatever goes wrong.

        Args:
            number: Chooses picture and seed: the same for all sides.
        """

    def play(self, concurrency: int, first: int, log: CallLog) -> list[Coroutine[object, object, None]]:
        """What sends calls until it is cancelled: a closed loop, in which each caller asks again once it has an answer.

        Args:
            concurrency: Calls in flight.
            first: Number of the first call.
            log: Told of each call.
        """
        numbers = itertools.count(first)

        async def caller() -> None:
            for number in numbers:
                log.begin(number)
                try:
                    answer: Answer | Exception = await self.call(number)
                except asyncio.CancelledError:
                    log.forget(number)
                    raise
                except Exception as error:  # of any library: counted, and said in the table
                    answer = error
                log.end(number, answer)
                if isinstance(answer, Exception):
                    await asyncio.sleep(_AFTER_ERROR_S)

        return [caller() for _ in range(concurrency)]

    async def open(self) -> None:  # noqa: B027 - few need it
        """Makes connections."""

    async def close(self) -> None:  # noqa: B027 - few need it
        """Ends them."""

    async def before(self) -> None:  # noqa: B027 - few need it
        """What is done before each repetition, such as forgetting what was cached."""

    async def awake(self) -> None:
        """Waits until a call is answered again, after the processes were stopped.

        Raises:
            LoadError: If none is for two minutes.
        """
        until = time.monotonic() + _AWAKE_S
        while True:
            for server in self.servers:
                server.require_running()
            try:
                await asyncio.wait_for(self.call(0), 20)
            except Exception as error:  # of any library; it may take a while until connections are there again
                if time.monotonic() > until:
                    raise LoadError(f"{self.name} does not answer: {type(error).__name__}: {error}") from error
                await asyncio.sleep(0.2)
            else:
                return

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Its processes with all their children, by what they are."""
        found: dict[str, list[psutil.Process]] = {}
        for server in self.servers:  # replicas have one name
            found.setdefault(server.name, []).extend(processes_of(server))
        return found

    def processor_s(self) -> dict[str, float]:
        """Seconds of processor time so far, by what the processes are."""
        spent = {}
        for name, processes in self.processes().items():
            total = 0.0
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    total += times.user + times.system
            spent[name] = total
        return spent

    def memory_mib(self) -> float:
        """Memory that its processes hold, shared parts counted once (PSS), MiB."""
        total = 0.0
        for processes in self.processes().values():
            for process in processes:
                with suppress(psutil.Error):
                    info = process.memory_full_info()
                    total += getattr(info, "pss", info.rss) / _MIB
        return total


def processes_of(server: Server) -> list[psutil.Process]:
    """A server's process with all its children; none once it has ended."""
    try:
        root = psutil.Process(server.pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def stop(server: Server) -> None:
    """Stops the processes of a server, until `wake` or `stop_but`."""
    _signal({process.pid for process in processes_of(server)}, signal.SIGSTOP)


def stop_but(side: Side, sides: Sequence[Side]) -> None:
    """Stops the processes of all sides but one's, and lets that one's run."""
    kept = _pids([side])
    _signal(_pids(sides) - kept, signal.SIGSTOP)
    _signal(kept, signal.SIGCONT)


def wake(sides: Sequence[Side]) -> None:
    """Lets all run."""
    _signal(_pids(sides), signal.SIGCONT)


def _pids(sides: Sequence[Side]) -> set[int]:
    return {process.pid for side in sides for processes in side.processes().values() for process in processes}


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
