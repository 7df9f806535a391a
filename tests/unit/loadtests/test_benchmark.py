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
from loadtests.benchmark.notes import (
    PictureCache,
    crude_cut,
    deepest_fall,
    picture_hits,
    searches_in_more,
    wrong_cuts,
)
from loadtests.benchmark.rivals import InProcess
from loadtests.benchmark.rows import (
    AFFINITY,
    CACHE_GOALS,
    DETECTION,
    NO_AFFINITY,
    PACKAGES,
    ROWS,
    SEARCH_50K,
    SEARCH_500K,
    Row,
    why_not,
)
from loadtests.benchmark.runner import RunOptions
from loadtests.benchmark.setups import base
from loadtests.benchmark.sides import Answer, Side, stop_but, wake
from loadtests.benchmark.table import Benchmark, SideResult, add_notes, compare
from loadtests.errors import LoadError
from loadtests.figures import Percentiles
from loadtests.machine import this_machine
from loadtests.servers import Server, Servers


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
    # A side is measured on one setup: its figures would be in the table twice.
    assert all(len({row.setup for row in ROWS.values() if name in row.sides}) == 1 for name in sides())
    assert all(not name or name in sides() for name in (*PACKAGES, *CACHE_GOALS))


def test_rows_are_measured_at_the_usual_concurrency_or_their_own() -> None:
    usual, every = RunOptions((), False, 6, 8.0, 0), RunOptions((), True, 6, 8.0, 0)
    assert usual.calls(ROWS["early-stop"]) == [1, 32]
    assert usual.calls(ROWS["affinity"]) == [4]
    assert every.calls(ROWS["early-stop"]) == [1, 8, 32, 64]
    assert every._replace(concurrency=[64, 7]).calls(ROWS["early-stop"]) == [64]


def sides() -> set[str]:
    return {name for row in ROWS.values() for name in row.sides}


def test_a_row_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.benchmark.rows.find_spec", lambda name: None if name == "vllm_router" else object())
    assert "vllm_router is not installed" in why_not(ROWS["vllm-router"])
    assert not why_not(ROWS["early-stop"])


def test_scoring_on_a_core_of_its_own_needs_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.benchmark.rows.cores", lambda: 1)
    assert "two processor cores" in why_not(ROWS["scoring-apart"])
    monkeypatch.setattr("loadtests.benchmark.rows.cores", lambda: 2)
    assert not why_not(ROWS["scoring-apart"])


def test_a_row_without_a_rival_has_its_own_figure() -> None:
    row = Row("age of a frame", "cameras", "", "p95", {50: 0.8}, at_least=False)
    found = compare({"row": row}, {("cameras", 50): [measured(1, p50=0.7), measured(1, p50=0.9), measured(1, p50=1.0)]})
    assert [(one.ratio.median, one.met) for one in found] == [(0.9, False)]


def test_hits_of_the_caches_are_held_against_their_goals() -> None:
    found = picture_hits({AFFINITY: [PictureCache(95, 5), PictureCache(99, 1)], NO_AFFINITY: [PictureCache(65, 35)]})
    assert list(found.values()) == ["97.0%", "65.0%, **missed**"]


def test_five_million_images_are_computed_from_the_growth_to_half_a_million() -> None:
    ((what, figure),) = searches_in_more({SEARCH_50K: 0.0014, SEARCH_500K: 0.0021}).items()
    assert "computed and not measured" in what
    assert figure.startswith("3.15 ms")
    assert searches_in_more({SEARCH_50K: 0.0014}) == {}


def test_figures_of_another_command_come_into_the_table(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"bench\.json is missing"):
        add_notes(tmp_path, "bench", {"a": "b"})
    result = Benchmark(machine=this_machine(), seconds=8, repetitions=1, rows=[], sides=[], notes={"a": "b"})
    result.write(tmp_path, "bench")
    add_notes(tmp_path, "bench", {"c": "d"})
    table = (tmp_path / "bench.md").read_text()
    assert "- a: b\n- c: d" in table


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


async def test_a_search_that_blocks_this_process_is_measured_for_its_window_alone() -> None:
    side = InProcess("sleeping", [0.001, 0.002], time.sleep, images=5)
    async with asyncio.timeout(30):
        found, _ = await measure(side, concurrency=1, seconds=0.5, first=0)
    assert 1 <= found.calls_per_s <= 700
    assert found.images_per_s == pytest.approx(5 * found.calls_per_s)


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


async def test_routers_are_ready_before_the_servers_behind_them_are_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    happened: list[str] = []

    async def ready(server: Server) -> None:
        happened.append(f"{server.name} ready")

    monkeypatch.setattr(base, "wait_until_ready", ready)
    monkeypatch.setattr(base, "stop", lambda server: happened.append(f"{server.name} stopped"))
    ended = subprocess.Popen([sys.executable, "-c", ""])  # noqa: ASYNC220 - it ends at once
    ended.wait()

    class NoSides(base.Setup):
        makers = {}  # noqa: RUF012 - none are made

    setup = NoSides(Servers())
    for name in ("gateway", base.ROUTER, "vllm"):
        setup._await(Server(name, 0, 0, ended, tmp_path))
    await setup.ready()
    assert happened == ["vllm ready", "router ready", "vllm stopped", "gateway ready"]


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
    assert figure == "10.0%, from 8 to 32 in flight, **missed**"
    (figure,) = deepest_fall({1: [10], 8: [40], 32: [41]}).values()
    assert figure == "none"
    assert deepest_fall({1: [10], 32: [5]}) == {}


def test_wrong_cuts_are_those_that_are_no_first_sentences() -> None:
    (figure,) = wrong_cuts(["The child is near the stove. It is hot.", "Dr. Smith lies on the floor. Help."]).values()
    assert figure == "50.0% of 2"
    assert wrong_cuts([]) == {}
