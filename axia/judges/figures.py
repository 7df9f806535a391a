"""Agreement of a judge with labels, in pure Python, because a client has no numpy.

Labels of one image are not independent: where rows name their image, intervals are clustered by it.
"""

import math
import random
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from axia.results.scoring import Interval

RESAMPLES = 2000
"""Of a bootstrap."""
LEVEL = 0.95
"""Confidence level of intervals."""
_ADDED = 1 / math.sqrt(2)

_CORNISH_FISHER = (
    (4, (1, 1)),
    (96, (3, 16, 5)),
    (384, (-15, 17, 19, 3)),
    (92160, (-945, -1920, 1482, 776, 79)),
)
"""Divisors and coefficients of z, z³, z⁵ … of the expansion of Student's t (Abramowitz and Stegun 26.7.5)."""


class Counts(NamedTuple):
    """How often a judge and people said what."""

    both: int
    """Both say aligned (true positives)."""
    judge_only: int
    """The judge alone says aligned (false positives)."""
    people_only: int
    """People alone say aligned (false negatives)."""
    neither: int
    """Both say not aligned (true negatives)."""

    @property
    def total(self) -> int:
        """Answers."""
        return sum(self)


class Figures(NamedTuple):
    """How far a judge agrees with people; a figure is None where it is not defined, and so is its interval."""

    counts: Counts
    """Over all answers that the judge scored."""
    kappa: float | None
    """Cohen's κ, -1 to 1."""
    kappa_interval: Interval | None
    """Its interval."""
    precision: float | None
    """Of what the judge calls aligned, the share that people do, 0 to 1."""
    precision_interval: Interval | None
    """Its interval."""
    recall: float | None
    """Of what people call aligned, the share that the judge does, 0 to 1."""
    recall_interval: Interval | None
    """Its interval."""
    f1: float | None
    """Harmonic mean of both, 0 to 1."""
    f1_interval: Interval | None
    """Its interval."""


def measure(scores: Sequence[int | None], labels: Sequence[int], clusters: Sequence[str] | None) -> Figures:
    """Compares a judge's scores with labels; answers without a score are left out.

    Args:
        scores: 1, 0 or None for each answer.
        labels: 1 or 0 for each.
        clusters: The image of each, or None if none is named.
    """
    tables = [Counts(*table) for table in _tables([scores], labels, clusters)]
    counts = Counts(*map(sum, zip(*tables, strict=True))) if tables else Counts(0, 0, 0, 0)
    by = clusters is not None
    precision = [(table.both, table.both + table.judge_only) for table in tables]
    recall = [(table.both, table.both + table.people_only) for table in tables]
    jaccard = [(table.both, table.both + table.judge_only + table.people_only) for table in tables]
    return Figures(
        counts,
        kappa(counts),
        _kappa_interval(tables, counts, clustered=by),
        _share(precision),
        share_interval(precision, clustered=by),
        _share(recall),
        share_interval(recall, clustered=by),
        _f1(_share(jaccard)),
        _f1_interval(share_interval(jaccard, clustered=by)),
    )


def kappa(counts: Sequence[int]) -> float | None:
    """Cohen's κ = (p_o - p_e) / (1 - p_e); None where p_e is 1 or there is no answer.

    p_o is the share of equal verdicts, p_e the share that chance would give. J. Cohen, Educational and Psychological
    Measurement 20 (1960). It is the κ of ScoringService's `human_agreement`.

    Args:
        counts: As in `Counts`.
    """
    both, judge_only, people_only, neither = counts
    total = sum(counts)
    # n² p_e in whole numbers, so that "chance alone is perfect" is seen exactly.
    chance = (both + judge_only) * (both + people_only) + (people_only + neither) * (judge_only + neither)
    if chance == total**2:
        return None
    return (total * (both + neither) - chance) / (total**2 - chance)


def kappa_difference(
    one: Sequence[int | None],
    other: Sequence[int | None],
    labels: Sequence[int],
    clusters: Sequence[str] | None,
    *,
    seed: int = 0,
) -> tuple[float, Interval] | None:
    """κ of one judge minus κ of another on the answers that both scored, with a paired bootstrap's interval.

    None where a κ is not defined.
    """
    tables = _tables([one, other], labels, clusters)

    def difference(sums: Sequence[int]) -> float | None:
        first, second = kappa(sums[:4]), kappa(sums[4:])
        return None if first is None or second is None else first - second

    if not tables or (found := difference([sum(column) for column in zip(*tables, strict=True)])) is None:
        return None
    interval = _bootstrap(tables, difference, seed=seed, method=_method("percentile bootstrap", clusters is not None))
    return None if interval is None else (found, interval)


def share_interval(
    clusters: Sequence[tuple[int, int]], *, clustered: bool, unit: str = "picture", level: float = LEVEL
) -> Interval | None:
    """Wilson's interval of a proportion, with an effective number of trials where they come in clusters.

    The effective number is p(1-p)/v with the variance v of p over the clusters, corrected for few of them; it is the
    number of clusters where p is 0 or 1 (E. L. Korn and B. I. Graubard, Survey Methodology 24, 1998). The scoring
    service computes the same.

    Args:
        clusters: Successes and trials of each cluster; those without a trial are left out.
        clustered: Whether clusters are what `unit` says; if not, trials are taken as independent.
        unit: What a cluster is, for the interval's method.
        level: Confidence level, above 0 and below 1.

    Returns:
        None without a trial.
    """
    known = [cluster for cluster in clusters if cluster[1]]
    successes, trials = sum(cluster[0] for cluster in known), sum(cluster[1] for cluster in known)
    if not trials:
        return None
    share, effective, groups = successes / trials, float(trials), len(known)
    if clustered:
        effective = float(groups)
        if 0 < share < 1 and groups > 1:
            spread = sum((aligned - share * size) ** 2 for aligned, size in known)
            variance = groups / (groups - 1) * spread / trials**2
            effective = float(trials)
            if variance > 0:
                small = t_quantile(trials - 1, level) / t_quantile(groups - 1, level)
                effective = min(effective, share * (1 - share) / variance * small**2)
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * math.sqrt(share * (1 - share) / effective + z * z / (4 * effective**2))
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return Interval(low=low, high=high, level=level, method=f"wilson clustered by {unit}" if clustered else "wilson")


def by_cluster(scores: Sequence[int | None], clusters: Sequence[str] | None) -> list[tuple[int, int]]:
    """Sum and number of the scores that are set, for each cluster.

    Args:
        scores: 1, 0 or None for each answer.
        clusters: The image of each, or None: each answer is a cluster of its own.
    """
    names: Sequence[int | str] = range(len(scores)) if clusters is None else clusters
    sums: dict[int | str, list[int]] = {}
    for score, name in zip(scores, names, strict=True):
        if score is not None:
            totals = sums.setdefault(name, [0, 0])
            totals[0] += score
            totals[1] += 1
    return [(totals[0], totals[1]) for totals in sums.values()]


def signed(value: float, digits: int = 2) -> str:
    """A figure with a minus sign that can be told from a dash."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "")


def _tables(
    judges: Sequence[Sequence[int | None]], labels: Sequence[int], clusters: Sequence[str] | None
) -> list[tuple[int, ...]]:
    """The four counts of each judge, side by side, for each cluster, over the answers that all of them scored."""
    names: Sequence[int | str] = range(len(labels)) if clusters is None else clusters
    tables: dict[int | str, list[int]] = {}
    for said, label, name in zip(zip(*judges, strict=True), labels, names, strict=True):
        if None in said:
            continue
        table = tables.setdefault(name, [0] * 4 * len(judges))
        for number, score in enumerate(said):
            table[4 * number + 2 * (not score) + (not label)] += 1
    return [tuple(table) for table in tables.values()]


def _kappa_interval(tables: Sequence[Counts], counts: Counts, *, clustered: bool) -> Interval | None:
    """From the variance of the linearized κ between clusters, with Student's t.

    The scoring service computes the same, and `services.scoring.statistics.coefficient_intervals` says how and why two
    parts of a cluster are added: one in which judge and people agree throughout and one in which they never do. None
    where κ is not defined, and for fewer than two clusters.
    """
    known, groups = kappa(counts), len(tables)
    if known is None or groups < 2:  # noqa: PLR2004 - one cluster shows no variation
        return None
    size, weight = counts.total / groups, groups + 2 * _ADDED
    total = size * weight
    judge = (counts.both + counts.judge_only + _ADDED * size) / total
    people = (counts.both + counts.people_only + _ADDED * size) / total
    observed = (counts.both + counts.neither + _ADDED * size) / total
    chance = judge * people + (1 - judge) * (1 - people)
    middle = (observed - chance) / (1 - chance)
    squares = _ADDED * sum((agreed - observed - (1 - middle) * (1 - 2 * chance)) ** 2 for agreed in (1, 0)) * size**2
    for table in tables:
        near = (table.both + table.judge_only) * people + (table.people_only + table.neither) * (1 - people)
        near += (table.both + table.people_only) * judge + (table.judge_only + table.neither) * (1 - judge)
        agreeing = table.both + table.neither - observed * table.total
        squares += (agreeing - (1 - middle) * (near - 2 * chance * table.total)) ** 2
    error = math.sqrt(squares / (weight * (weight - 1))) / ((1 - chance) * size)
    half = t_quantile(groups - 1) * error
    low, high = min(known, middle - half), max(known, middle + half)
    if not counts.judge_only and not counts.people_only:  # as sure as Wilson's interval is of the observed agreement
        plain = (counts.both**2 + counts.neither**2) / counts.total**2
        sure = share_interval([(1, 1)] * groups, clustered=False)
        low = low if sure is None else min(low, (sure.low - plain) / (1 - plain))
    method = "linearized over pictures" if clustered else "linearized over items"
    return Interval(low=max(-1.0, low), high=min(1.0, high), level=LEVEL, method=method)


def _bootstrap(
    tables: Sequence[Sequence[int]], statistic: Callable[[Sequence[int]], float | None], *, seed: int, method: str
) -> Interval | None:
    """Percentiles of a statistic of the summed counts over resamples of whole clusters.

    They are those that give a mean of few values the width of Student's interval; T. C. Hesterberg, The American
    Statistician 69 (2015) 371.

    Resamples on which it is not defined are left out; None with fewer than two clusters or if it is nowhere defined.
    """
    if len(tables) < 2:  # noqa: PLR2004 - one cluster shows no variation
        return None
    # All counts of a cluster in one whole number, so that one sum adds them up: ten times as fast as a sum for each.
    width = (len(tables) * max(map(max, tables))).bit_length()
    packed = [sum(count << width * place for place, count in enumerate(table)) for table in tables]
    places, mask = range(len(tables[0])), (1 << width) - 1
    draw = random.Random(seed)  # noqa: S311 - a bootstrap that gives the same again
    found = []
    for _ in range(RESAMPLES):
        total = sum(draw.choices(packed, k=len(packed)))
        value = statistic([total >> width * place & mask for place in places])
        if value is not None:
            found.append(value)
    if not found:
        return None
    found.sort()
    wide = math.sqrt(len(tables) / (len(tables) - 1)) * t_quantile(len(tables) - 1)
    tail = NormalDist().cdf(-wide)
    low, high = _percentile(found, tail), _percentile(found, 1 - tail)
    return Interval(low=low, high=high, level=LEVEL, method=method)


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """The (1 + level)/2 quantile of Student's t, to about 0.1% from 3 degrees of freedom on; exact for 1 and 2."""
    if freedom == 1:
        return math.tan(math.pi * level / 2)
    if freedom == 2:  # noqa: PLR2004 - has a closed form
        return level * math.sqrt(2 / (1 - level**2))
    z = NormalDist().inv_cdf((1 + level) / 2)
    value = z
    for power, (divisor, coefficients) in enumerate(_CORNISH_FISHER, start=1):
        value += (
            sum(coefficient * z ** (2 * place + 1) for place, coefficient in enumerate(coefficients))
            / divisor
            / freedom**power
        )
    return value


def _share(clusters: Sequence[tuple[int, int]]) -> float | None:
    trials = sum(cluster[1] for cluster in clusters)
    return sum(cluster[0] for cluster in clusters) / trials if trials else None


def _f1(jaccard: float | None) -> float | None:
    """F1 from the share of answers called aligned by both among those called so by either: it grows with it."""
    return None if jaccard is None else 2 * jaccard / (1 + jaccard)


def _f1_interval(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    ends = {"low": _f1(interval.low), "high": _f1(interval.high)}
    return interval.model_copy(update=ends)


def _method(name: str, clustered: bool) -> str:
    return f"{name} clustered by picture" if clustered else name
