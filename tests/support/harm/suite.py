"""A whole suite of real processes for tests that do it harm, and what is measured of it."""

from __future__ import annotations

import os
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from axia.identity.keys import ROLES, NewKey, Quota
from suite.services import encryption
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
        return {name: sum(each.memory_info().rss for each in self._processes(name)) / 2**20 for name in self.servers}

    def pids(self) -> dict[str, int]:
        """Process ids, which change where a server was started anew."""
        return {name: server.process.pid for name, server in self.servers.items()}

    def wait_until_ready(self, name: str, certificates: Path | None) -> None:
        """Waits until a server says on its port of metrics that it can answer.

        Raises:
            AssertionError: If it ends or takes too long.
        """
        server = self.servers[name]
        verify: Any = ssl.create_default_context(cafile=certificates / "ca.pem") if certificates else True
        address = f"{'https' if certificates else 'http'}://127.0.0.1:{server.metrics_port}/readyz"
        end = time.monotonic() + 180
        with httpx.Client(verify=verify, trust_env=False) as client:
            while time.monotonic() < end:
                assert server.process.poll() is None, server.log.read_text(errors="replace")[-3000:]
                with suppress(httpx.HTTPError):
                    if client.get(address).is_success:
                        return
                time.sleep(0.1)
        raise AssertionError(f"{name} is not ready: {server.log.read_text(errors='replace')[-3000:]}")

    def open_files(self) -> dict[str, int]:
        """Descriptors of each server and its children."""
        return {name: sum(each.num_fds() for each in self._processes(name)) for name in self.servers}

    def threads(self) -> dict[str, int]:
        """Threads of each server and its children."""
        return {name: sum(each.num_threads() for each in self._processes(name)) for name in self.servers}

    def _processes(self, name: str) -> list[psutil.Process]:
        process = psutil.Process(self.servers[name].process.pid)
        return [process, *process.children(recursive=True)]

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
    certificates: Path | None = None,
    **settings: Mapping[str, Any],
) -> Iterator[ChaosSuite]:
    """Starts a scripted suite whose gateway checks keys, counts what callers use, and writes an audit log.

    Args:
        folder: For everything that the servers write.
        script: What the engine answers, beside the usual.
        on_start: Called with each server that speaks gRPC once it is started, before those that call it.
        certificates: A folder of `axia certs init`, with which all of them speak TLS.
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
    variables = encryption(certificates) if certificates else {}
    for name, of_server in chosen.items():
        prefix = f"AXIA_{name.upper()}_"
        tls = {key.removeprefix(prefix).lower(): path for key, path in variables.items() if key.startswith(prefix)}
        of_server.update(tls | dict(settings.get(name, {})))
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
        for name in servers:
            suite.wait_until_ready(name, certificates)
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
