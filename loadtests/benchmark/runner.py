"""A run: its setups one after the other, and on each the repetitions in random order."""

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console

from loadtests.benchmark import rows
from loadtests.benchmark.measuring import Measured, measure
from loadtests.benchmark.notes import (
    PictureCache,
    deepest_fall,
    picture_cache,
    picture_hits,
    searches_in_more,
    wrong_cuts,
)
from loadtests.benchmark.rows import Row, SetupName, why_not
from loadtests.benchmark.setups import setup_named
from loadtests.benchmark.sides import Side, stop_but, wake
from loadtests.benchmark.table import Benchmark, RowResult, SideResult, compare
from loadtests.errors import LoadError
from loadtests.machine import this_machine
from loadtests.servers import Servers

USUAL_CONCURRENCY = (1, 32)
_QUESTIONS = 100_000
"""Numbers that a repetition may use: no question comes twice."""


class RunOptions(NamedTuple):
    """How a run is made."""

    concurrency: Sequence[int]
    """Calls in flight; empty for 1 and 32, or for every number of a row that has neither."""
    every_concurrency: bool
    """Whether that is every number of every row instead."""
    repetitions: int
    seconds: float
    """Length of one measurement."""
    seed: int
    """Draws the order."""

    def calls(self, row: Row) -> list[int]:
        """Numbers of calls in flight at which a row is measured."""
        if self.concurrency:
            return [calls for calls in row.goals if calls in self.concurrency]
        usual = [calls for calls in row.goals if calls in USUAL_CONCURRENCY]
        return list(row.goals) if self.every_concurrency or not usual else usual


class _Found(NamedTuple):
    """What was measured on one setup."""

    rows: list[RowResult]
    sides: list[SideResult]
    notes: dict[str, str]


async def run(chosen: Mapping[str, Row], options: RunOptions, console: Console) -> Benchmark:
    """Measures rows, one setup after the other.

    Raises:
        LoadError: If a server can't start, a side answers nothing, or no row is left.
    """
    machine = this_machine()
    asked = {name: row for name, row in chosen.items() if options.calls(row)}
    if not asked:
        raise LoadError("none of these rows is measured at this concurrency: see loadtests/benchmark/rows.py")
    skipped = {name: reason for name, row in asked.items() if (reason := why_not(row))}
    for name, reason in skipped.items():
        console.print(f"Not measured: {name}, because {reason}", markup=False, soft_wrap=True)
    possible = {name: row for name, row in asked.items() if name not in skipped}
    if not possible:
        raise LoadError(f"none of these rows can be measured here: {'; '.join(dict.fromkeys(skipped.values()))}")
    found: list[_Found] = []
    for setup in dict.fromkeys(row.setup for row in possible.values()):
        found.append(
            await _measure_setup(
                setup, {name: row for name, row in possible.items() if row.setup == setup}, options, console
            )
        )
    return Benchmark(
        machine=machine,
        seconds=options.seconds,
        repetitions=options.repetitions,
        rows=[row for one in found for row in one.rows],
        sides=[side for one in found for side in one.sides],
        notes={what: figure for one in found for what, figure in one.notes.items()},
        skipped=skipped,
    )


async def _measure_setup(name: SetupName, chosen: Mapping[str, Row], options: RunOptions, console: Console) -> _Found:
    """Starts the servers of one setup, measures the sides of its rows in random order, and ends the servers."""
    wanted = sorted({(side, calls) for row in chosen.values() for calls in options.calls(row) for side in row.sides})
    loads = sorted({calls for _, calls in wanted})
    measured: dict[tuple[str, int], list[Measured]] = {place: [] for place in wanted}
    texts: list[str] = []
    cached: dict[str, list[PictureCache]] = {}
    with Servers() as servers:
        setup = setup_named(name)(servers)
        names = list(dict.fromkeys(side for side, _ in wanted))
        console.print(f"Loading {len(names)} sides")
        sides = await setup.open(names)
        try:
            order = random.Random(options.seed)
            for repetition in range(options.repetitions):
                for side, calls in order.sample(wanted, len(wanted)):
                    first = _QUESTIONS * (1 + repetition * len(loads) + loads.index(calls))
                    found, said = await _measure(sides, side, calls, options.seconds, first, cached)
                    measured[side, calls].append(found)
                    texts += said if side == rows.VLLM else []
                    failed = f", {found.errors} errors: {found.error}" if found.errors else ""
                    console.print(
                        f"{repetition + 1}/{options.repetitions} {side} at {calls}: {found.calls_per_s:.1f}/s{failed}",
                        markup=False,
                    )
            wake(list(sides.values()))
            notes = _notes(measured, texts, cached) | await setup.notes(sides)
        finally:
            wake(list(sides.values()))
            for opened in sides.values():
                await opened.close()
    results = [SideResult(side=side, concurrency=calls, repetitions=each) for (side, calls), each in measured.items()]
    return _Found(compare(chosen, measured), results, notes)


async def _measure(
    sides: Mapping[str, Side],
    name: str,
    calls: int,
    seconds: float,
    first: int,
    cached: dict[str, list[PictureCache]],
) -> tuple[Measured, list[str]]:
    """Measures one side while the processes of the others stand still."""
    side = sides[name]
    stop_but(side, list(sides.values()))
    await side.before()
    await side.awake()
    known = await picture_cache(side.servers) if name in rows.CACHE_GOALS else None
    found, answers = await measure(side, concurrency=calls, seconds=seconds, first=first)
    if known is not None:
        cached.setdefault(name, []).append((await picture_cache(side.servers)).since(known))
    if found.errors and not found.calls:
        raise LoadError(f"{name} at {calls} answered nothing: {found.error}")
    return found, [text for answer in answers for text in answer.texts]


def _notes(
    measured: Mapping[tuple[str, int], Sequence[Measured]],
    texts: Sequence[str],
    cached: Mapping[str, Sequence[PictureCache]],
) -> dict[str, str]:
    """Figures beside the table that need no further calls."""
    rates = {calls: [one.calls_per_s for one in each] for (name, calls), each in measured.items() if name == rows.AXIA}
    medians_s = {
        name: statistics.median(one.latency_s.p50 for one in each if one.latency_s)
        for (name, _), each in measured.items()
        if name in (rows.SEARCH_50K, rows.SEARCH_500K) and any(one.latency_s for one in each)
    }
    return wrong_cuts(texts) | deepest_fall(rates) | picture_hits(cached) | searches_in_more(medians_s)
