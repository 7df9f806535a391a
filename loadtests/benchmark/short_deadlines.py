"""What a detection returns within short deadlines: python -m loadtests.benchmark.short_deadlines [--calls 10]

The demo model in vLLM, the scoring service and the gateway run as processes of their own. Each kind of detection is
measured without a deadline first; then it gets multiples of its median as deadline. Prints how many calls returned all
completions, some or none, how many of those answered lack the scoring service's readings, and how long calls took.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter
from itertools import count
from typing import Any

from axia.aio import AsyncClient
from axia.errors import DeadlineExceeded
from loadtests.pictures import read_pictures
from loadtests.servers import Servers, wait_until_serving
from services.inference.settings import DEMO_MODEL

KINDS: dict[str, dict[str, Any]] = {
    "n = 1": {"n": 1},
    "n = 3": {"n": 3},
    "n = 16, 1,000 tokens": {"n": 16, "full_text": True, "max_tokens": 1000},
}
MULTIPLES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)


async def measure(client: AsyncClient, calls: int) -> None:
    """Prints a row for each kind and deadline."""
    pictures = [picture.data for picture in read_pictures(None)]
    seeds = count()

    async def detect(within_s: float | None, options: dict[str, Any]) -> tuple[str, bool, float]:
        seed = next(seeds)
        began = time.perf_counter()
        try:
            found = await client.detect(pictures[seed % len(pictures)], seed=seed, timeout=within_s, **options)
        except DeadlineExceeded:
            return "none", False, time.perf_counter() - began
        outcome = "all" if len(found.completions) == options["n"] else "some"
        return outcome, bool(found.missing), time.perf_counter() - began

    for kind, options in KINDS.items():
        usual_s = statistics.median([(await detect(None, options))[2] for _ in range(2 * calls)][calls:])
        print(f"{kind}: {usual_s:.3f} s without a deadline", flush=True)
        for within_s in (0.1, *(multiple * usual_s for multiple in MULTIPLES)):
            ended = [await detect(within_s, options) for _ in range(calls)]
            outcomes = Counter(outcome for outcome, _, _ in ended)
            took = statistics.median(seconds for _, _, seconds in ended)
            print(
                f"  {within_s:.3f} s (× {within_s / usual_s:.2f}): all {outcomes['all']}, some {outcomes['some']}, "
                f"none {outcomes['none']}; {sum(missing for _, missing, _ in ended)} without readings; {took:.3f} s",
                flush=True,
            )


async def run(calls: int) -> None:
    """Starts the services and measures."""
    with Servers() as servers:
        inference, scoring = servers.start("inference", model=DEMO_MODEL), servers.start("scoring")
        gateway = servers.start("gateway", inference=inference.address, scoring=scoring.address, retrieval="")
        for server in (inference, scoring, gateway):
            await wait_until_serving(server)
        async with AsyncClient(gateway.address) as client:
            await measure(client, calls)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10, help="for each deadline")
    asyncio.run(run(parser.parse_args().calls))
