"""Answers in clusters that resemble each other, drawn at random, and what a simulation yields."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
LARGE = 20_000
"""Units from which the true figure is computed where it has no closed form."""


class Ends(Protocol):
    """Any interval, of the services or of the client."""

    @property
    def low(self) -> float:
        """Lower end."""

    @property
    def high(self) -> float:
        """Upper end."""


class Shown(NamedTuple):
    """One interval of one run."""

    name: str
    interval: Ends | None
    truth: float


Simulation = Callable[[float, float, np.random.Generator], Iterator[list[Shown]]]
"""Given a share, an ICC and a generator: the intervals of one run after another, without end."""


def clusters(share: float, icc: float, number: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """True shares of clusters, shape (number,)."""
    if not icc:
        return np.full(number, share)
    scale = (1 - icc) / icc
    return generator.beta(share * scale, (1 - share) * scale, number)


def counts(share: float, icc: float, sizes: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Successes in clusters of these sizes."""
    return generator.binomial(sizes, clusters(share, icc, len(sizes), generator))


def pair_of_shares(
    share: float, icc: float, number: int, size: int, generator: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
    """Answers of two models to the same questions, shape (number, size) each, and the difference of their shares.

    The second has 0.1 more, or less where that is nearer to a half. Normal copulas correlate clusters and answers by ½.
    """
    other = share + 0.1 if share < 0.5 else share - 0.1  # noqa: PLR2004 - a half
    half, rest = 0.5, math.sqrt(1 - 0.5**2)
    of_cluster = generator.standard_normal((number, 1))
    both = [of_cluster, half * of_cluster + rest * generator.standard_normal((number, 1))]
    first = generator.standard_normal((number, size))
    noises = [first, half * first + rest * generator.standard_normal((number, size))]
    said = []
    for mean, cluster, noise in zip((share, other), both, noises, strict=True):
        scale = (1 - icc) / icc if icc else 0.0
        shares = stats.beta.ppf(stats.norm.cdf(cluster), mean * scale, (1 - mean) * scale) if icc else mean
        said.append(stats.norm.cdf(noise) < shares)
    return said[0], said[1], share - other


def table_of(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Both, first only, second only, neither, for each cluster."""
    cells = ((first, second), (first, ~second), (~first, second), (~first, ~second))
    return np.stack([(one & other).sum(axis=1) for one, other in cells], axis=1)
