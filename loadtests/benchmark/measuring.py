"""Keeps a side under a steady load and counts what is within a window."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import psutil
from pydantic import BaseModel

from loadtests.benchmark.sides import Answer, CallLog, Ended, Side
from loadtests.figures import Percentiles

SETTLE_SHARE = 0.25
"""Share of the window that runs before it, uncounted."""
_REST_S = 60.0
"""Time at most for the calls that are in flight at the window's end."""
_POLL_S = 0.02
CLIENT = "client"
"""What sends the calls: this process."""


class Measured(BaseModel):
    """One repetition of one side."""

    calls: int
    """Calls of which at least a part was within the window."""
    errors: int
    """Those that failed."""
    calls_per_s: float
    """Each call counted with the share of its time that was within the window."""
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
    """Lets a side send its calls (see `Side.play`) and counts those that run within a window.

    A call counts with the share of its time that is inside the window. Calls that end together, as those of one batch
    do, would otherwise be counted all or not at all at the window's ends. The load goes on until the calls that were in
    flight at its end are over; what is left then is cancelled.

    Args:
        side: What to call.
        concurrency: Calls in flight.
        seconds: Length of the window.
        first: Number of the first call; the same numbers are the same questions for all sides.
    """
    log = CallLog()
    callers = [asyncio.create_task(caller) for caller in side.play(concurrency, first, log)]
    await asyncio.sleep(SETTLE_SHARE * seconds)
    before, begin = _spent(side), time.perf_counter()
    await asyncio.sleep(seconds)
    after, end = _spent(side), time.perf_counter()
    memory = await asyncio.to_thread(side.memory_mib)
    while log.any_from_before(end) and time.perf_counter() < end + _REST_S:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)  # looking now and then costs less than an event for each call
    for task in callers:
        task.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    return _measured([call for call in log.ended if call.overlaps(begin, end)], begin, end, before, after, memory)


def _measured(
    calls: Sequence[Ended],
    begin: float,
    end: float,
    before: Mapping[str, float],
    after: Mapping[str, float],
    memory_mib: float,
) -> tuple[Measured, list[Answer]]:
    well = [(call, call.answer) for call in calls if isinstance(call.answer, Answer)]
    errors = [call.answer for call in calls if isinstance(call.answer, Exception)]
    shares = [call.share(begin, end) for call, _ in well]
    whole = sum(shares)
    measured = Measured(
        calls=len(well),
        errors=len(errors),
        calls_per_s=whole / (end - begin),
        images_per_s=sum(share * answer.images for share, (_, answer) in zip(shares, well, strict=True))
        / (end - begin),
        tokens_per_call=sum(answer.tokens for _, answer in well) / max(1, len(well)),
        latency_s=Percentiles.of(call.ended - call.began for call, _ in well),
        processor_s={name: (spent - before.get(name, 0.0)) / whole if whole else 0.0 for name, spent in after.items()},
        memory_mib=memory_mib,
        error=f"{type(errors[0]).__name__}: {errors[0]}"[:300] if errors else "",
    )
    return measured, [answer for _, answer in well]


def _spent(side: Side) -> Mapping[str, float]:
    cpu_times = psutil.Process().cpu_times()
    return {**side.processor_s(), CLIENT: cpu_times.user + cpu_times.system}
