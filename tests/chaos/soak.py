"""Calls of every kind for a long time, while certificates and keys are replaced.

    python -m tests.chaos.soak --minutes 30

The suite speaks TLS, and gets 70% of what it can do. Each minute all certificates are renewed, and a new key takes the
place of the old one, which is revoked. Prints memory, descriptors and threads of each server at the beginning and the
end, and ends with 1 if they grow or a call fails.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from axia.identity.certs import init_certificates, renew_certificates
from axia.identity.keys import ROLES, Quota, revoke_key
from tests.support.chaos.faults import ChaosSuite, chaos_suite
from tests.support.chaos.load import KINDS, Load
from tests.support.identity import make_key

SHARE = 0.7
"""Of the suite's capacity."""
ROTATION_S = 60.0
OVERLAP_S = 5.0
"""For which the old key is still valid: servers look at the file every second."""
SAMPLE_S = 10.0
GROWTH_MIB = 20.0
"""Growth of one server after warm-up that counts as none: the index grows by an image with each ingest."""
GROWTH_FILES = 16


class Sample(NamedTuple):
    """What the servers use at a time."""

    at_s: float
    mebibytes: dict[str, float]
    files: dict[str, int]
    threads: dict[str, int]


async def rotate(suite: ChaosSuite, certificates: Path, load: Load) -> None:
    """Renews certificates and replaces the key, again and again."""
    plenty = Quota(requests_per_minute=10_000_000, images_per_minute=10_000_000, calls_in_flight=10_000)
    current = suite.key
    while True:
        await asyncio.sleep(ROTATION_S)
        renew_certificates(certificates, days=1)
        old, current = current, make_key(suite.folder / "keys.json", "soak", list(ROLES), quota=plenty)
        await asyncio.sleep(OVERLAP_S)
        load.use_key(current.text)
        await asyncio.sleep(OVERLAP_S)
        revoke_key(suite.folder / "keys.json", old.record.id)


async def soak(minutes: float, folder: Path) -> int:
    """Runs it; returns the exit code."""
    certificates = folder / "certs"
    init_certificates(certificates, [], days=1, authority_days=1)
    starting = chaos_suite(folder, certificates=certificates)
    suite = await asyncio.to_thread(starting.__enter__)
    samples: list[Sample] = []
    try:
        roots = certificates / "ca.pem"
        url = suite.http.url.replace("http:", "https:")
        async with Load(suite.grpc("gateway").address, url, suite.key.text, rate=0.1, roots=roots) as load:
            await asyncio.sleep(5)
            load.outcomes.clear()
            capacity = await load.capacity(15)
            load.rate = SHARE * capacity / sum(kind.rate for kind in KINDS)
            print(f"capacity {capacity:.1f} calls/s; {SHARE:.0%} of it for {minutes:g} minutes", flush=True)
            require_all_kinds(load)
            load.outcomes.clear()
            pids = suite.pids()
            rotating = asyncio.create_task(rotate(suite, certificates, load))
            began = time.monotonic()
            while time.monotonic() - began < minutes * 60:
                await asyncio.sleep(SAMPLE_S)
                samples.append(Sample(time.monotonic() - began, suite.resident(), suite.open_files(), suite.threads()))
            rotating.cancel()
        suite.require_alive(pids)
        stopping = {name: server.stop() for name, server in reversed(suite.servers.items())}
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
    code = report(samples, load, stopping)
    suite.require_no_tracebacks()
    return code


def require_all_kinds(load: Load) -> None:
    """Ends the run if calls of a kind fail before it has begun."""
    missing = {kind.name for kind in KINDS} - {each.kind for each in load.outcomes if each.code == "OK"}
    if missing:
        raise SystemExit(f"{', '.join(missing)}: none was answered: {load.outcomes[-1]}")


def report(samples: list[Sample], load: Load, stopping: dict[str, int]) -> int:
    """Prints what came of it; returns the exit code."""
    codes = Counter(f"{each.kind} {each.code}" for each in load.outcomes if each.code != "OK")
    late = list(load.late())
    print(f"{len(load.outcomes):,} calls; failed: {dict(codes) or 'none'}; beyond their deadline: {len(late)}")
    for code in codes:
        first = next(each for each in load.outcomes if f"{each.kind} {each.code}" == code)
        print(f"{code}, the first: {first.detail[:300] or 'no detail'}")
    # A third to warm up; then the means of a quarter at the beginning and at the end of the rest.
    settled = samples[len(samples) // 3 :]
    part = max(1, len(settled) // 4)
    grows = False
    print("| server | memory, MiB | descriptors | threads |\n| --- | --- | --- | --- |")
    for name in samples[0].mebibytes:
        memory = change([sample.mebibytes[name] for sample in settled], part)
        files = change([sample.files[name] for sample in settled], part)
        threads = change([sample.threads[name] for sample in settled], part)
        grows = grows or memory[1] - memory[0] > GROWTH_MIB or files[1] - files[0] > GROWTH_FILES
        grows = grows or threads[1] - threads[0] > GROWTH_FILES
        print(
            "| "
            + " | ".join([name, *(f"{before:.0f} → {after:.0f}" for before, after in (memory, files, threads))])
            + " |"
        )
    print(f"exit codes: {stopping}")
    return int(grows or bool(codes) or bool(late) or any(stopping.values()))


def change(values: list[float] | list[int], part: int) -> tuple[float, float]:
    """Means at the beginning and at the end."""
    return sum(values[:part]) / part, sum(values[-part:]) / part


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="axia-soak-") as folder:
        return asyncio.run(soak(minutes, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
