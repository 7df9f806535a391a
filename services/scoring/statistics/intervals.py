"""Confidence intervals of proportions: of one, of one in clusters, of the difference of two in pairs."""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from services.serving.limits import check_between

DEFAULT_LEVEL = 0.95
"""Confidence level where a caller names none."""
MIN_LEVEL = 0.5
"""Lowest confidence level."""
MAX_LEVEL = 0.999
"""Highest confidence level."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    """Lower end, in the unit of what it belongs to."""
    high: float
    """Upper end."""
    level: float
    """Confidence level, above 0 and below 1."""
    method: str
    """How it was computed."""

    def scaled(self, factor: float) -> "Interval":
        """The same interval in another unit, such as percent instead of shares."""
        return self._replace(low=self.low * factor, high=self.high * factor)


def check_level(field: str, level: float) -> None:
    """Refuses a confidence level outside 0.5 to 0.999."""
    check_between(field, level, MIN_LEVEL, MAX_LEVEL)


@functools.lru_cache(maxsize=4096)  # statsmodels takes longer than all else that is done with a few completions
def wilson(successes: float, trials: float, level: float) -> Interval:
    """Wilson's score interval of a proportion.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), with p = successes / trials = successes / n and z the normal
    quantile. E. B. Wilson, JASA 22 (1927); computed by statsmodels.

    Args:
        successes: 0 to `trials`; not whole where the sample size is an effective one.
        trials: Above 0.
        level: Above 0 and below 1.
    """
    low, high = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    # Rounding may leave 1e-17 where the formula gives 0, and likewise below 1.
    low = 0.0 if successes == 0 else max(0.0, float(low))
    high = 1.0 if successes == trials else min(1.0, float(high))
    return Interval(low, high, level, "wilson")


def clustered_wilson(
    successes: NDArray[np.int64], trials: NDArray[np.int64], level: float, unit: str = "picture"
) -> Interval:
    """Wilson's interval of a proportion whose trials come in clusters.

    The sample size n is replaced by an effective one: n* = p(1-p)/v, where v = G/(G-1) Σ_g (s_g - p n_g)² / n² is the
    variance of p over the G clusters, and then n* (t_{n-1}/t_{G-1})² with quantiles of Student's t. It is at most n,
    and G where p is 0 or 1, because clusters that are all alike don't show how alike they are. E. L. Korn and
    B. I. Graubard, Survey Methodology 24 (1998); with Wilson's interval in C. Franco et al., J. Surv. Stat. Methodol. 7
    (2019).

    Args:
        successes: s_g of each cluster, shape (G,), 0 to n_g.
        trials: n_g of each cluster, shape (G,), at least 1.
        level: Above 0 and below 1.
        unit: What a cluster is, for the interval's method.
    """
    clusters, total = len(trials), int(trials.sum())
    share = float(successes.sum()) / total
    effective = float(clusters)
    if 0 < share < 1 and clusters > 1:
        squares = math.fsum((successes - share * trials) ** 2)  # the same in any order of the clusters
        variance = clusters / (clusters - 1) * squares / total**2
        effective = float(total)
        if variance > 0:
            effective = min(float(total), share * (1 - share) / variance * _few(total, clusters, level))
    elif clusters == 1:
        effective = 1.0
    return wilson(share * effective, effective, level)._replace(method=f"wilson clustered by {unit}")


def newcombe_paired(both: float, first_only: float, second_only: float, neither: float, level: float) -> Interval:
    """Interval of the difference of two proportions of the same n pairs, first minus second.

    Newcombe's method 10: with the Wilson intervals (l1, u1) and (l2, u2) of the two proportions p1 and p2, and the
    correlation φ of the pairs with a continuity correction,
    low = p1 - p2 - √((p1-l1)² - 2φ(p1-l1)(u2-p2) + (u2-p2)²),
    high = p1 - p2 + √((u1-p1)² - 2φ(u1-p1)(p2-l2) + (p2-l2)²).
    R. G. Newcombe, Statistics in Medicine 17 (1998) 2635.

    Args:
        both: Pairs with both successes.
        first_only: Pairs in which the first alone succeeds.
        second_only: Pairs in which the second alone succeeds.
        neither: Pairs without a success; the four sum to n, above 0, and aren't whole where n is an effective number.
        level: Above 0 and below 1.
    """
    pairs = both + first_only + second_only + neither
    first, second = (both + first_only) / pairs, (both + second_only) / pairs
    one, other = wilson(both + first_only, pairs, level), wilson(both + second_only, pairs, level)
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    numerator = float(both * neither - first_only * second_only)
    if numerator > 0:
        numerator = max(numerator - pairs / 2, 0.0)
    phi = numerator / math.sqrt(margins) if margins else 0.0
    below = _correlated(first - one.low, other.high - second, phi)
    above = _correlated(one.high - first, second - other.low, phi)
    difference = (first_only - second_only) / pairs
    return Interval(max(-1.0, difference - below), min(1.0, difference + above), level, "newcombe paired")


def clustered_newcombe(tables: NDArray[np.int64], level: float, unit: str = "picture") -> Interval:
    """Newcombe's interval of the difference of two proportions whose pairs come in clusters.

    The four counts are scaled down to an effective number of pairs, as `clustered_wilson` does with trials: n times the
    variance of the difference d if pairs were independent, (b + c)/n² - d²/n, over its variance between clusters,
    G/(G-1) Σ_g (b_g - c_g - d n_g)² / n², and times (t_{n-1}/t_{G-1})². It is at most n, and G where no pair or every
    pair differs in the same way. The combination is axia's own; docs/intervals.md has its simulated coverage.

    Args:
        tables: Both, first only, second only, neither for each cluster, shape (G, 4); no cluster is empty.
        level: Above 0 and below 1.
        unit: What a cluster is, for the interval's method.
    """
    sizes, differences = tables.sum(axis=1), tables[:, 1] - tables[:, 2]
    counts = [float(count) for count in tables.sum(axis=0)]
    clusters, pairs = len(tables), float(sizes.sum())
    difference = (counts[1] - counts[2]) / pairs
    independent = (counts[1] + counts[2]) / pairs**2 - difference**2 / pairs
    effective = float(clusters)
    if independent > 0 and clusters > 1:
        squares = math.fsum((differences - difference * sizes) ** 2)
        variance = clusters / (clusters - 1) * squares / pairs**2
        effective = pairs
        if variance > 0:
            effective = min(pairs, pairs * independent / variance * _few(pairs, clusters, level))
    both, first_only, second_only, neither = (count * effective / pairs for count in counts)
    found = newcombe_paired(both, first_only, second_only, neither, level)
    return found._replace(method=f"newcombe paired clustered by {unit}")


def few_clusters_level(clusters: int, level: float) -> float:
    """Level of the percentiles of a bootstrap over few values that makes its interval of a mean as wide as Student's.

    1 - 2 Φ(-√(G/(G-1)) t_{G-1}). T. C. Hesterberg, The American Statistician 69 (2015) 371, "expanded percentile".

    Args:
        clusters: G, at least 2.
        level: Above 0 and below 1.
    """
    wide = math.sqrt(clusters / (clusters - 1)) * float(stats.t.ppf(1 - (1 - level) / 2, clusters - 1))
    return 1 - 2 * float(stats.norm.sf(wide))


@functools.lru_cache(maxsize=4096)
def _few(trials: float, clusters: int, level: float) -> float:
    """(t_{n-1}/t_{G-1})²: how much less few clusters say of their variance."""
    quantile = 1 - (1 - level) / 2
    return float((stats.t.ppf(quantile, trials - 1) / stats.t.ppf(quantile, clusters - 1)) ** 2)


def _correlated(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))
