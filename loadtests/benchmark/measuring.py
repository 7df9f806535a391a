"""A closed loop: as many calls in flight as asked for, counted within a window in which the load is steady."""

import asyncio
import time
from collections.abc import Mapping

import psutil
from pydantic import BaseModel

from loadtests.benchmark.sides import Answer, Side
from loadtests.figures import Percentiles

SETTLE_SHARE = 0.25
"""Share of the window that runs before it, uncounted."""


class Measured(BaseModel):
    """One repetition of one side."""

    calls: int
    """Calls that ended within the window."""
    errors: int
    """Calls that failed in it."""
    calls_per_s: float
    images_per_s: float
    tokens_per_call: float
    """Tokens generated for a call; 0 where the answers don't say."""
    latency_s: Percentiles | None
    processor_s: dict[str, float]
    """Processor seconds a call, by process and of the client."""
    memory_mib: float
    """Of its processes at the end, shared parts counted once."""
    error: str = ""
    """What the first error said."""


async def measure(side: Side, *, concurrency: int, seconds: float, first: int) -> tuple[Measured, list[Answer]]:
    """Keeps a number of calls in flight and counts those that end within a window.

    What is in flight at the window's begin is partly done, and so is what is in flight at its end: with a steady load
    the two even out. Calls that are left at the end are cancelled.

    Args:
        side: What to call.
        concurrency: Calls in flight.
        seconds: Length of the window.
        first: Number of the first call; the same numbers are the same questions for all sides.
    """
    numbers = iter(range(first, first + 10_000_000))
    settle_s = SETTLE_SHARE * seconds
    window = _Window()

    async def caller() -> None:
        for number in numbers:
            began = time.perf_counter()
            try:
                answer = await side.call(number)
            except Exception as error:  # of any library: counted, and said in the table
                window.fail(error)
                await asyncio.sleep(0.05)
            else:
                window.add(time.perf_counter() - began, answer)

    callers = [asyncio.create_task(caller()) for _ in range(concurrency)]
    await asyncio.sleep(settle_s)
    before = _spent(side)
    window.begin()
    await asyncio.sleep(seconds)
    window.end()
    after = _spent(side)
    memory = await asyncio.to_thread(side.memory_mib)
    for task in callers:
        task.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    calls = max(1, len(window.latencies))
    return (
        Measured(
            calls=len(window.latencies),
            errors=window.errors,
            calls_per_s=len(window.latencies) / window.length_s,
            images_per_s=sum(answer.images for answer in window.answers) / window.length_s,
            tokens_per_call=sum(answer.tokens for answer in window.answers) / calls,
            latency_s=Percentiles.of(window.latencies),
            processor_s={name: (spent - before.get(name, 0.0)) / calls for name, spent in after.items()},
            memory_mib=memory,
            error=window.error,
        ),
        window.answers,
    )


class _Window:
    """What ended while it was open."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.answers: list[Answer] = []
        self.errors = 0
        self.error = ""
        self._open = False
        self._began = self._ended = 0.0

    def begin(self) -> None:
        self._open, self._began = True, time.perf_counter()

    def end(self) -> None:
        self._open, self._ended = False, time.perf_counter()

    @property
    def length_s(self) -> float:
        return self._ended - self._began

    def add(self, latency_s: float, answer: Answer) -> None:
        if self._open:
            self.latencies.append(latency_s)
            self.answers.append(answer)

    def fail(self, error: Exception) -> None:
        if self._open:
            self.errors += 1
            self.error = self.error or f"{type(error).__name__}: {error}"[:300]


def _spent(side: Side) -> Mapping[str, float]:
    own = psutil.Process().cpu_times()
    return {**side.processor_s(), "client": own.user + own.system}
