"""The open loop."""

import asyncio

import pytest

from loadtests.driver import drive
from loadtests.errors import LoadError
from loadtests.figures import summarize
from loadtests.records import Arrival, Outcome
from loadtests.scenarios.base import Scenario, Target


class Slow(Scenario):
    """Answers after a time, one call after the other if it is told so."""

    name = "detect"
    help = "waits"

    def __init__(self, seconds: float, *, one_at_a_time: bool = False) -> None:
        super().__init__(Target("nowhere:1"))
        self._seconds = seconds
        self._places = asyncio.Semaphore(1 if one_at_a_time else 1000)
        self.most = self._now = 0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def call(self, number: int) -> Outcome:
        """Waits."""
        self._now += 1
        self.most = max(self.most, self._now)
        async with self._places:
            await asyncio.sleep(self._seconds)
        self._now -= 1
        return Outcome(images=1)


ARRIVALS = [Arrival(place * 0.02, "detect") for place in range(20)]


async def test_a_call_is_sent_at_its_time_though_those_before_have_not_ended() -> None:
    slow = Slow(0.5)
    recording = await drive(ARRIVALS, {"detect": slow}, length_s=0.4)
    assert slow.most == 20
    total = summarize(recording).total
    assert total.answered == 20
    assert total.schedule_delay_s is not None
    assert total.schedule_delay_s.p50 < 0.2
    assert all(record.started_s >= record.intended_s - 0.002 for record in recording.records)


async def test_a_server_that_answers_one_after_the_other_shows_the_wait_in_the_latencies() -> None:
    # Each call takes 0.05 s and arrives 0.02 s after the one before: the last waits for about 0.6 s. A client that
    # waited for each answer would say 0.05 s of all.
    recording = await drive(ARRIVALS, {"detect": Slow(0.05, one_at_a_time=True)}, length_s=0.4)
    latency = summarize(recording).total.latency_s
    assert latency is not None
    assert latency.max > 0.5


async def test_a_bound_on_calls_in_flight_counts_as_latency_and_as_delay() -> None:
    slow = Slow(0.1)
    recording = await drive(ARRIVALS, {"detect": slow}, length_s=0.4, in_flight=2)
    total = summarize(recording).total
    assert slow.most == 2
    assert recording.held_back > 0
    assert total.achieved_per_s < total.requested_per_s
    assert total.latency_s is not None
    assert total.schedule_delay_s is not None
    assert total.latency_s.max > 0.4
    assert total.schedule_delay_s.max > 0.3


async def test_a_scenario_that_is_not_there_is_named() -> None:
    with pytest.raises(LoadError, match="there is no scenario 'stream': use one of detect"):
        await drive([Arrival(0, "stream")], {"detect": Slow(0)}, length_s=1)
