"""McNemar's exact test of two matched proportions: p-value, Holm's correction, power, needed sample size."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

_EXACT_PAIRS = 2_000


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

    Up to 2,000 pairs exactly: Σ_m P(M = m) P(reject | m), where M, the discordant pairs, is binomial (pairs,
    `discordant`) and the pairs in favour of the first are binomial (m, (1 + difference / discordant) / 2). Beyond that
    by the normal approximation of `needed_pairs`, solved for the power.

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
    numbers = np.arange(pairs + 1)
    # The largest x with 2 P(X ≤ x) ≤ alpha; -1 where even x = 0 is not rare enough.
    critical = stats.binom.ppf(alpha / 2, numbers, 0.5)
    critical = np.where(2 * stats.binom.cdf(critical, numbers, 0.5) <= alpha, critical, critical - 1)
    reject = stats.binom.cdf(critical, numbers, share) + stats.binom.sf(numbers - critical - 1, numbers, share)
    return float(min(1.0, stats.binom.pmf(numbers, pairs, discordant) @ reject))


def needed_pairs(discordant: float, difference: float, alpha: float, power: float) -> int | None:
    """Pairs that McNemar's test needs to find a difference.

    n = (z_{1-α/2} √ψ + z_{power} √(ψ - δ²))² / δ², with ψ the share of discordant pairs and δ the difference of the two
    proportions, rounded up. R. J. Connor, Biometrics 43 (1987), formula for the unconditional test.

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
    rare, likely = float(stats.norm.isf(alpha / 2)), float(stats.norm.ppf(power))
    root = rare * math.sqrt(discordant) + likely * math.sqrt(max(discordant - difference**2, 0.0))
    return max(1, math.ceil(root**2 / difference**2))
