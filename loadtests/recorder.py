"""Time since the begin of a run, and what has been recorded so far."""

import asyncio
import time

from loadtests.records import Outcome, Record


class Clock:
    """Time since the begin of a run, in seconds."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()

    def now(self) -> float:
        """Seconds since the begin."""
        return time.perf_counter() - self._begin

    async def until(self, at_s: float) -> None:
        """Waits until a time; returns at once if it has passed."""
        # asyncio's timers end up to a millisecond early or late; what is left is reported as schedule delay.
        if (left := at_s - self.now()) > 0:
            await asyncio.sleep(left)


class Recorder:
    """Notes calls as they end."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.records: list[Record] = []

    def add(self, scenario: str, intended_s: float, started_s: float, outcome: Outcome) -> None:
        """Notes a call that ends now."""
        self.records.append(Record(scenario, intended_s, started_s, self.clock.now(), outcome))
