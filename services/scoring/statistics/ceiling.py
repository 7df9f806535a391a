"""The human ceiling: each annotator against the majority of the others, scored as a model is scored against them all.

A ceiling compares with a model's score only if the same judge gave both. By equal texts "the boiling pot" and "a pot
that boils over" differ, and a judge of meaning takes them for the same: models would be measured with a softer measure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.scoring.statistics.intervals import Interval, clustered_wilson

Pair = tuple[str, str]
"""What an annotator named, and what the others did."""
Judged = Callable[[Sequence[Pair]], Sequence[bool | None]]
"""Says of each pair whether the first names the second; None where it can't tell."""


@dataclass(frozen=True)
class AnnotatorScore:
    """One annotator, left out and then scored as a model would be."""

    annotator: str
    """Name."""
    score: float | None
    """Mean agreement with the majority of the others, 0 to 1; None if nothing of this annotator's can be scored."""
    units: int
    """Units that somebody else rated too, without those that can't be judged."""


class Ceiling(NamedTuple):
    """How well annotators do against each other."""

    annotators: tuple[AnnotatorScore, ...]
    """By name."""
    ceiling: float | None
    """Mean over ratings of their agreement with the majority of the others, 0 to 1; None without such a rating."""
    ceiling_interval: Interval | None
    """Its interval, clustered by unit."""
    unjudged: int
    """Ratings in no score, because the judge can't read them."""


def human_ceiling(by_unit: Mapping[str, Mapping[str, str]], level: float, judged: Judged | None = None) -> Ceiling:
    """Scores each annotator against the majority of the others.

    Where m categories tie for the majority, the score is the mean over them: what drawing one of them at random would
    give on average.

    Args:
        by_unit: The category of each annotator, for each unit.
        level: Confidence level.
        judged: Who says whether a category names another; None: equal texts do.
    """
    rated = [list(given.values()) for given in by_unit.values() if len(given) > 1]
    rivals = [
        {category: _majority_of_others(counts, category) for category in counts} for counts in map(Counter, rated)
    ]
    pairs = dict.fromkeys(_pairs(rivals))
    if judged is None:
        aligned: dict[Pair, bool | None] = {pair: pair[0] == pair[1] for pair in pairs}
    else:
        aligned = dict(zip(pairs, judged(list(pairs)) if pairs else (), strict=True))
    by_category = [
        {category: _credit([aligned[category, other] for other in others]) for category, others in rival.items()}
        for rival in rivals
    ]
    scores: dict[str, list[float]] = {name: [] for given in by_unit.values() for name in given}
    per_unit: list[tuple[float, int]] = []
    unjudged = 0
    for given, credit in zip((ratings for ratings in by_unit.values() if len(ratings) > 1), by_category, strict=True):
        known = {name: share for name, category in given.items() if (share := credit[category]) is not None}
        unjudged += len(given) - len(known)
        for name, share in known.items():
            scores[name].append(share)
        if known:
            per_unit.append((sum(known.values()), len(known)))
    annotators = tuple(
        AnnotatorScore(name, sum(shares) / len(shares) if shares else None, len(shares))
        for name, shares in sorted(scores.items())
    )
    if not per_unit:
        return Ceiling(annotators, None, None, unjudged)
    sums, sizes = np.array([total for total, _ in per_unit]), np.array([size for _, size in per_unit])
    interval = clustered_wilson(sums, sizes, level, unit="unit")
    return Ceiling(annotators, float(sums.sum() / sizes.sum()), interval, unjudged)


def _majority_of_others(counts: Counter[str], category: str) -> tuple[str, ...]:
    """The most frequent categories once one rating of `category` is taken away."""
    others = {name: count - (name == category) for name, count in counts.items()}
    highest = max(others.values())
    return tuple(name for name, count in others.items() if count == highest)


def _pairs(rivals: Iterable[Mapping[str, tuple[str, ...]]]) -> Iterable[Pair]:
    return ((category, other) for rival in rivals for category, others in rival.items() for other in others)


def _credit(aligned: Sequence[bool | None]) -> float | None:
    known = [judgement for judgement in aligned if judgement is not None]
    return sum(known) / len(known) if known else None
