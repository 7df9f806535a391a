"""Sends each call at its time, whatever became of those before: an open loop, as users are.

A client that waits for an answer before it asks again sends less while the server is slow, and so leaves out the very
calls that would have waited (coordinated omission). Here the arrivals are known before the run, every latency counts
from the time at which the call was to be sent, and how late calls were sent is reported.
"""

import asyncio
from collections.abc import Mapping, Sequence

from loadtests.errors import LoadError
from loadtests.recorder import Clock, Recorder
from loadtests.records import Arrival, Recording
from loadtests.scenarios.base import Scenario

DEFAULT_IN_FLIGHT = 2_000
"""Calls in flight at most: protects this machine where a server doesn't answer at all."""


async def drive(
    arrivals: Sequence[Arrival],
    scenarios: Mapping[str, Scenario],
    *,
    length_s: float,
    in_flight: int = DEFAULT_IN_FLIGHT,
) -> Recording:
    """Sends every call and waits until the last has ended.

    Args:
        arrivals: What to send, in the order of time.
        scenarios: Opened scenarios by their names.
        length_s: Seconds that the arrivals stand for.
        in_flight: Calls in flight at most. One more waits, which counts as its schedule delay and its latency.

    Raises:
        LoadError: If an arrival's scenario isn't there.
    """
    if unknown := {arrival.scenario for arrival in arrivals} - scenarios.keys():
        raise LoadError(f"there is no scenario {sorted(unknown)[0]!r}: use one of {', '.join(sorted(scenarios))}")
    recorder = Recorder(Clock())
    places = asyncio.Semaphore(in_flight)
    held_back = 0

    async def send(number: int, arrival: Arrival) -> None:
        nonlocal held_back
        held_back += places.locked()
        async with places:
            await scenarios[arrival.scenario].play(number, arrival.at_s, recorder)

    async with asyncio.TaskGroup() as calls:
        for number, arrival in enumerate(arrivals):
            await recorder.clock.until(arrival.at_s)
            calls.create_task(send(number, arrival))
    return Recording(recorder.records, length_s, held_back)
