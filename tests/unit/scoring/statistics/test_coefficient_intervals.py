"""Intervals of κ and α beside figures of irrCAC (R) and statsmodels."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import inter_rater

from services.scoring.statistics.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from services.scoring.statistics.coefficient_intervals import (
    Ratings,
    cohen_interval,
    fleiss_interval,
    krippendorff_interval,
    linearized,
    of_units,
)
from services.scoring.statistics.intervals import wilson

# irrCAC's data set raw_gender: 15 units, 4 raters, 3 categories.
GENDER = list(zip("aaaaabbbcaaaaab", "aaaababccaaaaba", "abbcaabbcabbcaa", "ccccaabbcccccaa", strict=True))
# irrCAC's raw_4raters, which is Krippendorff's (2011) example with missing ratings.
FOUR_RATERS = [
    [rating for rating in unit if rating != "."]
    for unit in zip("123321412...", "1233224125..", ".33323422513", "12332441251.", strict=True)
]
# irrCAC's cont3x3abstractors: two raters, 100 units.
ABSTRACTORS = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])

units_of_ratings = st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=5), min_size=1, max_size=12)


def student(coefficient: float, error: float, units: int) -> tuple[float, float]:
    half = stats.t.ppf(0.975, units - 1) * error
    return coefficient - half, min(1.0, coefficient + half)


def pairs_of(table: np.ndarray) -> tuple[list[int], list[int]]:
    cells = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [i for i, _ in cells], [j for _, j in cells]


def test_fleiss_kappa_has_irrcacs_interval() -> None:
    # irrCAC: 0.129, 95% interval -0.172 to 0.430.
    found = linearized(of_units(GENDER), 0.0)
    assert found is not None
    assert found.coefficient == pytest.approx(fleiss_kappa(GENDER))
    assert student(found.coefficient, found.standard_error, 15) == pytest.approx((-0.172, 0.430), abs=5e-4)


@pytest.mark.parametrize(
    ("units", "alpha", "error", "interval"),
    # irrCAC: coefficient, standard error, 95% interval. It takes the error of κ' in 1 - α = (1 - 1/n) (1 - κ').
    [(FOUR_RATERS, 0.743, 0.146, (0.419, 1.0)), (GENDER, 0.143, 0.141, (-0.158, 0.445))],
)
def test_krippendorffs_alpha_has_irrcacs_error(
    units: Sequence[Sequence[str]], alpha: float, error: float, interval: tuple[float, float]
) -> None:
    paired = [unit for unit in units if len(unit) > 1]
    found = linearized(of_units(paired), 0.0)
    assert found is not None
    ratings = sum(map(len, paired))
    assert 1 - (1 - 1 / ratings) * (1 - found.coefficient) == pytest.approx(krippendorff_alpha(units))
    assert krippendorff_alpha(units) == pytest.approx(alpha, abs=5e-4)
    assert found.standard_error == pytest.approx(error, abs=6e-4)
    assert student(alpha, found.standard_error, len(paired)) == pytest.approx(interval, abs=1e-3)


def test_cohens_kappa_has_the_error_of_statsmodels_and_irrcac() -> None:
    first, second = map(np.array, pairs_of(ABSTRACTORS))
    found = linearized(Ratings(np.arange(100), first, second, (first == second).astype(float)), 0.0)
    assert found is not None
    expected = inter_rater.cohens_kappa(ABSTRACTORS)
    assert found.coefficient == pytest.approx(expected.kappa)
    assert found.standard_error * np.sqrt(99 / 100) == pytest.approx(expected.std_kappa)
    assert expected.std_kappa == pytest.approx(0.05891072, abs=1e-8)  # irrCAC prints 0.7964094 and 0.05891072


@pytest.mark.parametrize("size", [2, 5])
def test_parts_of_a_unit_that_are_added_vanish_among_many_units(size: int) -> None:
    generator = np.random.default_rng(size)
    right = generator.random((3000, size)) < 0.8
    units = np.where(right, generator.integers(0, 3, (3000, 1)), generator.integers(0, 3, (3000, size))).tolist()
    plain, found = linearized(of_units(units), 0.0), fleiss_interval(units, 0.95)
    assert plain is not None
    assert found is not None
    assert (found.low, found.high) == pytest.approx(student(plain.coefficient, plain.standard_error, 3000), abs=0.002)


def test_units_without_a_difference_are_as_sure_as_wilson_says() -> None:
    found = cohen_interval([1, 0] * 6, [1, 0] * 6, 0.95)
    assert found is not None
    assert found.low == pytest.approx(2 * wilson(12, 12, 0.95).low - 1)
    assert found.high == 1


def test_answers_about_the_same_picture_count_for_less() -> None:
    generator = np.random.default_rng(3)
    first = generator.integers(0, 2, 60).tolist()
    second = [rating if generator.random() < 0.8 else 1 - rating for rating in first]
    names = [str(place) for place in range(60)]
    once = cohen_interval(first, second, 0.95)
    alone = cohen_interval(first * 5, second * 5, 0.95)
    pictured = cohen_interval(first * 5, second * 5, 0.95, names * 5, "picture")
    assert once is not None
    assert alone is not None
    assert pictured is not None
    assert (pictured.low, pictured.high) == pytest.approx((once.low, once.high), abs=1e-12)
    assert pictured.high - pictured.low > 1.8 * (alone.high - alone.low)
    assert (once.method, pictured.method) == ("linearized over units", "linearized over pictures")


@given(units_of_ratings)
def test_an_interval_holds_its_coefficient(units: list[list[str]]) -> None:
    sized = [unit[:2] for unit in units]
    first, second = [unit[0] for unit in units], [unit[1] for unit in units]
    for coefficient, interval in (
        (fleiss_kappa(sized), fleiss_interval(sized, 0.95)),
        (krippendorff_alpha(units), krippendorff_interval(units, 0.95)),
        (cohen_kappa(first, second), cohen_interval(first, second, 0.95)),
    ):
        assert (interval is None) == (coefficient is None or len(units) == 1)
        if coefficient is not None and interval is not None:
            assert -1 <= interval.low <= coefficient + 1e-9
            assert coefficient - 1e-9 <= interval.high <= 1
