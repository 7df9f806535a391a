"""Confidence intervals of chance-corrected agreement: Cohen's and Fleiss' κ, and with them Krippendorff's α.

All three are (P - P_e) / (1 - P_e), with P the share of agreement and P_e = Σ_c p_c q_c what chance gives for the
categories' shares p and q (which are the same but for Cohen's κ, where they are those of the two raters). Their
variance is that of the linearized coefficient between units, as K. L. Gwet has it (Handbook of Inter-Rater Reliability,
4th edition, 2014; his irrCAC gives the same, and tests hold the two together), with Student's t for G - 1 degrees of
freedom.

With a dozen pictures that is far too narrow: where a category is rare, units that would show it are often missing, and
where all units agree it has no width at all. So, as Wilson's interval does with successes and failures, two parts of a
unit are added, one in which all agree and one in which nobody does, both with all categories that were seen in equal
shares. Their weight of 1/√m each, with m ratings a unit on average and 2 for Cohen's κ, is axia's own and was chosen by
simulation; docs/intervals.md has the coverage with it.
"""

import math
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from services.scoring.statistics.intervals import Interval, wilson


class Ratings(NamedTuple):
    """What is known of G units, for one of the coefficients."""

    units: NDArray[np.int64]
    """Unit of each rating (for Cohen's κ, of each pair of ratings), 0 to G - 1, shape (N,)."""
    first: NDArray[np.int64]
    """Code of its category, from 0 without gaps, shape (N,)."""
    second: NDArray[np.int64]
    """The same by the second rater; for Fleiss' κ and Krippendorff's α the same as `first`."""
    agreeing: NDArray[np.float64]
    """Agreement of each unit times its number of ratings, shape (G,)."""


class Linearized(NamedTuple):
    """A coefficient with its standard error."""

    coefficient: float
    """The coefficient; where parts of a unit are added, with these."""
    standard_error: float
    """From the variance between units."""
    observed: float
    """P."""
    chance: float
    """P_e."""


def cohen_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    level: float,
    units: Sequence[Hashable] | None = None,
    unit: str = "unit",
) -> Interval | None:
    """Interval of Cohen's κ.

    Args:
        first: Categories by the first rater.
        second: Categories by the second, as many.
        level: Above 0 and below 1.
        units: What each pair is about, where several pairs are about the same; None if each is a unit of its own.
        unit: What a unit is, for the interval's method.

    Returns:
        The interval, or None for fewer than two units or where κ is not defined.
    """
    one, other = _codes([*first, *second]).reshape(2, -1)
    places = np.arange(len(one)) if units is None else _codes(units)
    agreeing = np.bincount(places, one == other).astype(np.float64)
    return interval(Ratings(places, one, other, agreeing), level, 2, unit)


def fleiss_interval(units: Sequence[Sequence[Hashable]], level: float) -> Interval | None:
    """Interval of Fleiss' κ of units with equally many ratings, two or more; None as in `cohen_interval`."""
    return interval(of_units(units), level, sum(map(len, units)) / len(units))


def krippendorff_interval(units: Sequence[Sequence[Hashable]], level: float) -> Interval | None:
    """Interval of Krippendorff's α for nominal data; None as in `cohen_interval`.

    With n ratings in units that have two or more, 1 - α = (1 - 1/n) (1 - κ'), where κ' is Fleiss' κ with a unit's
    agreement counted as often as it has ratings.
    """
    paired = [unit for unit in units if len(unit) > 1]
    ratings = sum(map(len, paired))
    if not (found := interval(of_units(paired), level, ratings / len(paired)) if paired else None):
        return None
    low, high = (1 - (1 - 1 / ratings) * (1 - end) for end in (found.low, found.high))
    return found._replace(low=low, high=high)


def of_units(units: Sequence[Sequence[Hashable]]) -> Ratings:
    """The ratings of units that have two or more each, for Fleiss' κ and Krippendorff's α."""
    codes = _codes([category for unit in units for category in unit])
    sizes = np.array([len(unit) for unit in units])
    places = np.repeat(np.arange(len(units)), sizes)
    cells, counts = np.unique(np.stack([places, codes]), axis=1, return_counts=True)
    agreeing = np.bincount(cells[0], counts * (counts - 1), minlength=len(units)) / (sizes - 1)
    return Ratings(places, codes, codes, agreeing)


def interval(ratings: Ratings, level: float, per_unit: float, unit: str = "unit") -> Interval | None:
    """Interval of the coefficient; None for one unit or where it is not defined.

    Args:
        ratings: Of at least one unit.
        level: Above 0 and below 1.
        per_unit: m, ratings a unit, on which the weight of the added parts depends.
        unit: What a unit is, for the interval's method.
    """
    plain = linearized(ratings, 0.0)
    units = len(ratings.agreeing)
    if plain is None or units < 2:  # noqa: PLR2004 - one unit shows no variation
        return None
    wide = linearized(ratings, 1 / math.sqrt(per_unit))
    assert wide is not None  # noqa: S101 - the parts that are added hold every category that was seen
    half = _student(units - 1, level) * wide.standard_error
    low, high = min(plain.coefficient, wide.coefficient - half), max(plain.coefficient, wide.coefficient + half)
    if plain.observed > 1 - 1e-12:  # nobody ever differs: as sure as Wilson's interval is that units agree
        low = min(low, (wilson(units, units, level).low - plain.chance) / (1 - plain.chance))
    return Interval(max(-1.0, low), min(1.0, high), level, f"linearized over {unit}s")


def linearized(ratings: Ratings, added: float) -> Linearized | None:
    """The coefficient and its standard error.

    Args:
        ratings: Of at least one unit.
        added: Weight of each of the two parts of a unit that are added; 0 for the plain coefficient.

    Returns:
        None where the coefficient is not defined; the standard error is 0 for a single unit.
    """
    units, first, second, agreeing = ratings
    sizes = np.bincount(units).astype(np.float64)
    categories = int(max(first.max(), second.max())) + 1
    size, weight = float(sizes.mean()), len(sizes) + 2 * added
    total = size * weight
    one, other = (
        (np.bincount(ratings, minlength=categories) + 2 * added * size / categories) / total
        for ratings in (first, second)
    )
    observed = (float(agreeing.sum()) + added * size) / total
    chance = float(one @ other)
    if (left := 1 - chance) < 1e-12:  # noqa: PLR2004 - rounding
        return None
    coefficient = (observed - chance) / left
    near = np.bincount(units, other[first] + one[second])
    influences = (agreeing - observed * sizes - (1 - coefficient) * (near - 2 * chance * sizes)) / (left * size)
    added_chance = (1 - coefficient) * (2 / categories - 2 * chance)
    added_influences = [(agreement - observed - added_chance) / left for agreement in (1.0, 0.0)]
    squares = float((influences**2).sum()) + added * sum(influence**2 for influence in added_influences)
    error = (squares / (weight * (weight - 1))) ** 0.5 if len(sizes) > 1 else 0.0
    return Linearized(coefficient, error, observed, chance)


@lru_cache(maxsize=4096)  # pairs of annotators mostly have equally many units
def _student(freedom: int, level: float) -> float:
    return float(stats.t.ppf(1 - (1 - level) / 2, freedom))


def _codes(values: Sequence[Hashable]) -> NDArray[np.int64]:
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(value, len(codes)) for value in values], dtype=np.int64)
