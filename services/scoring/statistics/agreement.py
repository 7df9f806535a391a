"""How far annotators agree: Fleiss' and Cohen's κ, Krippendorff's α, and the ceiling that a model can reach.

Categories may be free texts, as many as there are ratings. So the counts are kept sparse here, where statsmodels'
functions for the two κ take tables with a column a category; tests hold the results against them.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.statistics.ceiling import AnnotatorScore, Judged, human_ceiling
from services.scoring.statistics.coefficient_intervals import cohen_interval, fleiss_interval, krippendorff_interval
from services.scoring.statistics.intervals import DEFAULT_LEVEL, Interval, check_level
from services.serving.errors import InvalidArgument

MAX_ANNOTATORS = 200
"""Annotators of one request at most; pairs of them grow with the square."""


class Rating(NamedTuple):
    """What one annotator said of one unit."""

    unit: str
    """What is rated, such as a picture."""
    annotator: str
    """Who rates."""
    category: str
    """The nominal category; equal texts are the same one."""


@dataclass(frozen=True)
class AnnotatorPair:
    """Two annotators."""

    first: str
    """Name of the first."""
    second: str
    """Name of the second."""
    cohen_kappa: float | None
    """Cohen's κ, -1 to 1; None where both gave one and the same category throughout."""
    observed: float
    """Share of equal ratings, 0 to 1."""
    units: int
    """Units that both rated."""
    cohen_kappa_interval: Interval | None
    """Interval of Cohen's κ; None with it, and for a single unit."""


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree."""

    fleiss_kappa: float | None
    """Fleiss' κ; None where it is not defined."""
    fleiss_kappa_interval: Interval | None
    """Its interval; None with it, and for a single unit."""
    krippendorff_alpha: float | None
    """Krippendorff's α for nominal data; None where it is not defined."""
    krippendorff_alpha_interval: Interval | None
    """Its interval; None with it, and for a single unit."""
    pairs: tuple[AnnotatorPair, ...]
    """Pairs who rated a unit in common, by name."""
    annotators: tuple[AnnotatorScore, ...]
    """Each annotator against the others, by name."""
    ceiling: float | None
    """Mean over ratings of their agreement with the majority of the others, 0 to 1."""
    ceiling_interval: Interval | None
    """Its interval, clustered by unit."""
    unjudged: int
    """Ratings that are in no score of an annotator, because the judge can't read them."""
    units: int
    """Units."""
    pairable_units: int
    """Units with two ratings or more."""


def measure_agreement(
    ratings: Iterable[Rating], level: float = DEFAULT_LEVEL, judged: Judged | None = None
) -> Agreement:
    """Computes every measure of agreement that the ratings allow.

    Args:
        ratings: At least one.
        level: Confidence level, 0.5 to 0.999.
        judged: Who says whether an annotator names what the others do, for the ceiling; None: equal texts do.

    Raises:
        InvalidArgument: If there is no rating, a field of one is empty, or an annotator rates a unit twice.
    """
    check_level("confidence_level", level)
    by_unit = _by_unit(ratings)
    units = [list(given.values()) for given in by_unit.values()]
    fleiss, krippendorff = fleiss_kappa(units), krippendorff_alpha(units)
    return Agreement(
        fleiss_kappa=fleiss,
        fleiss_kappa_interval=None if fleiss is None else fleiss_interval(units, level),
        krippendorff_alpha=krippendorff,
        krippendorff_alpha_interval=None if krippendorff is None else krippendorff_interval(units, level),
        pairs=_pairs(by_unit, level),
        **human_ceiling(by_unit, level, judged)._asdict(),
        units=len(units),
        pairable_units=sum(len(unit) > 1 for unit in units),
    )


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's κ of two raters over the same units: (p_o - p_e) / (1 - p_e).

    p_o is the share of equal ratings, p_e the share that chance would give with the raters' own category shares.
    J. Cohen, Educational and Psychological Measurement 20 (1960).

    Args:
        first: Categories by the first rater, one a unit.
        second: Categories by the second, as many.

    Returns:
        κ, -1 to 1, or None where p_e is 1 or there is no unit.
    """
    units = len(first)
    equal = sum(one == other for one, other in zip(first, second, strict=True))
    others = Counter(second)
    # n² p_e in whole numbers, so that "chance alone is perfect" is seen exactly.
    by_chance = sum(count * others[category] for category, count in Counter(first).items())
    return (units * equal - by_chance) / (units**2 - by_chance) if by_chance < units**2 else None


def fleiss_kappa(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Fleiss' κ: (P̄ - P̄_e) / (1 - P̄_e) over units with the same number of ratings.

    With n_uc of m ratings of unit u in category c: P̄ is the mean over units of (Σ_c n_uc² - m) / (m (m - 1)), and
    P̄_e = Σ_c p_c² with p_c the share of c among all ratings. J. L. Fleiss, Psychological Bulletin 76 (1971).

    Args:
        units: The ratings of each unit.

    Returns:
        κ, at most 1, or None where units have different numbers of ratings or fewer than two, or all ratings are of
        one category.
    """
    sizes = {len(unit) for unit in units}
    if len(sizes) != 1 or (size := sizes.pop()) < 2:  # noqa: PLR2004 - agreement takes two
        return None
    counts = [Counter(unit) for unit in units]
    totals = Counter(category for unit in units for category in unit)
    ratings = totals.total()
    by_chance = sum(count**2 for count in totals.values())
    if by_chance == ratings**2:
        return None
    agreeing = sum(count**2 for unit in counts for count in unit.values()) - ratings
    expected = by_chance / ratings**2
    return (agreeing / (ratings * (size - 1)) - expected) / (1 - expected)


def krippendorff_alpha(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Krippendorff's α for nominal data: 1 - D_o / D_e.

    With n_uc ratings of unit u in category c, m_u = Σ_c n_uc, n_c the sum of n_uc over units with m_u ≥ 2 and n their
    total: D_o = Σ_u (m_u² - Σ_c n_uc²) / (m_u - 1) / n and D_e = (n² - Σ_c n_c²) / (n (n - 1)). Missing ratings are
    simply absent. K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).

    Args:
        units: The ratings of each unit, any number.

    Returns:
        α, at most 1, or None where no unit has two ratings or all ratings of such units are of one category.
    """
    totals: Counter[Hashable] = Counter()
    disagreement = 0.0
    for unit in units:
        if len(unit) > 1:
            counts = Counter(unit)
            totals.update(counts)
            disagreement += (len(unit) ** 2 - sum(count**2 for count in counts.values())) / (len(unit) - 1)
    pairable = totals.total()
    expected = pairable**2 - sum(count**2 for count in totals.values())
    return 1 - (pairable - 1) * disagreement / expected if expected else None


def _by_unit(ratings: Iterable[Rating]) -> dict[str, dict[str, str]]:
    by_unit: defaultdict[str, dict[str, str]] = defaultdict(dict)
    annotators: set[str] = set()
    for index, (unit, annotator, category) in enumerate(ratings):
        if not (unit and annotator and category):
            empty = "unit" if not unit else "annotator" if not annotator else "category"
            raise InvalidArgument(f"ratings[{index}].{empty}", "must not be empty", reason="EMPTY")
        if annotator in by_unit[unit]:
            raise InvalidArgument(
                f"ratings[{index}]", "this annotator has already rated this unit; send one rating", reason="DUPLICATE"
            )
        by_unit[unit][annotator] = category
        annotators.add(annotator)
    if not by_unit:
        raise InvalidArgument("ratings", "must not be empty", reason="EMPTY")
    if len(annotators) > MAX_ANNOTATORS:
        raise InvalidArgument(
            "ratings", f"name {len(annotators):,} annotators, at most {MAX_ANNOTATORS} are allowed", reason="TOO_MANY"
        )
    return by_unit


def _pairs(by_unit: dict[str, dict[str, str]], level: float) -> tuple[AnnotatorPair, ...]:
    codes: dict[str, int] = {}
    given: defaultdict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for unit, ratings in enumerate(by_unit.values()):
        for name, category in ratings.items():
            units, categories = given[name]
            units.append(unit)
            categories.append(codes.setdefault(category, len(codes)))
    columns = {name: (np.array(units), np.array(categories)) for name, (units, categories) in sorted(given.items())}
    pairs = (_pair(one, columns[one], other, columns[other], level) for one, other in combinations(columns, 2))
    return tuple(pair for pair in pairs if pair)


_Column = tuple[NDArray[np.int64], NDArray[np.int64]]


def _pair(one: str, ones: _Column, other: str, others: _Column, level: float) -> AnnotatorPair | None:
    common, first, second = np.intersect1d(ones[0], others[0], assume_unique=True, return_indices=True)
    if not len(common):
        return None
    ratings, other_ratings = ones[1][first].tolist(), others[1][second].tolist()
    observed = float(np.mean(ones[1][first] == others[1][second]))
    kappa = cohen_kappa(ratings, other_ratings)
    interval = None if kappa is None else cohen_interval(ratings, other_ratings, level)
    return AnnotatorPair(one, other, kappa, observed, len(common), interval)
