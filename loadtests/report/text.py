"""A result for a terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.budgets import ALL
from loadtests.figures import Figures, Percentiles
from loadtests.result import Result

HELD_BACK_SHARE = 0.95
"""Below this share of the requested rate the client could not send what it was to send."""


def print_result(result: Result, console: Console) -> None:
    """Prints the figures, the errors and the budgets."""
    table = Table(
        *("scenario", "requested/s", "sent/s", "answered/s", "images/s", "p50", "p95", "p99", "first p95", "late p99"),
        *("errors",),
        box=box.SIMPLE_HEAD,
    )
    for name, figures in rows(result):
        table.add_row(
            name,
            *(f"{rate:.1f}" for rate in (figures.requested_per_s, figures.achieved_per_s, figures.answered_per_s)),
            f"{figures.images_per_s:.1f}",
            *(milliseconds(figures.latency_s, share) for share in ("p50", "p95", "p99")),
            milliseconds(figures.first_completion_s, "p95"),
            milliseconds(figures.schedule_delay_s, "p99"),
            str(figures.failed or "none"),
        )
    console.print(table)
    total = result.summary.total
    for code, count in total.errors.items():
        console.print(f"{count} × {code}: {result.summary.messages.get(code, '')}", soft_wrap=True, markup=False)
    if warning := could_not_send(result):
        console.print(warning, soft_wrap=True)
    for verdict in result.verdicts:
        console.print(f"{'met     ' if verdict.kept else 'EXCEEDED'} {verdict}", soft_wrap=True, markup=False)


def rows(result: Result) -> list[tuple[str, Figures]]:
    """Figures by scenario, and of all if there are several."""
    scenarios = list(result.summary.scenarios.items())
    return [*scenarios, *([(ALL, result.summary.total)] if len(scenarios) > 1 else [])]


def milliseconds(percentiles: Percentiles | None, share: str) -> str:
    """A percentile with its unit; a dash where nothing was measured."""
    if percentiles is None:
        return "–"
    seconds: float = getattr(percentiles, share)
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def could_not_send(result: Result) -> str:
    """A warning where the client sent less than it was to send; empty otherwise."""
    total = result.summary.total
    if total.achieved_per_s >= HELD_BACK_SHARE * total.requested_per_s and not result.summary.held_back:
        return ""
    held = f"; {result.summary.held_back} calls waited for others to end" if result.summary.held_back else ""
    return (
        f"Sent {total.achieved_per_s:.1f}/s of {total.requested_per_s:.1f}/s requested{held}: latencies include "
        "this wait. Lower --rate, raise --in-flight, or send from several machines."
    )
