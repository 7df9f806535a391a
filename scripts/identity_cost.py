"""Measures what identity costs: python -m scripts.identity_cost [--rounds N]

Scoring servers run as processes of their own: one in plaintext that asks for nothing, one with mutual TLS and a key,
and one each with a part of that. One client calls ScoreIsq at them in short turns, each round in another order, so that
whatever else the machine does meets all of them. Prints calls a second and their ratio to plaintext, of which the goal
is 0.80 at least; and the processor time of each server per call, which scatters less.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psutil

from axia.identity.certs import init_certificates
from axia.identity.keys import add_key, new_key
from axia.v1 import scoring_pb2, scoring_pb2_grpc

CONCURRENCY = 32
CALLS = 320
GOAL = 0.80
PLAIN, FULL = "plaintext, no key", "mutual TLS and key"


class Kind(NamedTuple):
    """How one server is set up and called."""

    settings: dict[str, str]
    credentials: grpc.ChannelCredentials | None
    metadata: tuple[tuple[str, str], ...]


def kinds(folder: Path) -> dict[str, Kind]:
    """The servers by what they ask for."""
    certificates, keys = folder / "certs", folder / "keys.json"
    init_certificates(certificates, [], days=30, authority_days=30)
    made = new_key("speed", ["score"])
    add_key(keys, made.record)
    roots, key, chain = ((certificates / name).read_bytes() for name in ("ca.pem", "gateway.key", "gateway.pem"))
    tls = {
        "TLS_CERTIFICATE": str(certificates / "scoring.pem"),
        "TLS_KEY": str(certificates / "scoring.key"),
        "TLS_CLIENT_CA": str(certificates / "ca.pem"),
    }
    mutual = grpc.ssl_channel_credentials(roots, key, chain)
    bearer = (("authorization", f"Bearer {made.text}"),)
    audit = {"AUDIT_LOG": str(folder / "audit.jsonl")}
    return {
        PLAIN: Kind({}, None, ()),
        "key alone": Kind({"KEYS": str(keys)}, None, bearer),
        "mutual TLS alone": Kind(tls, mutual, ()),
        FULL: Kind(tls | {"KEYS": str(keys)}, mutual, bearer),
        "both and an audit log": Kind(tls | {"KEYS": str(keys)} | audit, mutual, bearer),
    }


async def rate(call: Any, request: Any, metadata: tuple[tuple[str, str], ...]) -> float:
    """Calls a second at the concurrency of the benchmark."""

    async def caller() -> None:
        for _ in range(CALLS // CONCURRENCY):
            await call(request, metadata=metadata)

    began = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(CONCURRENCY)])
    return CALLS / (time.perf_counter() - began)


def processor_us(pid: int) -> float:
    """Processor time of a process so far, microseconds."""
    spent = psutil.Process(pid).cpu_times()
    return (spent.user + spent.system) * 1e6


async def measure(servers: dict[str, Kind], port: int, pids: list[int], rounds: int) -> None:
    """Prints every figure."""
    items = scoring_pb2.IsqItems(
        visual_attractiveness=8, curiosity_stimulation=7, emotional_engagement=6, value_expectation=5,
        preference_alignment=1, action_desire=0.5,
    )  # fmt: skip
    request = scoring_pb2.ScoreIsqRequest(answers=[scoring_pb2.IsqAnswer(items=items)])
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port + number}")
        if kind.credentials is None
        else grpc.aio.secure_channel(f"127.0.0.1:{port + number}", kind.credentials)
        for number, kind in enumerate(servers.values())
    ]
    await asyncio.wait_for(asyncio.gather(*(channel.channel_ready() for channel in channels)), 120)
    stubs: list[Any] = [scoring_pb2_grpc.ScoringServiceStub(channel) for channel in channels]
    names = list(servers)
    for stub, kind in zip(stubs, servers.values(), strict=True):
        await rate(stub.ScoreIsq, request, kind.metadata)  # warms both sides
    before = [processor_us(pid) for pid in pids]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        order = list(range(len(names)))
        random.Random(number).shuffle(order)  # noqa: S311 - an order, no secret
        for index in order:
            kind = servers[names[index]]
            rates[names[index]].append(await rate(stubs[index].ScoreIsq, request, kind.metadata))
    for name, pid, spent in zip(names, pids, before, strict=True):
        ratios = [measured / plain for measured, plain in zip(rates[name], rates[PLAIN], strict=True)]
        each_us = (processor_us(pid) - spent) / CALLS / rounds
        print(
            f"{name}: median {statistics.median(rates[name]):.0f} calls/s, ratio {statistics.median(ratios):.2f} "
            f"(quartiles {_quartiles(ratios)}), {each_us:.0f} µs of the server's processor a call"
        )
    reached = statistics.median(full / plain for full, plain in zip(rates[FULL], rates[PLAIN], strict=True))
    print(f"{FULL} beside plaintext: {reached:.2f}, goal {GOAL:.2f}: {'reached' if reached >= GOAL else 'missed'}")
    for channel in channels:
        await channel.close()


def _quartiles(values: list[float]) -> str:
    first, _, third = statistics.quantiles(values, n=4)
    return f"{first:.2f} to {third:.2f}"


def main() -> None:
    """Starts the servers, measures, ends them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=50963)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    os.environ["GRPC_VERBOSITY"] = "NONE"
    with tempfile.TemporaryDirectory(prefix="axia-identity-") as folder:
        servers = kinds(Path(folder))
        running = []
        for number, kind in enumerate(servers.values()):
            settings = {"PORT": str(options.port + number), "METRICS_PORT": "0", "READER": "", "LOG_LEVEL": "WARNING"}
            environment = os.environ | {
                f"AXIA_SCORING_{key}": value for key, value in (settings | kind.settings).items()
            }
            running.append(subprocess.Popen([sys.executable, "-m", "services.scoring"], env=environment))
        try:
            asyncio.run(measure(servers, options.port, [process.pid for process in running], options.rounds))
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()


if __name__ == "__main__":
    main()
