import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from services.scoring.statistics.mcnemar import (
    clustered_mcnemar_p,
    connor_pairs,
    holm,
    mcnemar_p,
    mcnemar_power,
    needed_pairs,
)


@pytest.mark.parametrize(("b", "c", "p"), [(121, 59, 4.434e-06), (70, 59, 0.378688), (80, 59, 0.08944448)])
def test_the_examples_of_statsmodels_come_out(b: int, c: int, p: float) -> None:
    # From the tests of statsmodels.stats.contingency_tables.mcnemar, which have them from R's exact2x2.
    assert mcnemar_p(b, c) == pytest.approx(p, rel=2e-4)


@given(st.integers(0, 300), st.integers(0, 300))
def test_p_agrees_with_statsmodels_and_scipy_either_way_round(b: int, c: int) -> None:
    p = mcnemar_p(b, c)
    assert p == mcnemar_p(c, b)
    assert p == pytest.approx(mcnemar([[0, b], [c, 0]], exact=True).pvalue, abs=1e-9)
    assert p == pytest.approx(stats.binomtest(b, b + c).pvalue if b + c else 1.0, abs=1e-9)
    assert 0 <= p <= 1


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=9))
def test_the_clustered_test_counts_the_signs_that_give_as_much(clusters: list[tuple[int, int]]) -> None:
    differences = [first - second for first, second in clusters]
    sums = [
        sum(map(math.prod, zip(signs, differences, strict=True))) for signs in product((1, -1), repeat=len(clusters))
    ]
    expected = sum(abs(total) >= abs(sum(differences)) for total in sums) / len(sums)
    assert clustered_mcnemar_p(clusters) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_clustered_test_of_single_pairs_is_the_plain_one(b: int, c: int) -> None:
    assert clustered_mcnemar_p([(1, 0)] * b + [(0, 1)] * c) == pytest.approx(mcnemar_p(b, c), abs=1e-9)


def test_the_clustered_test_agrees_whether_it_enumerates_convolves_or_approximates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(1)
    few = [(int(difference), 0) if difference > 0 else (0, int(-difference)) for difference in draw.integers(-5, 8, 14)]
    enumerated = clustered_mcnemar_p(few)
    monkeypatch.setattr("services.scoring.statistics.mcnemar._ALL_SIGNS", 0)
    assert clustered_mcnemar_p(few) == pytest.approx(enumerated, abs=1e-12)
    many = [
        (int(difference), 0) if difference > 0 else (0, int(-difference)) for difference in draw.integers(-5, 6, 1_000)
    ]
    exact = clustered_mcnemar_p(many)
    monkeypatch.setattr("services.scoring.statistics.mcnemar._EXACT_SUM", 0)
    assert clustered_mcnemar_p(many) == pytest.approx(exact, abs=0.01)


def test_the_clustered_test_keeps_its_level_where_pairs_of_a_keyword_are_alike() -> None:
    draw = np.random.default_rng(7)
    studies, keywords, pictures, alike = 2_000, 10, 5, 0.3
    spread = (1 - alike) / alike / 2
    plain = clustered = 0
    for _ in range(studies):
        # Of the discordant pairs of a keyword, the share in favour of the first is beta, one half on average.
        shares = draw.beta(spread, spread, keywords)
        discordant = draw.binomial(pictures, 0.5, keywords)
        first = draw.binomial(discordant, shares)
        pairs = list(zip(first.tolist(), (discordant - first).tolist(), strict=True))
        plain += mcnemar_p(int(first.sum()), int((discordant - first).sum())) < 0.05
        clustered += clustered_mcnemar_p(pairs) < 0.05
    assert plain > 0.06 * studies
    assert clustered < 0.05 * studies


def test_holm_gives_the_textbook_values() -> None:
    # The worked example of the Holm-Bonferroni method: 0.01, 0.04, 0.03, 0.005.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@settings(max_examples=20)  # statsmodels' function takes tens of milliseconds
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels_and_never_lowers_a_p_value(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert adjusted == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-12)
    assert all(one <= other <= 1 for one, other in zip(p_values, adjusted, strict=True))
    assert holm(p_values[::-1]) == pytest.approx(adjusted[::-1], abs=1e-12)


def power_by_enumeration(pairs: int, discordant: float, difference: float, alpha: float) -> float:
    first, second = (discordant + difference) / 2, (discordant - difference) / 2
    power = 0.0
    for b, c in product(range(pairs + 1), repeat=2):
        if b + c <= pairs and mcnemar_p(b, c) <= alpha:
            power += stats.multinomial.pmf([b, c, pairs - b - c], pairs, [first, second, 1 - discordant])
    return power


@settings(max_examples=15)
@given(st.integers(1, 14), st.floats(0.1, 1), st.floats(-1, 1), st.sampled_from([0.05, 0.01, 0.2, 0.5]))
def test_exact_power_is_that_of_every_outcome(pairs: int, discordant: float, part: float, alpha: float) -> None:
    power = mcnemar_power(pairs, discordant, part * discordant, alpha)
    assert power == pytest.approx(power_by_enumeration(pairs, discordant, part * discordant, alpha), abs=1e-9)
    assert 0 <= power <= 1


@pytest.mark.parametrize(
    ("discordant", "difference", "pairs"),
    [
        (0.5, 0.4, 23),  # powerandsamplesize.com, McNemar's test, two-sided, after Connor (1987), p. 209
        (0.45, 0.15, 155),  # clinicaltrials-tools, sample size of McNemar's test, after the same
    ],
)
def test_published_examples_need_the_published_number(discordant: float, difference: float, pairs: int) -> None:
    assert connor_pairs(discordant, difference, 0.05, 0.8) == pairs


def test_the_approximate_number_follows_connors_formula() -> None:
    # By hand: z = 1.959964 and 0.841621, ψ = 0.3, δ = 0.2: (1.959964·√0.3 + 0.841621·√0.26)² / 0.04 = 56.4.
    assert connor_pairs(0.3, 0.2, 0.05, 0.8) == 57
    assert connor_pairs(0.3, -0.2, 0.05, 0.8) == 57
    assert connor_pairs(1.0, 1.0, 0.05, 0.8) == math.ceil(1.959964**2)


def test_the_exact_test_needs_more_than_the_approximation_says() -> None:
    assert connor_pairs(0.2, 0.1, 0.05, 0.8) == 155
    assert needed_pairs(0.2, 0.1, 0.05, 0.8) == needed_pairs(0.2, -0.1, 0.05, 0.8) == 168
    assert needed_pairs(0.3, 0.0, 0.05, 0.8) is None
    assert needed_pairs(1.0, 1.0, 0.05, 0.8) == 6  # 2 · ½⁶ is the first below 0.05


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 1), st.floats(0.3, 1), st.sampled_from([0.05, 0.005]), st.sampled_from([0.6, 0.8]))
def test_power_is_too_low_before_the_needed_number_and_enough_from_it_on(
    discordant: float, part: float, alpha: float, power: float
) -> None:
    needed = needed_pairs(discordant, part * discordant, alpha, power)
    assert needed is not None
    assert needed == 1 or mcnemar_power(needed - 1, discordant, part * discordant, alpha) < power
    for more in range(20):
        assert mcnemar_power(needed + more, discordant, part * discordant, alpha) >= power


def test_the_needed_number_of_a_small_difference_goes_on_where_the_exact_one_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = needed_pairs(0.3, 0.02, 0.05, 0.8)
    monkeypatch.setattr("services.scoring.statistics.mcnemar._EXACT_PAIRS", 100)
    needed_pairs.cache_clear()
    approximate = needed_pairs(0.3, 0.02, 0.05, 0.8)
    needed_pairs.cache_clear()
    assert exact is not None
    assert approximate == pytest.approx(exact, rel=0.005)


@pytest.mark.parametrize(("discordant", "difference"), [(0.3, 0.2), (0.4, 0.1), (0.2, 0.15)])
def test_power_at_the_needed_number_is_near_its_aim(discordant: float, difference: float) -> None:
    needed = needed_pairs(discordant, difference, 0.05, 0.8)
    assert needed is not None
    assert 0.8 <= mcnemar_power(needed, discordant, difference, 0.05) < 0.85


def test_exact_and_approximate_power_meet_where_one_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = mcnemar_power(500, 0.3, 0.06, 0.05)
    monkeypatch.setattr("services.scoring.statistics.mcnemar._EXACT_PAIRS", 100)
    assert mcnemar_power(500, 0.3, 0.06, 0.05) == pytest.approx(exact, abs=0.04)
