"""Runs the benchmark: python -m loadtests.benchmark [ROW…] [--all] [--short]"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.benchmark import rows
from loadtests.benchmark.measuring import Measured, measure
from loadtests.benchmark.notes import (
    PictureCache,
    deepest_fall,
    picture_cache,
    picture_hits,
    reader_hits,
    stream_lag,
    wrong_cuts,
)
from loadtests.benchmark.rows import DETECTION, ROWS, Row
from loadtests.benchmark.sides import Side, stop_but, wake
from loadtests.benchmark.stand import Stand
from loadtests.benchmark.table import Benchmark, SideResult, compare
from loadtests.errors import LoadError
from loadtests.machine import this_machine
from loadtests.servers import Servers

RESULTS = Path(__file__).parents[1] / "results"
SHORT_SECONDS, SHORT_REPETITIONS = 2.0, 2
_QUESTIONS = 100_000
"""Numbers that a repetition may use: no question comes twice."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    row: Annotated[list[str] | None, typer.Argument(help=f"Rows to measure: {', '.join(ROWS)}.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Measure every row, not only the detection rows.")] = False,
    concurrency: Annotated[list[int] | None, typer.Option(help="Calls in flight. Default: 1 and 32.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Number of measurements of each side.")] = 6,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of one measurement, in seconds.")] = 8.0,
    short: Annotated[
        bool, typer.Option(help="Two repetitions of two seconds: only checks that everything runs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random order.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the result's files, without extension.")] = "bench",
    out: Annotated[Path, typer.Option(help="Folder for the result.")] = RESULTS,
) -> None:
    """Measure axia and what a user would run instead, in turns, on this machine."""
    console = Console(width=None if Console().is_terminal else 130)
    try:
        chosen = _chosen(row) if row else ROWS if everything else DETECTION
        if short:
            seconds, repetitions = SHORT_SECONDS, SHORT_REPETITIONS
        found = asyncio.run(_run(chosen, concurrency or [1, 32], repetitions, seconds, seed, console))
    except LoadError as error:
        Console(stderr=True).print(f"error: {error}", soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(2) from error
    found.write(out, name)
    console.print(found.markdown(), soft_wrap=True, markup=False)
    console.print(f"Result: {out / name}.json, {out / name}.md", soft_wrap=True)


def _chosen(names: Sequence[str]) -> Mapping[str, Row]:
    """The rows of these names."""
    if unknown := [name for name in names if name not in ROWS]:
        raise LoadError(f"there is no row {unknown[0]!r}: use some of {', '.join(ROWS)}")
    return {name: ROWS[name] for name in names}


async def _run(
    chosen: Mapping[str, Row], concurrency: Sequence[int], repetitions: int, seconds: float, seed: int, console: Console
) -> Benchmark:
    machine = this_machine()
    wanted = sorted(
        {
            (name, calls)
            for row in chosen.values()
            for calls in concurrency
            if calls in row.goals
            for name in (row.side, row.rival)
        }
    )
    if not wanted:
        raise LoadError("these rows are not measured at this concurrency: loadtests/benchmark/rows.py has the values")
    measured: dict[tuple[str, int], list[Measured]] = {place: [] for place in wanted}
    texts: list[str] = []
    cached: dict[str, list[PictureCache]] = {}
    with Servers() as servers:
        stand = Stand(servers)
        sides = {name: stand.side(name) for name in dict.fromkeys(name for name, _ in wanted)}
        console.print(f"Loading {len(sides)} sides")
        await stand.ready()
        for side in sides.values():
            await side.open()
        try:
            order = random.Random(seed)
            for repetition in range(repetitions):
                for name, calls in order.sample(wanted, len(wanted)):
                    first = _QUESTIONS * (1 + repetition * len(concurrency) + concurrency.index(calls))
                    found, said = await _measure(stand, sides, name, calls, seconds, first, cached)
                    measured[name, calls].append(found)
                    texts += said if name == rows.VLLM else []
                    failed = f", {found.errors} errors: {found.error}" if found.errors else ""
                    console.print(
                        f"{repetition + 1}/{repetitions} {name} at {calls}: {found.calls_per_s:.1f}/s{failed}",
                        markup=False,
                    )
            wake(list(sides.values()))
            rates = {
                calls: [one.calls_per_s for one in found]
                for (name, calls), found in measured.items()
                if name == rows.AXIA
            }
            notes = wrong_cuts(texts) | deepest_fall(rates) | await reader_hits(stand) | picture_hits(cached)
            if rows.AXIA in sides:
                stop_but(sides[rows.AXIA], list(sides.values()))
                notes |= await stream_lag(stand)
        finally:
            wake(list(sides.values()))
            for side in sides.values():
                await side.close()
    return Benchmark(
        machine=machine,
        seconds=seconds,
        repetitions=repetitions,
        rows=compare(chosen, measured),
        sides=[
            SideResult(side=name, concurrency=calls, repetitions=found) for (name, calls), found in measured.items()
        ],
        notes=notes,
    )


async def _measure(
    stand: Stand,
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
    known = await picture_cache(stand) if name in rows.WATCHED_CACHE else None
    found, answers = await measure(side, concurrency=calls, seconds=seconds, first=first)
    if known is not None:
        cached.setdefault(name, []).append((await picture_cache(stand)).since(known))
    if found.errors and not found.calls:
        raise LoadError(f"{name} at {calls} answered nothing: {found.error}")
    return found, [text for answer in answers for text in answer.texts]


if __name__ == "__main__":
    app(prog_name="python -m loadtests.benchmark")
