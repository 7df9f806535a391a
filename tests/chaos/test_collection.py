"""A collection of screenshots while its agent, its browser and the index are killed at random moments.

AXIA_TEST_CHAOS=full python -m pytest -s tests/chaos/test_collection.py      # 500 screenshots, 10 kills
"""

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

pytest.importorskip("playwright", reason="needs axia's extra agent: pip install playwright")

import axia
from agent.hashing import alike
from agent.record import read_record
from agent.replay import replay
from axia.testing import free_port
from feed.platforms import PLATFORMS
from tests.support import processes
from tests.support.browser import needs_chromium
from tests.support.chaos.faults import size
from tests.support.processes import ROOT, Server

pytestmark = needs_chromium

IMAGES = size(18, 500, "COLLECTION_IMAGES")
KILLS = size(3, 10, "COLLECTION_KILLS")
SEED = size(1, 1, "COLLECTION_SEED")
VICTIMS = ("agent", "browser", "index")
_ROOM = 3
"""Last screenshots of a platform, at which nothing is killed."""
_STARTS = 4 * KILLS + len(PLATFORMS)
_PATIENCE_S = 60 * IMAGES


class Agent:
    """`axia agent collect` for one platform in a process group of its own, started again until it is done."""

    def __init__(self, folder: Path, log: Path, url: str, images: int, index: str) -> None:
        self.folder, self._log = folder, log
        self._command = [
            *(sys.executable, "-m", "axia", "agent", "collect", url, "--images", str(images)),
            *("--out", str(folder), "--address", index),
        ]
        self.start()

    def start(self) -> None:
        """Starts the command; what it collected before is gone on with."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """Kills the command; its browser loses it and ends."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            self.process.wait()
            _, left = psutil.wait_procs(children, timeout=10)
            for one in left:
                one.kill()

    def kill_browser(self) -> bool:
        """Kills the browser's main process, if there is one."""
        with suppress(psutil.NoSuchProcess, IndexError):
            children = psutil.Process(self.process.pid).children(recursive=True)
            browsers = [one for one in children if "--host-resolver-rules" in " ".join(one.cmdline())]
            main = [one for one in browsers if not any("--type=" in part for part in one.cmdline())]
            os.kill(main[0].pid, signal.SIGKILL)
            return True
        return False

    @property
    def shots(self) -> list[dict[str, str]]:
        """The screenshots that it took."""
        path = self.folder / "collection.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [row["shot"] for row in rows if "shot" in row]


@contextmanager
def feed(folder: Path) -> Iterator[str]:
    """The demo feed; its address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "axia", "feed", "serve", "--port", str(port), "--state", str(folder / "feed.db")]
    with (folder / "feed.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(address, timeout=5):
                break
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def collect(agent: Agent, index: Server, kills: list[tuple[int, str]], draws: random.Random) -> Counter[str]:
    """Watches the agent until it is done; who was killed.

    Args:
        agent: is running.
        index: is serving.
        kills: after how many screenshots who is killed, in order.
        draws: of the moments.
    """
    killed: Counter[str] = Counter()
    began, starts = time.monotonic(), 1
    while (code := agent.process.poll()) != 0 or kills:
        assert time.monotonic() - began < _PATIENCE_S, agent._log.read_text()[-3000:]
        if code == 0:
            pytest.fail(f"{agent.folder.name} was done before {kills}")
        if code is not None:
            starts += 1
            assert starts <= _STARTS, agent._log.read_text()[-3000:]
            agent.start()
        if kills and len(agent.shots) >= kills[0][0]:
            time.sleep(draws.uniform(0, 0.5))
            victim = kills[0][1]
            if victim == "index":
                index.signal_group(signal.SIGKILL)
                index.process.wait()
                index.start()
            elif victim == "agent":
                if agent.process.poll() is not None:
                    continue
                agent.kill()
            elif not agent.kill_browser():
                time.sleep(0.05)
                continue  # it is just being started
            killed[victim] += 1
            kills.pop(0)
        time.sleep(0.05)
    return killed


def _near_an_end(place: int, shares: list[int]) -> bool:
    """Whether a platform's agent may be done before it can be killed there."""
    return any(0 < end - place <= _ROOM for end in itertools.accumulate(shares))


def test_nothing_is_lost_and_nothing_stored_twice_when_agent_browser_and_index_are_killed(tmp_path: Path) -> None:
    draws = random.Random(SEED)
    platforms = list(PLATFORMS)
    shares = [IMAGES // len(platforms) + (n < IMAGES % len(platforms)) for n in range(len(platforms))]
    victims = list(itertools.islice(itertools.cycle(VICTIMS), KILLS))
    draws.shuffle(victims)
    places = sorted(draws.sample([place for place in range(IMAGES) if not _near_an_end(place, shares)], KILLS))
    shots: list[dict[str, str]] = []
    killed: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    began = time.monotonic()
    with (
        feed(tmp_path) as address,
        processes.retrieval(tmp_path / "index.log", data=tmp_path / "index") as index,
    ):
        index.wait_for("SERVING", 120)
        for number, platform in enumerate(platforms):
            before, until = sum(shares[:number]), sum(shares[: number + 1])
            kills = [(at - before, who) for at, who in zip(places, victims, strict=True) if before <= at < until]
            url = f"{address}/{platform}?user=kills"
            agent = Agent(tmp_path / platform, tmp_path / f"{platform}.log", url, shares[number], index.address)
            try:
                killed += collect(agent, index, kills, draws)
            finally:
                agent.kill()
            folder = tmp_path / platform
            assert len(agent.shots) == shares[number]
            for shot in agent.shots:
                assert hashlib.sha256((folder / shot["path"]).read_bytes()).hexdigest() == shot["sha256"]
            hashes = [int(shot["perceptual_hash"], 16) for shot in agent.shots]
            assert not any(alike(one, other) for one, other in itertools.combinations(hashes, 2))
            assert json.loads((folder / "datasheet.json").read_text())["acknowledged"] == shares[number]
            assert replay(folder).differences == ()
            for row in read_record(folder):
                seconds.update(row.get("seconds", {}))
            shots += agent.shots
        index.wait_for("SERVING", 120)
        with axia.Client(index.address, timeout=60) as client:
            stored = [one.id for one in client.list_images()]
    taken = {shot["sha256"] for shot in shots}
    whole = sum(seconds.values())
    print(
        f"\n{len(stored)} screenshots in the index, {len(taken - set(stored))} lost, "
        f"{len(stored) - len(set(stored))} twice; killed: {dict(killed)}; {time.monotonic() - began:.0f} s; "
        f"time by stage: {', '.join(f'{stage} {spent / whole:.0%}' for stage, spent in seconds.items())}"
    )
    assert sum(killed.values()) == KILLS
    assert len(stored) == len(set(stored)) == IMAGES
    assert set(stored) == taken
