"""Servers that are killed or stand still, a full disk, and a bad network, while calls of every kind come in.

For each fault: how long calls failed, which and how; no call outlasts its deadline by more than a second, and no image
whose indexing was acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.support.chaos.disks import small_disk
from tests.support.chaos.faults import FULL, ChaosSuite, chaos_suite, size
from tests.support.chaos.load import Effect, Load, effect_of
from tests.support.chaos.tcp_faults import FaultyProxy, faulty_proxy
from tests.support.processes import HttpApi, Server
from tests.support.qdrant_process import QdrantProcess, qdrant_process

TIMES = size(1, 10, "TIMES")
RESTART_S = 0.5
"""After which a process manager notices that a process has ended; circus looks twice a second."""
HOLD_S = 3.0
SETTLE_S = 90.0
"""For calls to succeed again after a fault."""
QUIET_S = 2.0
"""Without a failed call: the suite has recovered."""

DOCUMENTED = frozenset({
    "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED", "503", "504", "429",
    "REJECTED", "NO_ANSWER", "NO_SUMMARY",
    # Of the HTTP client, where the connection broke: the server was killed, or the network was.
    "ConnectError", "ReadError", "RemoteProtocolError", "ReadTimeout", "ConnectTimeout", "WriteError", "PoolTimeout",
})  # fmt: skip
"""How a call may fail while a fault lasts."""


class Stand(NamedTuple):
    """The suite, its processes and the proxies before its servers by name, and the calls that come in."""

    suite: ChaosSuite
    processes: dict[str, Server | HttpApi | QdrantProcess]
    proxies: dict[str, FaultyProxy]
    load: Load
    disk: Path


@dataclass
class Row:
    """What one fault came to, over all times."""

    fault: str
    times: int = 0
    recoveries: list[float] = field(default_factory=list)
    calls: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, effect: Effect) -> None:
        self.times += 1
        self.recoveries.append(effect.recovery_s)
        self.calls += effect.calls
        self.failed += effect.failed

    def __str__(self) -> str:
        middle = sorted(self.recoveries)[len(self.recoveries) // 2]
        codes = ", ".join(f"{code} {count}" for code, count in sorted(self.failed.items())) or "none"
        return (
            f"| {self.fault} | {self.times} | {middle:.1f} s, at most {max(self.recoveries):.1f} s | {self.calls} | "
            f"{sum(self.failed.values())} | {codes} |"
        )


@asynccontextmanager
async def stand(folder: Path, *, qdrant: bool = False) -> AsyncIterator[Stand]:
    """Starts everything; between any two servers, and before them all, is a proxy.

    Args:
        folder: For everything that is written.
        qdrant: Whether vectors are kept in a Qdrant server, rather than in the process of retrieval.
    """
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", 48))
        names = ("scoring", "retrieval", "inference", "gateway")
        # The servers' ports are not known before they start, and the gateway has to be told its proxies'.
        proxies = {
            name: await stack.enter_async_context(faulty_proxy("127.0.0.1:1", number))
            for number, name in enumerate(names)
        }
        store = stack.enter_context(qdrant_process(folder / "qdrant")) if qdrant else None
        settings = {
            "retrieval": {"data": disk / "data"} | ({"qdrant_url": store.url} if store else {}),
            "gateway": {name: proxies[name].address for name in ("scoring", "retrieval", "inference")},
            "http": {"gateway": proxies["gateway"].address},
        }

        def point_at(name: str, server: Server) -> None:
            proxies[name].target = ("127.0.0.1", server.port)

        # In threads, for the proxies are in this loop.
        starting = chaos_suite(folder, on_start=point_at, **settings)
        suite = await asyncio.to_thread(starting.__enter__)
        stack.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
        load = await stack.enter_async_context(Load(proxies["gateway"].address, suite.http.url, suite.key.text))
        await asyncio.sleep(QUIET_S)
        await until_quiet(load)
        load.outcomes.clear()
        yield Stand(suite, {**suite.servers, **({"qdrant": store} if store else {})}, proxies, load, disk)


async def kill(stand: Stand, name: str) -> None:
    """Ends a server at once, as the kernel does when memory is short; a process manager starts it again."""
    server = stand.processes[name]
    children = psutil.Process(server.process.pid).children(recursive=True)
    server.process.kill()
    await asyncio.to_thread(server.process.wait)
    async with asyncio.timeout(10):  # they end with their parent, or one would keep the port
        while any(is_alive(child) for child in children):
            await asyncio.sleep(0.05)
    await asyncio.sleep(RESTART_S)
    server.start()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def kill_child(stand: Stand, name: str) -> None:
    """Ends the process that a server has started for its work."""
    server = stand.processes[name]
    for child in psutil.Process(server.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while server.process.poll() is None:
                await asyncio.sleep(0.05)
    await asyncio.sleep(RESTART_S)
    if server.process.poll() is not None:
        server.start()


async def stop(stand: Stand, name: str, hold_s: float = HOLD_S) -> None:
    """Has a server stand still for a while."""
    process = psutil.Process(stand.processes[name].process.pid)
    of_all = [process, *process.children(recursive=True)]
    for each in of_all:
        each.send_signal(signal.SIGSTOP)
    await asyncio.sleep(hold_s)
    for each in of_all:
        each.send_signal(signal.SIGCONT)


async def lose(stand: Stand, name: str) -> None:
    """Ends a server, which stays away for a while."""
    server = stand.processes[name]
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(HOLD_S)
    server.start()


async def fill_disk(stand: Stand, name: str) -> None:
    """Fills the disk that the index is on, for a while."""
    filler = stand.disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(2**16))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    await asyncio.sleep(HOLD_S)
    filler.unlink()


async def cut(stand: Stand, name: str) -> None:
    """Resets every connection in the midst of what is sent."""
    stand.proxies[name].cut(after=random.Random(name).randrange(2_000, 20_000))
    await asyncio.sleep(1)


async def half_open(stand: Stand, name: str) -> None:
    """Swallows everything for a while without a word, and forgets the connections then."""
    stand.proxies[name].silent = True
    await asyncio.sleep(HOLD_S)
    stand.proxies[name].heal()


async def delay(stand: Stand, name: str) -> None:
    """Delays everything by 200 ± 100 ms each way."""
    stand.proxies[name].delay_s, stand.proxies[name].jitter_s = 0.2, 0.1
    await asyncio.sleep(HOLD_S)
    stand.proxies[name].heal()


Fault = tuple[str, Callable[[Stand, str], Awaitable[None]], str]
FAULTS: tuple[Fault, ...] = (
    *((f"SIGKILL of {name}", kill, name) for name in ("inference", "scoring", "retrieval", "gateway", "http")),
    ("SIGKILL of the worker of http", kill_child, "http"),
    *((f"SIGSTOP of {name} for 3 s", stop, name) for name in ("inference", "scoring", "retrieval", "gateway", "http")),
    ("scoring is down for 3 s", lose, "scoring"),
    ("retrieval is down for 3 s", lose, "retrieval"),
    ("the index's disk is full for 3 s", fill_disk, "retrieval"),
    *((f"connections to {name} closed during calls", cut, name) for name in ("inference", "gateway")),
    *((f"connections to {name} half-open for 3 s", half_open, name) for name in ("inference", "gateway")),
    *((f"200 ± 100 ms each way to {name} for 3 s", delay, name) for name in ("inference", "gateway")),
)
QDRANT_FAULTS: tuple[Fault, ...] = (
    ("SIGKILL of Qdrant", kill, "qdrant"),
    # Longer than a search may take. A search ends as UNAVAILABLE shortly before its deadline, and the client of the
    # load, which retries that, runs into its deadline.
    (f"SIGSTOP of Qdrant for {2 * HOLD_S:g} s", partial(stop, hold_s=2 * HOLD_S), "qdrant"),
    (f"Qdrant is down for {HOLD_S:g} s", lose, "qdrant"),
)
LONG = (
    "SIGKILL of retrieval",
    "SIGKILL of http",
    "SIGKILL of the worker",
    "SIGSTOP of http",
    "SIGSTOP of retrieval",
    "is down for",
)
"""Parts of the names of faults that the short form leaves out: what starts again takes long, or another is alike."""
CHOSEN = (
    FAULTS
    if FULL or "AXIA_TEST_CHAOS_TIMES" in os.environ
    else tuple(fault for fault in FAULTS if not any(part in fault[0] for part in LONG))
)
HEAD = """
| fault | times | recovery | calls | failed | failed by code |
| --- | --- | --- | --- | --- | --- |"""


async def test_faults_under_load(tmp_path: Path) -> None:
    async with stand(tmp_path) as made:
        await cause(CHOSEN, made)


async def test_faults_of_a_qdrant_server_under_load(tmp_path: Path) -> None:
    async with stand(tmp_path, qdrant=True) as made:
        rows = await cause(QDRANT_FAULTS, made)
    others = [code for row in rows for code in row.failed if not code.startswith(("search ", "ingest "))]
    assert not others, "calls fail that need no index"
    killed, _, away = rows
    assert killed.failed["search UNAVAILABLE"]
    assert away.failed["search UNAVAILABLE"]
    assert not any("DEADLINE" in code for row in (killed, away) for code in row.failed)


async def cause(faults: Sequence[Fault], made: Stand) -> list[Row]:
    """Causes each fault some times under load, prints what came of it, and checks what holds in all of them."""
    draw = random.Random(1)
    rows: list[Row] = []
    print(HEAD)
    for fault, do, name in faults:
        row = Row(fault)
        for _ in range(TIMES):
            await asyncio.sleep(draw.random())
            began = time.monotonic()
            await do(made, name)
            await until_quiet(made.load)
            row.add(effect_of(made.load.outcomes, began, time.monotonic()))
        print(row, flush=True)
        rows.append(row)
    acknowledged = set(made.load.acknowledged)  # more come in while images are listed
    lost = acknowledged - await made.load.stored()
    print(f"\n{len(made.load.outcomes):,} calls; {len(acknowledged):,} acknowledged images, {len(lost)} lost")
    assert not lost
    late = [
        f"{each.kind} {each.code} took {each.ended - each.began:.1f} s of {each.deadline_s}"
        for each in made.load.late()
    ]
    assert not late, late[:10]
    codes = {code.partition(" ")[2] for row in rows for code in row.failed}
    odd = [each for each in made.load.outcomes if each.code in codes - DOCUMENTED]
    assert not odd, odd[:10]
    return rows


async def until_quiet(load: Load) -> None:
    """Waits until no call has failed for a while.

    Raises:
        AssertionError: If that takes too long.
    """
    end = time.monotonic() + SETTLE_S
    await asyncio.sleep(QUIET_S)
    while True:
        await asyncio.sleep(0.1)
        now = time.monotonic()
        recent = [each for each in load.outcomes if each.ended > now - QUIET_S]
        kinds = {each.kind for each in recent if each.code == "OK"}
        if recent and all(each.code == "OK" for each in recent) and len(kinds) == 6:
            return
        assert now < end, f"calls fail for longer than {SETTLE_S:g} s: {recent[-5:]}"


@pytest.fixture(autouse=True)
def quiet_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that break are what is tested: gRPC's core need not tell of each."""
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
