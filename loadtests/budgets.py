"""Limits that fail a run."""

from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from loadtests.figures import Figures, Percentiles, Summary

ALL = "all"
"""Stands for the calls of all scenarios together."""

Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Budget(BaseModel):
    """What the calls of a scenario, or all, may take. What is left out isn't checked.

    On a machine that others share set counts and errors alone: times there say more about the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_errors: Annotated[int, Field(ge=0)] | None = None
    """Calls that fail, at most; codes in `allowed_errors` don't count."""
    max_error_share: Share | None = None
    """Share of the calls that fail, at most; codes in `allowed_errors` don't count."""
    allowed_errors: frozenset[str] = frozenset()
    """Codes that are meant, such as RESOURCE_EXHAUSTED in a spike."""
    min_answered: Annotated[int, Field(ge=1)] | None = None
    """Calls that end well, at least."""
    min_answered_share: Share | None = None
    """Share of the calls that end well, at least; superseded frames count as well ended."""
    max_p50_s: Seconds | None = None
    """Median latency, counted from the intended time."""
    max_p95_s: Seconds | None = None
    """Latency of 95% of the calls."""
    max_p99_s: Seconds | None = None
    """Latency of 99% of the calls."""
    max_first_p95_s: Seconds | None = None
    """Time to the first completion of 95% of the streams."""
    min_answered_per_s: Annotated[float, Field(gt=0)] | None = None
    """Calls a second that end well, at least."""
    min_images_per_s: Annotated[float, Field(gt=0)] | None = None
    """Images a second, at least."""
    max_schedule_delay_p99_s: Seconds | None = None
    """How late 99% of the calls are sent: beyond it the figures say more about this client than about the server."""
    max_drift: Annotated[float, Field(gt=0)] | None = None
    """Median latency of the last fifth of the calls beside that of the first: 1.2 allows a fifth more."""


class Verdict(NamedTuple):
    """One limit and what was measured."""

    scenario: str
    budget: str
    limit: float
    measured: float | None
    """None where nothing could be measured, which fails."""
    kept: bool

    def __str__(self) -> str:
        measured = "nothing was measured" if self.measured is None else f"{self.measured:.4g}"
        return f"{self.scenario}: {self.budget} {self.limit:g}, measured {measured}"


def _counted(figures: Figures, budget: Budget) -> int:
    return sum(count for code, count in figures.errors.items() if code not in budget.allowed_errors)


def _at(percentiles: Percentiles | None, share: str) -> float | None:
    return None if percentiles is None else float(getattr(percentiles, share))


_MEASURES: Mapping[str, Callable[[Figures, Budget], float | None]] = {
    "max_errors": _counted,
    "max_error_share": lambda figures, budget: _counted(figures, budget) / figures.requested,
    "min_answered": lambda figures, _: figures.answered,
    "min_answered_share": lambda figures, _: (figures.answered + figures.superseded) / figures.requested,
    "max_p50_s": lambda figures, _: _at(figures.latency_s, "p50"),
    "max_p95_s": lambda figures, _: _at(figures.latency_s, "p95"),
    "max_p99_s": lambda figures, _: _at(figures.latency_s, "p99"),
    "max_first_p95_s": lambda figures, _: _at(figures.first_completion_s, "p95"),
    "min_answered_per_s": lambda figures, _: figures.answered_per_s,
    "min_images_per_s": lambda figures, _: figures.images_per_s,
    "max_schedule_delay_p99_s": lambda figures, _: _at(figures.schedule_delay_s, "p99"),
    "max_drift": lambda figures, _: figures.drift,
}


def check(budgets: Mapping[str, Budget], summary: Summary) -> list[Verdict]:
    """Each limit beside what was measured. A scenario that sent nothing keeps no limit."""
    verdicts = []
    for scenario, budget in budgets.items():
        figures = summary.total if scenario == ALL else summary.scenarios.get(scenario)
        for name, measure in _MEASURES.items():
            limit: float | None = getattr(budget, name)
            if limit is None:
                continue
            measured = None if figures is None else measure(figures, budget)
            kept = measured is not None and (measured <= limit if name.startswith("max") else measured >= limit)
            verdicts.append(Verdict(scenario, name, limit, measured, kept))
    return verdicts
