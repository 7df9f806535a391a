"""Calls of every kind to a suite in a network that loses packets: python -m tests.chaos.loss, in such a network.

`test_loss.py` makes one. Prints what became of the calls as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.support.harm.load import Load, effect_of
from tests.support.harm.suite import chaos_suite


async def lossy(seconds: float, folder: Path) -> dict[str, object]:
    """Sends calls for some time."""
    starting = chaos_suite(folder)
    suite = await asyncio.to_thread(starting.__enter__)
    try:
        async with Load(suite.grpc("gateway").address, suite.http.url, suite.key.text) as load:
            await asyncio.sleep(5)
            load.outcomes.clear()
            began = time.monotonic()
            await asyncio.sleep(seconds)
            ended = time.monotonic()
            acknowledged = set(load.acknowledged)  # more come in while images are listed
            stored = await load.stored()
        effect = effect_of(load.outcomes, began, ended)
        lasted = sorted(each.ended - each.began for each in load.outcomes if each.code == "OK")
        return {
            "calls": effect.calls,
            "failed": dict(effect.failed),
            "late": [list(each) for each in load.late()],
            "lost": len(acknowledged - stored),
            "p50_s": lasted[len(lasted) // 2],
            "p99_s": lasted[len(lasted) * 99 // 100],
        }
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="axia-loss-") as made:
        print(json.dumps(asyncio.run(lossy(float(sys.argv[1]), Path(made)))))
