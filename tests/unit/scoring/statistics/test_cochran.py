from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.contingency_tables import cochrans_q

from services.scoring.statistics.cochran import PermutationMethod, cochran_test
from services.scoring.statistics.mcnemar import mcnemar_p
from services.serving.errors import InvalidArgument

# W. J. Conover, Practical Nonparametric Statistics, p. 253; the example of Dataplot's manual. Q = 2.8, p = 0.246597.
CONOVER = [
    [1, 1, 1], [1, 1, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1],
    [1, 1, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1], [1, 1, 1],
]  # fmt: skip
# The second example of statsmodels' own tests. Q = 13.2857143, p = 0.00405776.
FOUR_COLUMNS = [
    [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1],
    [1, 0, 0, 1], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1],
]  # fmt: skip

tables = st.tuples(st.integers(1, 6), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 1))
)


@pytest.mark.parametrize(("rows", "q", "p"), [(CONOVER, 2.8, 0.246597), (FOUR_COLUMNS, 13.2857143, 0.00405776)])
def test_the_examples_of_the_books_come_out(rows: list[list[int]], q: float, p: float) -> None:
    test = cochran_test(rows)
    assert test.q == pytest.approx(q, abs=1e-6)
    assert test.p_value == pytest.approx(p, abs=1e-6)
    assert test.degrees_of_freedom == len(rows[0]) - 1
    assert test.permutation_method is PermutationMethod.EXACT


@given(tables)
def test_q_agrees_with_statsmodels_wherever_it_is_defined(table: np.ndarray) -> None:
    test = cochran_test(table)
    if test.q is None:
        assert test.p_value == 1
        assert test.permutation_p_value is None
        assert ((table.sum(axis=1) == 0) | (table.sum(axis=1) == table.shape[1])).all()
    else:
        expected = cochrans_q(table)
        assert test.q == pytest.approx(expected.statistic, abs=1e-9)
        assert test.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def every_arrangement(table: np.ndarray) -> float:
    observed = (table.sum(axis=0) ** 2).sum()
    rows = [sorted(set(permutations(row.tolist()))) for row in table]
    sums = [(np.array(arrangement).sum(axis=0) ** 2).sum() for arrangement in product(*rows)]
    return float(np.mean(np.array(sums) >= observed))


@settings(max_examples=50)
@given(tables)
def test_the_exact_p_value_is_that_of_every_arrangement(table: np.ndarray) -> None:
    test = cochran_test(table)
    if test.q is not None and table.shape[0] <= 4:
        assert test.permutation_p_value == pytest.approx(every_arrangement(table), abs=1e-12)


@given(arrays(np.int64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(0, 1)))
def test_the_exact_p_value_of_two_columns_is_mcnemars(table: np.ndarray) -> None:
    test = cochran_test(table)
    first, second = int(((table == [1, 0]).all(axis=1)).sum()), int(((table == [0, 1]).all(axis=1)).sum())
    exact = 1.0 if test.permutation_p_value is None else test.permutation_p_value
    assert exact == pytest.approx(mcnemar_p(first, second), abs=1e-9)


@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_count(table: np.ndarray, random: object) -> None:
    turned = cochran_test(table[::-1, ::-1])
    test = cochran_test(table)
    assert (turned.q or 0) == pytest.approx(test.q or 0, abs=1e-12)
    assert turned.permutation_p_value == test.permutation_p_value


def wide_table() -> np.ndarray:
    generator = np.random.default_rng(2)
    return (generator.random((40, 12)) < np.linspace(0.3, 0.6, 12)).astype(np.int64)


def test_a_table_too_large_to_enumerate_gets_a_seeded_random_p_value() -> None:
    test = cochran_test(wide_table(), permutations=2000, seed=7)
    assert test.permutation_method is PermutationMethod.RANDOM
    assert test.permutations == 2000
    assert test.permutation_p_value == cochran_test(wide_table()[::-1, ::-1], 2000, 7).permutation_p_value
    assert test.permutation_p_value == pytest.approx(test.p_value, abs=0.05)


def test_random_and_exact_p_values_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = cochran_test(np.array(FOUR_COLUMNS)).permutation_p_value
    monkeypatch.setattr("services.scoring.statistics.cochran._EXACT_STEPS", 0)
    drawn = cochran_test(np.array(FOUR_COLUMNS), permutations=20_000, seed=1)
    assert drawn.permutation_method is PermutationMethod.RANDOM
    assert drawn.permutation_p_value == pytest.approx(exact, abs=0.002)


def test_a_large_table_keeps_to_the_chi_squared_distribution() -> None:
    table = np.tile(np.array(CONOVER), (60, 1))
    assert cochran_test(table).permutation_p_value is None


def test_one_picture_has_a_q_and_no_significance() -> None:
    test = cochran_test(np.array([[1, 0, 0]]))
    assert test.q == pytest.approx(2.0)
    assert test.permutation_p_value == 1.0


@pytest.mark.parametrize("value", [0, 1])
def test_rows_that_are_all_equal_leave_q_undefined(value: int) -> None:
    test = cochran_test(np.full((5, 3), value))
    assert test.q is None
    assert test.p_value == 1
    assert test.informative_rows == 0


@pytest.mark.parametrize(
    ("table", "field"),
    [([], "table"), ([[1], [0]], "table"), ([[1, 0], [1]], "table[1]"), ([[1, 0], [1, float("nan")]], "table[1][1]")],
)
def test_a_table_that_is_none_is_refused(table: list[list[float]], field: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        cochran_test(table)
    assert raised.value.violations[0].field == field
