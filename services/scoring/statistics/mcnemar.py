"""McNemar's exact test of matched proportions: p-value, also for clusters, Holm's correction, power, sample size."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from statsmodels.stats.contingency_tables import mcnemar

_EXACT_PAIRS = 100_000
_ALL_SIGNS = 16
_EXACT_SUM = 20_000
_RARE = 1e-12
_TOOTH = 6
"""Pairs after which power has no more fallen than risen: the critical number grows by one with about every second."""


def mcnemar_p(first_only: int, second_only: int) -> float:
    """P-value of McNemar's exact test, two-sided: min(1, 2 P(X ≤ min(b, c))) with X binomial (b + c, ½).

    Q. McNemar, Psychometrika 12 (1947); computed by statsmodels.

    Args:
        first_only: b, pairs in which the first alone succeeds.
        second_only: c, pairs in which the second alone succeeds.

    Returns:
        0 to 1; 1 where no pair is discordant.
    """
    return float(mcnemar([[0, first_only], [second_only, 0]], exact=True).pvalue)


def clustered_mcnemar_p(clusters: Sequence[tuple[int, int]]) -> float:
    """P-value of McNemar's exact test for pairs in clusters, two-sided.

    Where both sides answer alike, a cluster's answers may change sides as a whole, whatever the correlation within it.
    So each cluster's b - c has a random sign, and p is the probability of a sum as far from 0 as the observed one, over
    all signs: a permutation test as for matched pairs (R. A. Fisher, The Design of Experiments, 1935), and
    `mcnemar_p` where each cluster is one pair. With few clusters it can't be small: with 5 it is 0.0625 or more.

    Exact for up to 16 clusters, or 20,000 as the sum of all |b - c|; beyond that by the normal approximation.

    Args:
        clusters: For each, b and c: pairs in which the first alone succeeds, and in which the second alone does.

    Returns:
        0 to 1; 1 where no cluster tells the sides apart.
    """
    sizes = np.array([abs(first - second) for first, second in clusters if first != second], dtype=np.int64)
    observed = abs(sum(first - second for first, second in clusters))
    total = int(sizes.sum())
    if not total:
        return 1.0
    if len(sizes) <= _ALL_SIGNS:
        sums = np.zeros(1, dtype=np.int64)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float(np.mean(np.abs(sums) >= observed))
    if total > _EXACT_SUM:
        return float(min(1.0, 2 * stats.norm.sf(observed / math.sqrt(float((sizes**2).sum())))))
    # How probable it is that the clusters with the sign plus have together 0, 1 … `total`.
    probable: NDArray[np.floating[Any]] = np.ones(1)
    for size, times in zip(*np.unique(sizes, return_counts=True), strict=True):
        of_size = np.zeros(size * times + 1)
        of_size[::size] = stats.binom.pmf(np.arange(times + 1), times, 0.5)
        probable = np.convolve(probable, of_size)
    far = np.abs(2 * np.arange(total + 1) - total) >= observed
    return float(min(1.0, probable[far].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the family-wise error stays at its level over all p-values.

    The i-th smallest of m p-values becomes max_{j≤i} min(1, (m - j + 1) p_j). S. Holm, Scandinavian Journal of
    Statistics 6 (1979). Written here because statsmodels' multipletests collects garbage at every call, which holds up
    the whole process for tens of milliseconds; a test holds the two together. An empty list gives an empty one.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def mcnemar_power(pairs: int, discordant: float, difference: float, alpha: float) -> float:
    """Power of McNemar's exact two-sided test.

    Up to 100,000 pairs exactly: Σ_m P(M = m) P(reject | m), where M, the discordant pairs, is binomial (pairs,
    `discordant`) and the pairs in favour of the first are binomial (m, (1 + difference / discordant) / 2). Beyond that
    by the normal approximation of `connor_pairs`, solved for the power.

    Args:
        pairs: Number of pairs, at least 1.
        discordant: True share of discordant pairs, above 0 and at most 1.
        difference: True difference of the two proportions, of a size of at most `discordant`.
        alpha: Significance level, above 0 and below 1.

    Returns:
        0 to 1.
    """
    if pairs > _EXACT_PAIRS:
        spread = math.sqrt(max(discordant - difference**2, 0.0))
        excess = abs(difference) * math.sqrt(pairs) - float(stats.norm.isf(alpha / 2)) * math.sqrt(discordant)
        return float(stats.norm.cdf(excess / spread)) if spread else float(excess > 0)
    share = min(1.0, (1 + abs(difference) / discordant) / 2)
    fewest, most = stats.binom.ppf([_RARE, 1 - _RARE], pairs, discordant)
    numbers = np.arange(max(0, int(fewest)), int(most) + 1)
    critical = _critical(2 ** (pairs + 1).bit_length(), alpha)[numbers]
    known = critical >= 0
    numbers, critical = numbers[known], critical[known]
    # Both tails: X ≤ critical, and X ≥ m - critical, which the other side has with 1 - share.
    reject = special.bdtr(critical, numbers, share) + special.bdtr(critical, numbers, 1 - share)
    return float(min(1.0, stats.binom.pmf(numbers, pairs, discordant) @ reject))


@lru_cache(maxsize=16)  # all pairs of models have one level, and a power is asked for some dozen numbers of each
def _critical(size: int, alpha: float) -> NDArray[np.float64]:
    """For m = 0 to size - 1 the largest x with 2 P(X ≤ x) ≤ alpha; -1 where even x = 0 is not rare enough."""
    numbers = np.arange(size)
    critical: NDArray[np.float64] = stats.binom.ppf(alpha / 2, numbers, 0.5)
    return np.where(2 * special.bdtr(critical, numbers, 0.5) <= alpha, critical, critical - 1)


@lru_cache(maxsize=4096)
def needed_pairs(discordant: float, difference: float, alpha: float, power: float) -> int | None:
    """Pairs from which on McNemar's exact test finds a difference with the given power.

    By `mcnemar_power`, exactly up to 100,000 pairs: power rises with pairs like a saw, and the number is the one after
    the last tooth that is too low. Beyond that it is `connor_pairs` + 2 / |difference|, which a correction for
    continuity adds.

    Args:
        discordant: ψ, above 0 and at most 1.
        difference: δ, of a size of at most ψ.
        alpha: Significance level, above 0 and below 1.
        power: Above 0 and below 1.

    Returns:
        At least 1, or None where δ is 0: no number is enough.
    """
    if difference == 0:
        return None
    approximate = connor_pairs(discordant, difference, alpha, power)
    more = math.ceil(2 / abs(difference))
    if approximate + 2 * more > _EXACT_PAIRS:
        return approximate + more
    low, high = approximate, approximate + more
    while low > 1 and mcnemar_power(low, discordant, difference, alpha) >= power:
        low //= 2
    while mcnemar_power(high, discordant, difference, alpha) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if mcnemar_power(middle, discordant, difference, alpha) < power:
            low = middle
        else:
            high = middle
    found = following = high
    while following < found + _TOOTH:
        following += 1
        if mcnemar_power(following, discordant, difference, alpha) < power:
            found = following + 1
    return found


def connor_pairs(discordant: float, difference: float, alpha: float, power: float) -> int:
    """Pairs that the unconditional test of two matched proportions needs by the normal approximation.

    n = (z_{1-α/2} √ψ + z_{power} √(ψ - δ²))² / δ², with ψ the share of discordant pairs and δ the difference of the two
    proportions, rounded up. R. J. Connor, Biometrics 43 (1987). The exact test needs more.

    Args:
        discordant: ψ, above 0 and at most 1.
        difference: δ, not 0 and of a size of at most ψ.
        alpha: Significance level, above 0 and below 1.
        power: Above 0 and below 1.
    """
    rare, likely = float(stats.norm.isf(alpha / 2)), float(stats.norm.ppf(power))
    root = rare * math.sqrt(discordant) + likely * math.sqrt(max(discordant - difference**2, 0.0))
    return max(1, math.ceil(root**2 / difference**2))
