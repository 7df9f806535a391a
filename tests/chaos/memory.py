"""Whether a server's memory grows with malformed messages, or only until its allocator has had the largest of them.

    python -m tests.chaos.memory --messages 10000 scoring retrieval inference gateway

Sends each server malformed messages for all of its RPCs, and prints after some of them resident memory and the number
of Python objects; with --trim also what is left when the allocator has given back all that is free, and with --trace
what the objects hold, which makes the server slower.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import yaml

from tests.chaos.test_hostile_input import AT_A_TIME, LASTING, status_of
from tests.component.identity.test_matrix import METHODS
from tests.support import processes
from tests.support.chaos.faults import ANSWERS
from tests.support.chaos.hostile_images import real_files
from tests.support.chaos.hostile_messages import request_for
from tests.support.processes import Server

SERVICES = {
    "inference": ("services.inference", "InferenceService"),
    "retrieval": ("services.retrieval", "RetrievalService"),
    "scoring": ("services.scoring", "ScoringService"),
    "gateway": ("gateway", "GatewayService"),
}
MARKS = (0, 500, 1_000, 2_000, 3_500, 5_000, 7_500, 10_000, 15_000, 20_000)
"""Messages after which memory is looked at."""


def settings_of(name: str, folder: Path, behind: str) -> dict[str, Any]:
    """As the tests of hostile input start a server: caches are full after the warm-up."""
    if name == "gateway":
        return {"inference": behind}
    if name == "scoring":
        return {"reader": "packaged", "reader_threads": 1, "reader_cache": 500}
    if name == "retrieval":
        return {"data": folder / "data", "text_cache": 100, "encoder_dtype": "float32", "encoder_threads": 1}
    answers = folder / "answers.yaml"
    answers.write_text(yaml.safe_dump({"answers": [{"say": ANSWERS}], "token_ms": 1}))
    return {"engine": "scripted", "answers": answers}


class Measured:
    """A server that counts what its memory holds.

    Args:
        name: Of the server.
        folder: For what it writes.
        behind: Address of the inference server that a gateway calls.
        options: Of `tests.support.chaos.counted`.
    """

    def __init__(self, name: str, folder: Path, behind: str, options: Sequence[str]) -> None:
        self._report = folder / "report"
        self._report.touch()
        program, service = SERVICES[name]
        module = " ".join(("tests.support.chaos.counted", str(self._report), *options, program))
        settings = settings_of(name, folder, behind)
        self.server = Server(module, f"AXIA_{name.upper()}_", f"axia.v1.{service}", folder / "log", **settings)

    def counts(self) -> dict[str, float]:
        """What its memory holds now."""
        before = self._report.stat().st_size
        self.server.process.send_signal(signal.SIGUSR1)
        while self._report.stat().st_size == before:
            time.sleep(0.05)
        time.sleep(0.05)  # until the line is whole
        found: dict[str, float] = json.loads(self._report.read_text().splitlines()[-1])
        return found


def attack(measured: Measured, methods: Sequence[str], count: int) -> Counter[str]:
    """Sends messages and prints what memory holds; returns the codes of the answers."""
    picture, codes = real_files()[0], Counter[str]()
    with (
        grpc.insecure_channel(measured.server.address, options=[("grpc.max_send_message_length", 2**26)]) as channel,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):

        def send(number: int) -> str:
            draw = random.Random(number)
            path = methods[number % len(methods)]
            method = METHODS[path]
            times = draw.choice((1, 3)) if method.client_streaming else 1
            requests = [request_for(method, draw, picture) for _ in range(times)]
            return status_of(channel, path, requests, ())[0]

        done = 0
        for mark in [mark for mark in MARKS if mark < count] + [count]:
            codes.update(pool.map(send, range(done, mark)))
            done = mark
            time.sleep(1)  # until what the last calls left is let go
            counts = measured.counts()
            print(f"{mark:>7,}: " + ", ".join(f"{name} {value:,.1f}" for name, value in counts.items()), flush=True)
    return codes


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", default=list(SERVICES), help="names of servers")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--trace", action="store_true", help="count what Python's own objects hold")
    parser.add_argument("--trim", action="store_true", help="have the allocator give back all that is free, each time")
    given = parser.parse_args()
    options = [f"--{name}" for name in ("trace", "trim") if getattr(given, name)]
    for name in given.servers:
        methods = sorted(path for path in set(METHODS) - LASTING if path.startswith(f"/axia.v1.{SERVICES[name][1]}/"))
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            behind = ""
            if name == "gateway":
                log, settings = Path(folder) / "inference.log", settings_of("inference", Path(folder), "")
                behind = stack.enter_context(processes.inference(log, **settings)).address
            measured = Measured(name, Path(folder), behind, options)
            try:
                measured.server.wait_for("SERVING", 120)
                print(f"{name}, {len(methods)} RPCs; MiB and numbers after so many messages")
                print(f"{name}: {dict(attack(measured, methods, given.messages).most_common())}")
            finally:
                measured.server.stop()


if __name__ == "__main__":
    main()
