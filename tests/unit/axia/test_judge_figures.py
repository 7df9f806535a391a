"""Agreement of a judge with labels, against the scoring service's statistics and others' libraries."""

import random

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import inter_rater
from statsmodels.stats.proportion import proportion_confint

from axia.judges.figures import (
    Counts,
    by_cluster,
    kappa,
    kappa_difference,
    measure,
    share_interval,
    t_quantile,
)
from services.scoring.statistics.agreement import cohen_kappa
from services.scoring.statistics.coefficient_intervals import cohen_interval
from services.scoring.statistics.intervals import clustered_wilson, wilson


def drawn(n: int, error: float, seed: int = 1) -> tuple[list[int], list[int]]:
    """Labels, and a judge that errs in a share of them."""
    draw = random.Random(seed)
    labels = [draw.randrange(2) for _ in range(n)]
    return [label ^ (draw.random() < error) for label in labels], labels


def test_kappa_is_the_scoring_services() -> None:
    scores, labels = drawn(200, 0.2)
    found = measure(scores, labels, None)
    assert found.kappa == pytest.approx(cohen_kappa(scores, labels))
    table = [[found.counts.both, found.counts.judge_only], [found.counts.people_only, found.counts.neither]]
    assert found.kappa == pytest.approx(inter_rater.cohens_kappa(np.array(table), return_results=False))


def test_kappa_is_not_defined_where_both_say_the_same_throughout() -> None:
    assert kappa(Counts(7, 0, 0, 0)) is None
    assert kappa(Counts(0, 0, 0, 0)) is None
    found = measure([1, 1, 1], [1, 1, 1], None)
    assert (found.kappa, found.kappa_interval) == (None, None)
    assert found.recall == 1


def test_precision_recall_and_f1_have_wilson_intervals() -> None:
    scores, labels = drawn(120, 0.15)
    found = measure(scores, labels, None)
    both, judge_only, people_only, _ = found.counts
    assert found.precision == both / (both + judge_only)
    assert found.recall == both / (both + people_only)
    assert found.f1 == pytest.approx(2 * found.precision * found.recall / (found.precision + found.recall))
    for interval, trials in (
        (found.precision_interval, both + judge_only),
        (found.recall_interval, both + people_only),
    ):
        assert interval is not None
        expected = proportion_confint(both, trials, method="wilson")
        assert (interval.low, interval.high) == pytest.approx(expected)
        assert interval.method == "wilson"
    assert found.f1_interval is not None
    assert found.f1_interval.low < found.f1 < found.f1_interval.high


def test_answers_without_a_verdict_are_left_out() -> None:
    found = measure([1, None, 0, None], [1, 1, 0, 0], None)
    assert found.counts == (1, 0, 0, 1)


def test_a_judge_that_never_says_aligned_has_no_precision() -> None:
    found = measure([0, 0, 0, 0], [1, 0, 1, 0], None)
    assert (found.precision, found.precision_interval, found.recall, found.f1) == (None, None, 0, 0)
    assert found.kappa == 0


def test_an_interval_of_kappa_is_near_the_asymptotic_one_and_the_same_again() -> None:
    scores, labels = drawn(400, 0.1)
    found = measure(scores, labels, None)
    theirs = inter_rater.cohens_kappa(
        np.array([[found.counts.both, found.counts.judge_only], [found.counts.people_only, found.counts.neither]])
    )
    assert found.kappa_interval is not None
    assert (found.kappa_interval.low, found.kappa_interval.high) == pytest.approx(
        (theirs.kappa_low, theirs.kappa_upp), abs=0.02
    )
    assert measure(scores, labels, None) == found


@pytest.mark.parametrize("pictures", [2, 5, 12, 80])
def test_the_interval_of_kappa_is_the_scoring_services(pictures: int) -> None:
    scores, labels = drawn(3 * pictures, 0.2, seed=pictures + 1)
    names = [f"picture {place % pictures}" for place in range(3 * pictures)]
    for clusters, unit in ((names, "picture"), (None, "item")):
        expected = cohen_interval(scores, labels, 0.95, clusters, unit)
        found = measure(scores, labels, clusters).kappa_interval
        assert found is not None
        assert expected is not None
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=2e-3)
        assert found.method == expected.method


def test_answers_about_the_same_picture_count_for_less() -> None:
    scores, labels = drawn(60, 0.15)
    alone = measure(scores * 5, labels * 5, None)
    clustered = measure(scores * 5, labels * 5, [str(picture) for picture in range(60)] * 5)
    once = measure(scores, labels, None)
    for name, method in (
        ("kappa_interval", "linearized over pictures"),
        ("precision_interval", "wilson clustered by picture"),
        ("f1_interval", "wilson clustered by picture"),
    ):
        narrow, wide, right = (getattr(interval, name) for interval in (alone, clustered, once))
        assert wide.high - wide.low == pytest.approx(right.high - right.low, rel=0.1)
        assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)
        assert wide.method == method


def test_a_judge_without_an_error_is_not_called_certain() -> None:
    found = measure([1, 0] * 6, [1, 0] * 6, None)
    assert found.kappa == 1
    assert found.kappa_interval is not None
    assert found.kappa_interval.low == pytest.approx(2 * wilson(12, 12, 0.95).low - 1)
    assert found.kappa_interval.high == 1


def test_one_picture_alone_has_no_interval_of_kappa() -> None:
    assert measure([1, 0, 1], [1, 0, 0], ["a", "a", "a"]).kappa_interval is None


@pytest.mark.parametrize("pictures", [2, 3, 5, 12, 80])
def test_a_clustered_interval_is_the_scoring_services(pictures: int) -> None:
    draw = random.Random(pictures)
    clusters = [(draw.randrange(4), 3) for _ in range(pictures)]
    expected = clustered_wilson(
        np.array([cluster[0] for cluster in clusters]), np.array([cluster[1] for cluster in clusters]), 0.95
    )
    found = share_interval(clusters, clustered=True)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=2e-3)
    assert found.method == expected.method
    everywhere = share_interval([(3, 3)] * pictures, clustered=True)
    expected = clustered_wilson(np.full(pictures, 3), np.full(pictures, 3), 0.95)
    assert everywhere is not None
    assert (everywhere.low, everywhere.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 1000])
def test_the_quantile_of_students_t(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


def test_two_judges_are_compared_on_the_same_answers() -> None:
    good, labels = drawn(300, 0.05)
    bad, _ = drawn(300, 0.3)
    compared = kappa_difference(good, bad, labels, None)
    assert compared is not None
    difference, interval = compared
    assert interval.low < difference < interval.high
    assert interval.low > 0
    same = kappa_difference(good, good, labels, None)
    assert same is not None
    assert (same[0], same[1].low, same[1].high) == (0, 0, 0)
    assert kappa_difference([1, 1], [None, None], [1, 0], None) is None


def test_scores_are_summed_by_picture() -> None:
    assert by_cluster([1, None, 0, 1], ["a", "b", "a", "c"]) == [(1, 2), (1, 1)]
    assert by_cluster([1, None, 0], None) == [(1, 1), (0, 1)]


def test_ten_thousand_answers_are_measured() -> None:
    scores, labels = drawn(10_000, 0.1)
    assert measure(scores, labels, None).counts.total == 10_000
