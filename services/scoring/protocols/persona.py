"""Role-play by I_avg: how far a feed moved towards what personas find interesting (arXiv 2411.11479)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from services.scoring.statistics.intervals import DEFAULT_LEVEL, Interval, check_level
from services.serving.errors import InvalidArgument
from services.serving.limits import MAX_SEED, check_between

DEFAULT_RESAMPLES = 10_000
"""Bootstrap resamples where a caller names none."""
MIN_RESAMPLES = 100
"""Fewest bootstrap resamples."""
MAX_RESAMPLES = 20_000
"""Most bootstrap resamples."""

_BATCH_NUMBERS = 1_000_000
_LEAST_SHARE = 1e-9
"""A share below is 0 up to rounding (0.1 + 0.2 - 0.3 is 6e-17), for no feed has a thousand million videos."""
_LEAST_SPREAD = 1e-12
"""Standard error of a resample, in parts of the largest value, below which it is nothing but rounding."""


class PersonaOutcome(NamedTuple):
    """What one persona's feed showed."""

    persona: str
    """The persona."""
    platform: str
    """The platform."""
    before: float
    """Share of videos that the persona found interesting before, 0 to 1."""
    after: float
    """The same share after, 0 to 1."""


class PersonaChange(NamedTuple):
    """How one persona's feed moved."""

    persona: str
    """The persona."""
    platform: str
    """The platform."""
    percent: float | None
    """I = 100 (after - before) / before; None if `before` is 0."""
    points: float
    """100 (after - before), percentage points."""


@dataclass(frozen=True)
class PlatformChange:
    """How the feeds of one platform moved on average."""

    platform: str
    """The platform."""
    i_avg: float | None
    """Mean of I over the personas that have one, percent; None if none has."""
    interval: Interval | None
    """Its interval over personas; None for fewer than two."""
    points: float
    """Mean change over all personas, percentage points."""
    points_interval: Interval | None
    """Its interval; None for fewer than two personas."""
    personas: int
    """Personas of this platform."""
    undefined: int
    """Personas without an I, because their share before was 0."""


@dataclass(frozen=True)
class PersonaScore:
    """How feeds moved."""

    changes: tuple[PersonaChange, ...]
    """One for each outcome, in the order given."""
    platforms: tuple[PlatformChange, ...]
    """In the order in which outcomes name them first."""


def score_persona(
    outcomes: Sequence[PersonaOutcome],
    level: float = DEFAULT_LEVEL,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> PersonaScore:
    """Computes I and I_avg.

    I = 100 (after - before) / before for each persona and platform, and I_avg is its mean over personas by platform.
    The source names both without a formula; this one is axia's. A share of 0 before gives no I: it is counted and left
    out of I_avg, and the change in percentage points stands beside it for all personas.

    Args:
        outcomes: At least one; each persona once a platform.
        level: Confidence level, 0.5 to 0.999.
        resamples: Of the bootstrap over personas, 100 to 20,000.
        seed: Of the bootstrap.

    Raises:
        InvalidArgument: If there is no outcome, a share is not from 0 to 1, or an outcome comes twice.
    """
    check_level("confidence_level", level)
    check_between("resamples", resamples, MIN_RESAMPLES, MAX_RESAMPLES)
    check_between("seed", seed, 0, MAX_SEED)
    _check(outcomes)
    changes = tuple(_change(outcome) for outcome in outcomes)
    by_platform: dict[str, list[PersonaChange]] = {}
    for change in changes:
        by_platform.setdefault(change.platform, []).append(change)
    return PersonaScore(
        changes, tuple(_platform(name, changes, level, resamples, seed) for name, changes in by_platform.items())
    )


def mean_interval(values: Sequence[float], level: float, resamples: int, seed: int) -> Interval | None:
    """Interval of a mean: on each side the wider of Student's t and of the bootstrap t.

    With mean m and standard error s, the bootstrap t is m - s (t*_{1-α/2}, t*_{α/2}), where t* are quantiles of
    (m* - m) / s* over resamples with replacement; B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap
    (1993), chapter 12. Percentiles of m* alone are too narrow for a few personas. Student's t misses where the values
    are skewed, as changes in percent of small shares are, and the bootstrap t has nothing to go by where a resample has
    no spread. The wider of both is axia's own; docs/intervals.md has its simulated coverage. The values are sorted
    first, so that their order does not count.

    Returns:
        The interval, or None for fewer than two values.
    """
    if len(values) < 2:  # noqa: PLR2004 - one value says nothing of its spread
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    mean, error = float(ordered.mean()), float(ordered.std(ddof=1)) / math.sqrt(len(ordered))
    tail = (1 - level) / 2
    student = float(stats.t.ppf(1 - tail, len(ordered) - 1))
    low, high = -student, student
    studentized = _studentized(ordered, mean, resamples, seed) if error else None
    if studentized is not None and len(studentized):
        drawn_low, drawn_high = np.quantile(studentized, (tail, 1 - tail))
        low, high = min(low, float(drawn_low)), max(high, float(drawn_high))
    return Interval(mean - high * error, mean - low * error, level, "student t and bootstrap t over personas")


def _studentized(values: NDArray[np.float64], mean: float, resamples: int, seed: int) -> NDArray[np.float64]:
    """(m* - m) / s* of the resamples that have a spread."""
    generator = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, size := max(1, _BATCH_NUMBERS // len(values))):
        drawn = values[generator.integers(0, len(values), (min(size, resamples - start), len(values)))]
        errors = drawn.std(axis=1, ddof=1) / math.sqrt(len(values))
        spread = errors > _LEAST_SPREAD * np.abs(values).max()
        found.append((drawn.mean(axis=1)[spread] - mean) / errors[spread])
    return np.concatenate(found)


def _check(outcomes: Sequence[PersonaOutcome]) -> None:
    if not outcomes:
        raise InvalidArgument("outcomes", "must not be empty", reason="EMPTY")
    seen: set[tuple[str, str]] = set()
    for index, outcome in enumerate(outcomes):
        for name in ("persona", "platform"):
            if not getattr(outcome, name).strip():
                raise InvalidArgument(f"outcomes[{index}].{name}", "must not be empty", reason="EMPTY")
        check_between(f"outcomes[{index}].before", outcome.before, 0, 1)
        check_between(f"outcomes[{index}].after", outcome.after, 0, 1)
        key = (outcome.persona, outcome.platform)
        if key in seen:
            raise InvalidArgument(
                f"outcomes[{index}]", "this persona and platform were already sent; send them once", reason="DUPLICATE"
            )
        seen.add(key)


def _change(outcome: PersonaOutcome) -> PersonaChange:
    points = 100 * (outcome.after - outcome.before)
    percent = points / outcome.before if outcome.before >= _LEAST_SHARE else None
    return PersonaChange(outcome.persona, outcome.platform, percent, points)


def _within(interval: Interval | None, highest: float) -> Interval | None:
    """The part of an interval that a mean change can have: no feed loses more than all of its videos."""
    return interval and interval._replace(low=max(-100.0, interval.low), high=min(highest, interval.high))


def _platform(name: str, changes: list[PersonaChange], level: float, resamples: int, seed: int) -> PlatformChange:
    percents = [change.percent for change in changes if change.percent is not None]
    points = [change.points for change in changes]
    return PlatformChange(
        platform=name,
        i_avg=math.fsum(percents) / len(percents) if percents else None,
        interval=_within(mean_interval(percents, level, resamples, seed), math.inf),
        points=math.fsum(points) / len(points),
        points_interval=_within(mean_interval(points, level, resamples, seed), 100),
        personas=len(changes),
        undefined=len(changes) - len(percents),
    )
