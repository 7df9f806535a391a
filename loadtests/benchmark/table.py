"""The result of a run, as JSON and as a table in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from loadtests.benchmark.intervals import Median
from loadtests.benchmark.measuring import CLIENT, Measured
from loadtests.benchmark.rows import Row
from loadtests.errors import LoadError
from loadtests.machine import Machine

RESULTS = Path(__file__).parents[1] / "results"
"""Where results are kept."""


class SideResult(BaseModel):
    """A side at one concurrency."""

    side: str
    concurrency: int
    repetitions: list[Measured]


class RowResult(BaseModel):
    """A row at one concurrency."""

    row: str
    what: str
    side: str
    rival: str
    measure: str
    concurrency: int
    ratio: Median
    """Of side to rival, paired within the repetitions; without a rival the side's own figure, latencies in seconds."""
    goal: float | None
    at_least: bool
    met: bool | None
    """Whether the median reaches the goal; None without one."""


class Benchmark(BaseModel):
    """A whole run; what the JSON file holds."""

    machine: Machine
    seconds: float
    """Length of a window."""
    repetitions: int
    rows: list[RowResult]
    sides: list[SideResult]
    notes: dict[str, str]
    """Further figures, each with what it is."""
    skipped: dict[str, str] = {}
    """Rows that could not be measured here, each with why."""

    def write(self, folder: Path, name: str) -> None:
        """Writes NAME.json and NAME.md."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (folder / f"{name}.md").write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """The table."""
        machine = self.machine
        packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
        level = max((row.ratio.level for row in self.rows), default=0.0)
        about = (
            f"{machine.when:%d %B %Y, %H:%M} UTC, commit {machine.commit or 'none'}, {machine.processor}, "
            f"{machine.cores} cores, {machine.memory_gib:g} GiB; axia {machine.axia}, Python {machine.python}, "
            f"{packages}. {self.repetitions} interleaved repetitions of {self.seconds:g} s; {machine.load_before:g} "
            f"busy processes in the minute before. Intervals are of the median ({level:.0%})."
        )
        titles = (
            *("side", "concurrency", "calls/s", "images/s", "p50 ms", "p95 ms", "p99 ms", "processor ms a call"),
            *("calls/s a core", "tokens a call", "memory MiB", "errors"),
        )
        lines = [
            *("# Benchmark", "", f"    {machine.command}", "", about, ""),
            "| what | at concurrency | side | rival | ratio, or figure | goal |",
            "| --- | --- | --- | --- | --- | --- |",
            *(_row(row) for row in self.rows),
            "",
            f"| {' | '.join(titles)} |",
            "| --- " * len(titles) + "|",
            *(_side(side) for side in self.sides),
            "",
            *(f"- {what}: {figure}" for what, figure in self.notes.items()),
            *(f"- not measured: {name}, because {reason}" for name, reason in self.skipped.items()),
            "",
        ]
        return "\n".join(lines)


def add_notes(folder: Path, name: str, notes: Mapping[str, str]) -> None:
    """Adds figures of another command to a result that was written before.

    Raises:
        LoadError: If there is no such result.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        raise LoadError(f"{path} is missing: run python -m loadtests.benchmark --all --name {name} first")
    benchmark = Benchmark.model_validate_json(path.read_text(encoding="utf-8"))
    benchmark.notes.update(notes)
    benchmark.write(folder, name)


def compare(chosen: Mapping[str, Row], measured: Mapping[tuple[str, int], Sequence[Measured]]) -> list[RowResult]:
    """Each row at each concurrency at which both of its sides were measured."""
    result = []
    for name, row in chosen.items():
        for concurrency, goal in row.goals.items():
            ratios = _ratios(row, measured.get((row.side, concurrency), ()), measured.get((row.rival, concurrency), ()))
            if not ratios:
                continue
            ratio = Median.of(ratios)
            met = None if goal is None else (ratio.median >= goal if row.at_least else ratio.median <= goal)
            result.append(
                RowResult(
                    row=name,
                    what=row.what,
                    side=row.side,
                    rival=row.rival,
                    measure=row.measure,
                    concurrency=concurrency,
                    ratio=ratio,
                    goal=goal,
                    at_least=row.at_least,
                    met=met,
                )
            )
    return result


def _ratios(row: Row, side: Sequence[Measured], rival: Sequence[Measured]) -> list[float]:
    """The ratio of each repetition in which both answered something; without a rival the side's own figures."""
    if not row.rival:
        return [figure for one in side if (figure := _figure(row, one))]
    pairs = zip(side, rival, strict=False)
    figures = [(_figure(row, one), _figure(row, other)) for one, other in pairs]
    return [one / other for one, other in figures if one and other]


def _figure(row: Row, measured: Measured) -> float:
    """What a row compares; 0 where nothing was answered."""
    if row.measure == "calls_per_s":
        return measured.calls_per_s
    if row.measure == "gateway_processor":
        return measured.processor_s.get("gateway", 0.0) or measured.processor_s.get("proxy", 0.0)
    return float(getattr(measured.latency_s, row.measure)) if measured.latency_s else 0.0


def _row(row: RowResult) -> str:
    measure = {"calls_per_s": "calls/s", "gateway_processor": "processor time"}.get(row.measure, row.measure)
    sign = "≥" if row.at_least else "≤"
    goal = "" if row.goal is None else f"{sign} {row.goal:g}" + ("" if row.met else ", **missed**")
    figure = f"× {row.ratio:.2f}" if row.rival else f"{row.ratio:.2f}"
    return f"| {row.what}, {measure} | {row.concurrency} | {row.side} | {row.rival or '–'} | {figure} | {goal} |"


def _side(side: SideResult) -> str:
    each = side.repetitions
    well = [repetition for repetition in each if repetition.latency_s]

    def latency(share: str) -> str:
        return f"{Median.of([1000 * getattr(m.latency_s, share) for m in well]).median:.1f}" if well else "–"

    return (
        f"| {side.side} | {side.concurrency} | {Median.of([m.calls_per_s for m in each]):.1f} "
        f"| {Median.of([m.images_per_s for m in each]).median:.1f} "
        f"| {latency('p50')} | {latency('p95')} | {latency('p99')} | {_spent(each)} | {_per_core(each)} "
        f"| {Median.of([m.tokens_per_call for m in each]).median:.0f} "
        f"| {Median.of([m.memory_mib for m in each]).median:.0f} | {sum(m.errors for m in each) or 'none'} |"
    )


def _spent(repetitions: Sequence[Measured]) -> str:
    """Milliseconds of processor time a call by process, with each server's share of what all servers take."""
    names = list(dict.fromkeys(name for repetition in repetitions for name in repetition.processor_s))
    spent = {name: Median.of([m.processor_s.get(name, 0.0) for m in repetitions]).median for name in names}
    servers = sum(seconds for name, seconds in spent.items() if name != CLIENT)
    return ", ".join(
        f"{name} {1000 * seconds:.2f}" + (f" ({seconds / servers:.0%})" if name != CLIENT and servers else "")
        for name, seconds in spent.items()
    )


def _per_core(repetitions: Sequence[Measured]) -> str:
    """Calls that one core of the servers answers in a second: one over the processor time that a call takes of them."""
    seconds = [sum(spent for name, spent in m.processor_s.items() if name != CLIENT) for m in repetitions]
    used = [one for one in seconds if one]
    return f"{1 / Median.of(used).median:.1f}" if used else "–"
