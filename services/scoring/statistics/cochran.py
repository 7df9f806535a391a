"""Cochran's Q test of equal proportions in matched columns, with exact and random permutation for small tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import cochrans_q

from services.scoring.statistics.tables import binary_table
from services.serving.errors import InvalidArgument

DEFAULT_PERMUTATIONS = 10_000
"""Random permutations where a caller names no number."""
SMALL_ROWS = 100
"""Informative rows up to which a permutation p-value is computed beside the asymptotic one."""

_EXACT_STEPS = 100_000
_BATCH_NUMBERS = 2_000_000


class PermutationMethod(Enum):
    """How the p-value by permutation was computed."""

    EXACT = "exact"
    """From all arrangements within rows."""
    RANDOM = "random"
    """From seeded random arrangements within rows."""


@dataclass(frozen=True)
class CochranTest:
    """Cochran's Q test."""

    q: float | None
    """Q, 0 or more; None if every row is constant, for then it is 0/0."""
    degrees_of_freedom: int
    """Columns less 1."""
    p_value: float
    """By the chi-squared distribution; 1 where Q is None."""
    permutation_p_value: float | None
    """By permutation within rows; None for large tables."""
    permutation_method: PermutationMethod | None
    """How that was computed."""
    rows: int
    """Rows of the table."""
    informative_rows: int
    """Rows that are not constant; the others don't bear on Q."""
    permutations: int
    """Random permutations drawn."""


def cochran_test(
    table: Sequence[Sequence[float]] | NDArray[np.int64], permutations: int = DEFAULT_PERMUTATIONS, seed: int = 0
) -> CochranTest:
    """Tests whether the columns have the same share of ones.

    With column totals C_j, row totals R_i and k columns, Q = (k-1) (k Σ C_j² - (Σ C_j)²) / (k Σ R_i - Σ R_i²), which
    follows the chi-squared distribution with k - 1 degrees of freedom in large tables. W. G. Cochran, Biometrika 37
    (1950); computed by statsmodels. For up to 100 informative rows the permutation distribution stands beside it: under
    the hypothesis every arrangement of a row's ones is equally likely, and p is the share of arrangements with a Q at
    least as large. It is enumerated where that is feasible; otherwise p = (1 + larger or equal) / (1 + permutations),
    B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010).

    Args:
        table: 0 and 1, shape (rows, columns), at least 1 × 2.
        permutations: Random arrangements, where they can't be enumerated.
        seed: Of those.

    Raises:
        InvalidArgument: If the table is empty or ragged, has a single column, or holds anything but 0 and 1.
    """
    scores = binary_table("table", table)
    rows, columns = scores.shape
    if columns == 1:
        raise InvalidArgument("table", "must have two columns or more", reason="TOO_FEW")
    sums = scores.sum(axis=1)
    informative = scores[(sums > 0) & (sums < columns)]
    if not len(informative):
        return CochranTest(None, columns - 1, 1.0, None, None, rows, 0, 0)
    asymptotic = cochrans_q(informative)
    test = CochranTest(
        float(asymptotic.statistic), columns - 1, float(asymptotic.pvalue), None, None, rows, len(informative), 0
    )
    if len(informative) > SMALL_ROWS:
        return test
    exact = _exact_p(informative)
    method = PermutationMethod.RANDOM if exact is None else PermutationMethod.EXACT
    return CochranTest(
        **{
            **vars(test),
            "permutation_p_value": _random_p(informative, permutations, seed) if exact is None else exact,
            "permutation_method": method,
            "permutations": permutations if exact is None else 0,
        }
    )


def _exact_p(table: NDArray[np.int64]) -> float | None:
    """The share of arrangements with a sum of squared column totals at least as large, or None if there are too many.

    Q grows with that sum alone, for row totals are fixed. Columns are interchangeable, so the totals are kept sorted,
    and the number of arrangements that lead to each is counted row by row in whole numbers.
    """
    columns = table.shape[1]
    observed = int((table.sum(axis=0) ** 2).sum())
    ways: Counter[tuple[int, ...]] = Counter({(0,) * columns: 1})
    steps = 0
    for ones in sorted(table.sum(axis=1).tolist()):
        arrangements = list(combinations(range(columns), int(ones))) if _few(columns, int(ones)) else []
        steps += len(ways) * len(arrangements)
        if not arrangements or steps > _EXACT_STEPS:
            return None
        following: Counter[tuple[int, ...]] = Counter()
        for totals, count in ways.items():
            for arrangement in arrangements:
                added = list(totals)
                for column in arrangement:
                    added[column] += 1
                following[tuple(sorted(added))] += count
        ways = following
    larger = sum(count for totals, count in ways.items() if sum(total**2 for total in totals) >= observed)
    return larger / ways.total()


def _few(columns: int, ones: int) -> bool:
    arrangements = 1
    for step in range(min(ones, columns - ones)):
        arrangements = arrangements * (columns - step) // (step + 1)
    return arrangements <= _EXACT_STEPS


def _random_p(table: NDArray[np.int64], permutations: int, seed: int) -> float:
    columns = table.shape[1]
    observed = int((table.sum(axis=0) ** 2).sum())
    # Only the rows' totals matter, so equal tables with another order of rows or columns get equal draws.
    sums = np.sort(table.sum(axis=1))
    sorted_rows = (np.arange(columns) < sums[:, None]).astype(np.int8)
    generator = np.random.default_rng(seed)
    larger = done = 0
    while done < permutations:
        size = min(permutations - done, max(1, _BATCH_NUMBERS // table.size))
        drawn = generator.permuted(np.broadcast_to(sorted_rows, (size, *sorted_rows.shape)), axis=2)
        totals = drawn.sum(axis=1, dtype=np.int64)
        larger += int(((totals**2).sum(axis=1) >= observed).sum())
        done += size
    return (1 + larger) / (1 + permutations)
