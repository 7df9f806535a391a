"""A whole suite of real processes for tests that do it harm, and what is measured of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from axia.identity.keys import ROLES, NewKey, Quota
from tests.support import processes
from tests.support.identity import bearer, make_key
from tests.support.processes import HttpApi, Server

FULL = os.environ.get("AXIA_TEST_CHAOS", "") == "full"
"""Whether to run as long as the published figures were measured, and not the short form for continuous integration."""

ANSWERS = [
    "The child is reaching for the hot stove. It is hot.",
    "A child near the stove. This could be dangerous.",
    "None.",
]


def size(short: int, full: int, variable: str) -> int:
    """How much a test does: by its own variable, or by AXIA_TEST_CHAOS."""
    return int(os.environ.get(f"AXIA_TEST_CHAOS_{variable}", full if FULL else short))


@dataclass
class ChaosSuite:
    """The servers, and a key that may call everything."""

    folder: Path
    servers: dict[str, Server | HttpApi]
    key: NewKey

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Of a call over gRPC."""
        return bearer(self.key.text)

    @property
    def headers(self) -> dict[str, str]:
        """Of a request over HTTP."""
        return {"Authorization": f"Bearer {self.key.text}"}

    def grpc(self, name: str) -> Server:
        """A server that speaks gRPC."""
        found = self.servers[name]
        assert isinstance(found, Server)
        return found

    @property
    def http(self) -> HttpApi:
        """The HTTP API."""
        found = self.servers["http"]
        assert isinstance(found, HttpApi)
        return found

    def resident(self) -> dict[str, float]:
        """Resident memory of each server and its children, in MiB."""
        found: dict[str, float] = {}
        for name, server in self.servers.items():
            process = psutil.Process(server.process.pid)
            of_all = [process, *process.children(recursive=True)]
            found[name] = sum(each.memory_info().rss for each in of_all) / 2**20
        return found

    def pids(self) -> dict[str, int]:
        """Process ids, which change where a server was started anew."""
        return {name: server.process.pid for name, server in self.servers.items()}

    def require_alive(self, pids: Mapping[str, int]) -> None:
        """Fails if a server has ended or is another process than before."""
        for name, server in self.servers.items():
            assert server.process.poll() is None, f"{name} ended with {server.process.returncode}"
        assert self.pids() == pids

    def require_no_tracebacks(self) -> None:
        """Fails if a server has logged a fault of its own."""
        for name, server in self.servers.items():
            text = server.log.read_text(errors="replace")
            faults = [line for line in text.splitlines() if "failed unexpectedly" in line or "Traceback" in line]
            assert not faults, f"{name}: {len(faults)} faults, the first: {faults[0][:3000]}"


@contextmanager
def chaos_suite(
    folder: Path,
    script: Mapping[str, Any] | None = None,
    on_start: Callable[[str, Server], None] | None = None,
    **settings: Mapping[str, Any],
) -> Iterator[ChaosSuite]:
    """Starts a scripted suite whose gateway checks keys, counts what callers use, and writes an audit log.

    Args:
        folder: For everything that the servers write.
        script: What the engine answers, beside the usual.
        on_start: Called with each server that speaks gRPC once it is started, before those that call it.
        settings: By the server's name.
    """
    answers = folder / "answers.yaml"
    answers.write_text(yaml.safe_dump({"answers": [{"say": ANSWERS}], "token_ms": 1, **(script or {})}))
    plenty = Quota(requests_per_minute=10_000_000, images_per_minute=10_000_000, calls_in_flight=10_000)
    key = make_key(folder / "keys.json", "chaos", list(ROLES), quota=plenty)
    chosen: dict[str, dict[str, Any]] = {
        "inference": {"engine": "scripted", "answers": answers},
        # Caches are full after the warm-up, so that what grows then is no cache.
        "scoring": {"reader": "packaged", "reader_threads": 1, "reader_cache": 500},
        "retrieval": {"data": folder / "data", "text_cache": 100},
        "gateway": {"keys": folder / "keys.json", "audit_log": folder / "audit.jsonl", "refresh_s": 0.2},
        "http": {},
    }
    for name, more in settings.items():
        chosen[name] |= more
    with ExitStack() as stack:
        enter = stack.enter_context
        servers: dict[str, Server | HttpApi] = {}
        for name, start in (
            ("inference", processes.inference),
            ("scoring", processes.scoring),
            ("retrieval", processes.retrieval),
        ):
            server = enter(start(folder / f"{name}.log", **chosen[name]))
            servers[name] = server
            if on_start:
                on_start(name, server)
        addresses = {name: server.address for name, server in servers.items() if isinstance(server, Server)}
        addresses |= chosen.pop("gateway")
        gateway = enter(processes.gateway(folder / "gateway.log", str(addresses.pop("inference")), **addresses))
        if on_start:
            on_start("gateway", gateway)
        http = enter(
            processes.http_api(folder / "http.log", chosen["http"].pop("gateway", gateway.address), **chosen["http"])
        )
        servers |= {"gateway": gateway, "http": http}
        suite = ChaosSuite(folder, servers, key)
        for name in ("inference", "scoring", "retrieval", "gateway"):
            suite.grpc(name).wait_for("SERVING", 120)
        http.wait_for(timeout=120)
        yield suite


@dataclass
class Tally:
    """What calls came to."""

    codes: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    """Calls that ended as none may, each described."""

    def add(self, code: str, allowed: frozenset[str], what: str) -> None:
        """Counts a call."""
        self.codes[code] += 1
        if code not in allowed:
            self.odd.append(f"{code}: {what}")

    def told(self) -> str:
        """The counts, the most frequent first."""
        return ", ".join(f"{code} {count}" for code, count in self.codes.most_common())
