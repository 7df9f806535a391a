"""Medians, ratios and the table of the benchmark, and its closed loop."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loadtests.benchmark.intervals import Median
from loadtests.benchmark.measuring import Measured, measure
from loadtests.benchmark.notes import crude_cut, deepest_fall, wrong_cuts
from loadtests.benchmark.rows import DETECTION, ROWS, Row
from loadtests.benchmark.sides import Answer, Side, stop_but, wake
from loadtests.benchmark.table import Benchmark, SideResult, compare
from loadtests.figures import Percentiles
from loadtests.machine import this_machine
from loadtests.servers import Server


@pytest.mark.parametrize(("n", "low", "high", "level"), [(1, 0, 0, 0.0), (6, 0, 5, 0.969), (20, 5, 14, 0.959)])
def test_an_interval_of_a_median_lies_between_two_values(n: int, low: int, high: int, level: float) -> None:
    # Levels and places as in tables of the sign test (n = 6: the extremes; n = 20: the 6th from either end).
    found = Median.of([float(value) for value in range(n)])
    assert (found.low, found.high) == (low, high)
    assert found.level == pytest.approx(level, abs=0.001)


def test_an_interval_of_a_median_holds_it_as_often_as_it_says() -> None:
    draw = random.Random(1)
    inside = 0
    for _ in range(2000):
        found = Median.of([draw.expovariate(1) for _ in range(8)])
        inside += found.low <= 0.6931 <= found.high
    assert inside / 2000 == pytest.approx(found.level, abs=0.015)


def measured(calls_per_s: float, p50: float = 1.0, gateway_s: float = 0.001, *, errors: int = 0) -> Measured:
    latency = Percentiles(p50=p50, p90=p50, p95=p50, p99=p50, max=p50)
    return Measured(
        calls=10,
        errors=errors,
        calls_per_s=calls_per_s,
        images_per_s=calls_per_s,
        tokens_per_call=25,
        latency_s=latency,
        processor_s={"gateway": gateway_s},
        memory_mib=100,
    )


def test_ratios_are_paired_within_a_repetition_and_goals_are_checked() -> None:
    # The machine is half as fast in the second repetition, which the ratios don't see.
    side, rival = [measured(40), measured(20), measured(44)], [measured(10), measured(5), measured(10)]
    row = Row("early stop", "axia", "rival", "calls_per_s", {1: 4.5, 32: 3.5})
    (at_one,) = compare({"row": row}, {("axia", 1): side, ("rival", 1): rival, ("axia", 32): side})
    assert (at_one.ratio.median, at_one.ratio.low, at_one.ratio.high) == (4.0, 4.0, 4.4)
    assert at_one.met is False


def test_a_latency_is_wanted_below_its_goal() -> None:
    row = Row("latency", "axia", "loop", "p50", {1: 1.1}, at_least=False)
    (found,) = compare({"row": row}, {("axia", 1): [measured(1, p50=1.05)], ("loop", 1): [measured(1, p50=1.0)]})
    assert found.met is True


def test_the_table_has_every_row_and_side_and_marks_what_is_missed(tmp_path: Path) -> None:
    row = Row("early stop", "axia", "rival", "calls_per_s", {1: 4.5})
    found = {("axia", 1): [measured(40, errors=2)], ("rival", 1): [measured(10)]}
    sides = [SideResult(side=name, concurrency=calls, repetitions=each) for (name, calls), each in found.items()]
    result = Benchmark(
        machine=this_machine(),
        seconds=8,
        repetitions=1,
        rows=compare({"row": row}, found),
        sides=sides,
        notes={"a": "b"},
    )
    result.write(tmp_path, "bench")
    table = (tmp_path / "bench.md").read_text()
    assert "| early stop, calls/s | 1 | axia | rival | × 4.00 (4.00–4.00) | ≥ 4.5, **missed** |" in table
    assert "| axia | 1 | 40.0 (40.0–40.0) |" in table
    assert "| 25 | 100 | 2 |" in table
    assert "- a: b" in table
    assert Benchmark.model_validate_json((tmp_path / "bench.json").read_text()) == result


def test_rows_have_names_that_say_what_is_compared() -> None:
    assert set(DETECTION) < set(ROWS)
    assert len({(row.side, row.rival, row.measure) for row in ROWS.values()}) == len(ROWS)
    assert all(row.side != row.rival for row in ROWS.values())


class Sleeping(Side):
    """Answers after a time; every fifth call fails."""

    async def call(self, number: int) -> Answer:
        """Waits."""
        await asyncio.sleep(0.02)
        if number % 5 == 0:
            raise ConnectionError("no answer")
        return Answer(1, 7, ("a",))


async def test_a_window_counts_what_ends_in_it() -> None:
    found, answers = await measure(Sleeping("sleeping", []), concurrency=4, seconds=1.0, first=1)
    # 4 callers, about 0.02 s a call and 0.05 s more after a failure: at most 200 a second.
    assert 20 <= found.calls_per_s <= 200
    assert found.calls == len(answers)
    assert found.errors > 0
    assert "no answer" in found.error
    assert found.tokens_per_call == 7
    assert found.latency_s is not None
    assert found.latency_s.p50 >= 0.02
    assert set(found.processor_s) == {"client"}


class Batch(Sleeping):
    """Answers eight calls together, 0.3 s after the first of them."""

    def __init__(self) -> None:
        super().__init__("batch", [])
        self._waiting: list[asyncio.Future[None]] = []

    async def call(self, number: int) -> Answer:
        """Waits for the batch's end."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(0.3, self._release)
        self._waiting.append(asyncio.get_running_loop().create_future())
        await self._waiting[-1]
        return Answer(1)

    def _release(self) -> None:
        for waiting in self._waiting:
            waiting.set_result(None)
        self._waiting = []


async def test_calls_that_end_together_count_with_their_share_of_the_window() -> None:
    # Eight every 0.3 s are 26.7/s at most; whole batches alone would be 8 or 16 in 0.45 s, so 17.8 or 35.6/s.
    found, _ = await measure(Batch(), concurrency=8, seconds=0.45, first=0)
    assert found.calls_per_s == pytest.approx(8 / 0.3, rel=0.15)


def test_the_processes_of_all_sides_but_one_stand_still(tmp_path: Path) -> None:
    def server(name: str) -> Server:
        command = [sys.executable, "-c", "while True: pass"]
        return Server(name, 0, 0, subprocess.Popen(command), tmp_path / name)

    servers = [server("one"), server("other")]
    sides = [Sleeping(each.name, [each]) for each in servers]
    try:
        stop_but(sides[0], sides)
        states = [_settled(each.pid) for each in servers]
        assert states[0] != psutil.STATUS_STOPPED
        assert states[1] == psutil.STATUS_STOPPED
        wake(sides)
        assert _settled(servers[1].pid) != psutil.STATUS_STOPPED
    finally:
        for each in servers:
            each.process.send_signal(signal.SIGKILL)
            each.process.wait()


def _settled(pid: int) -> str:
    time.sleep(0.2)
    return str(psutil.Process(pid).status())


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("The child is near the stove. It is hot.", "The child is near the stove."),
        ("A pot\nIt boils", "A pot"),
        ("Dr. Smith lies on the floor. Help.", "Dr."),
        ("Nothing", "Nothing"),
    ],
)
def test_a_stop_list_cuts_where_its_first_text_is(text: str, cut: str) -> None:
    assert crude_cut(text) == cut


def test_the_deepest_fall_is_between_neighbours() -> None:
    (figure,) = deepest_fall({1: [10], 8: [40, 44, 40], 32: [36], 64: [39]}).values()
    assert figure == "10.0%, from 8 to 32 in flight"
    (figure,) = deepest_fall({1: [10], 8: [40], 32: [41]}).values()
    assert figure == "none"
    assert deepest_fall({1: [10], 32: [5]}) == {}


def test_wrong_cuts_are_those_that_are_no_first_sentences() -> None:
    (figure,) = wrong_cuts(["The child is near the stove. It is hot.", "Dr. Smith lies on the floor. Help."]).values()
    assert figure == "50.0% of 2"
    assert wrong_cuts([]) == {}
