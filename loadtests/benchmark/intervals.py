"""Medians over repetitions, with intervals that assume nothing about their distribution."""

import math
import statistics
from collections.abc import Sequence

from pydantic import BaseModel

_LEVEL = 0.95


class Median(BaseModel):
    """A median with an interval between two of the values."""

    median: float
    low: float
    high: float
    level: float
    """Probability that such an interval holds the true median: 0.95, or what so few values give."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Median":
        """Of independent values, at least one.

        The interval between the k-th smallest and the k-th largest of n values holds the median with probability
        1 - 2 · P(Binomial(n, 1/2) < k) (Hahn and Meeker, Statistical Intervals, 5.2); k is the largest for which that
        is at least 0.95, or 1.
        """
        ordered = sorted(values)
        n = len(ordered)
        inside = [1 - 2 * sum(math.comb(n, below) for below in range(k)) / 2**n for k in range(1, n // 2 + 1)]
        k = max((place for place, level in enumerate(inside, 1) if level >= _LEVEL), default=1)
        level = inside[k - 1] if inside else 0.0
        return cls(median=statistics.median(ordered), low=ordered[k - 1], high=ordered[n - k], level=level)

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}}–{self.high:{spec}})"
