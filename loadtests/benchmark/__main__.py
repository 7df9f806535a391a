"""Runs the benchmark: python -m loadtests.benchmark [ROW…] [--all] [--short]"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.benchmark.rivals import on_gpu
from loadtests.benchmark.rows import DETECTION, ROWS, Row
from loadtests.benchmark.runner import RunOptions, run
from loadtests.benchmark.table import RESULTS
from loadtests.errors import LoadError

SHORT_SECONDS, SHORT_REPETITIONS = 2.0, 2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    row: Annotated[list[str] | None, typer.Argument(help=f"Rows to measure: {', '.join(ROWS)}.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Measure every row, not only the detection rows.")] = False,
    concurrency: Annotated[
        list[int] | None,
        typer.Option(help="Calls in flight. Default: 1 and 32, or a row's own; with --all, every number of every row."),
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Number of measurements of each side.")] = 6,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of one measurement, in seconds.")] = 8.0,
    short: Annotated[
        bool, typer.Option(help="Two repetitions of two seconds: only checks that everything runs.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Refuse to measure without a CUDA device.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random order.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the result's files, without extension.")] = "bench",
    out: Annotated[Path, typer.Option(help="Folder for the result.")] = RESULTS,
) -> None:
    """Measure axia and what a user would run instead, in turns, on this machine."""
    console = Console(width=None if Console().is_terminal else 130)
    try:
        if gpu:
            _require_gpu()
        chosen = _chosen(row) if row else ROWS if everything else DETECTION
        if short:
            seconds, repetitions = SHORT_SECONDS, SHORT_REPETITIONS
        options = RunOptions(concurrency or (), everything, repetitions, seconds, seed)
        found = asyncio.run(run(chosen, options, console))
    except LoadError as error:
        Console(stderr=True).print(f"error: {error}", soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(2) from error
    found.write(out, name)
    console.print(found.markdown(), soft_wrap=True, markup=False)
    console.print(f"Result: {out / name}.json, {out / name}.md", soft_wrap=True)


def _require_gpu() -> None:
    if not on_gpu():
        raise LoadError(
            "torch finds no CUDA device: install the suite for one with make setup ENGINE=gpu and look at nvidia-smi, "
            "or run make bench, which measures on a CPU"
        )


def _chosen(names: Sequence[str]) -> Mapping[str, Row]:
    """The rows of these names."""
    if unknown := [name for name in names if name not in ROWS]:
        raise LoadError(f"there is no row {unknown[0]!r}: use some of {', '.join(ROWS)}")
    return {name: ROWS[name] for name in names}


if __name__ == "__main__":
    app(prog_name="python -m loadtests.benchmark")
