import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from services.scoring.statistics.intervals import (
    check_level,
    clustered_newcombe,
    clustered_wilson,
    few_clusters_level,
    newcombe_paired,
    wilson,
)
from services.serving.errors import InvalidArgument

counts = st.integers(0, 40)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17:857, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson(successes, trials, 0.95)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilson_agrees_with_statsmodels_and_holds_the_share(trials: int, share: float, level: float) -> None:
    successes = round(share * trials)
    interval = wilson(successes, trials, level)
    expected = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1


def test_the_paired_difference_has_the_published_interval() -> None:
    # Newcombe (1998), Statistics in Medicine 17:2635, table II, method 10: 36, 12, 2, 0.
    interval = newcombe_paired(36, 12, 2, 0, 0.95)
    assert interval.low == pytest.approx(0.0569, abs=5e-5)
    assert interval.high == pytest.approx(0.3404, abs=5e-5)


@given(counts, counts, counts, counts)
def test_the_paired_interval_holds_the_difference_and_turns_with_the_order(a: int, b: int, c: int, d: int) -> None:
    pairs = a + b + c + d
    if not pairs:
        return
    interval = newcombe_paired(a, b, c, d, 0.95)
    assert -1 <= interval.low <= (b - c) / pairs + 1e-12
    assert (b - c) / pairs - 1e-12 <= interval.high <= 1
    turned = newcombe_paired(a, c, b, d, 0.95)
    assert (turned.low, turned.high) == pytest.approx((-interval.high, -interval.low), abs=1e-12)


def test_the_clustered_interval_uses_the_variance_that_statsmodels_gives_for_clusters() -> None:
    generator = np.random.default_rng(5)
    clusters = np.repeat(np.arange(30), generator.integers(1, 6, 30))
    scores = (generator.random(len(clusters)) < generator.random(30)[clusters]).astype(float)
    fit = sm.OLS(scores, np.ones(len(scores))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True}
    )
    share = scores.mean()
    successes, trials = np.bincount(clusters, scores).astype(int), np.bincount(clusters)
    from scipy import stats

    small = stats.t.ppf(0.975, len(scores) - 1) / stats.t.ppf(0.975, 29)
    effective = share * (1 - share) / fit.bse[0] ** 2 * small**2
    expected = proportion_confint(share * effective, effective, method="wilson")
    interval = clustered_wilson(successes, trials, 0.95)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)


def test_clusters_of_one_are_nearly_a_plain_sample() -> None:
    ones = np.array([1] * 30 + [0] * 70)
    interval = clustered_wilson(ones, np.ones(100, dtype=int), 0.95)
    plain = wilson(30, 100, 0.95)
    assert interval.low == pytest.approx(plain.low, abs=0.002)
    assert interval.high == pytest.approx(plain.high, abs=0.002)


def test_clusters_that_are_all_alike_count_once_each() -> None:
    interval = clustered_wilson(np.array([3] * 12), np.array([3] * 12), 0.95)
    assert (interval.low, interval.high) == pytest.approx(wilson(12, 12, 0.95)[:2], abs=1e-12)
    single = clustered_wilson(np.array([2]), np.array([3]), 0.95)
    assert (single.low, single.high) == pytest.approx(wilson(2 / 3, 1, 0.95)[:2], abs=1e-12)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=30), st.randoms())
def test_the_clustered_interval_is_wider_than_a_plain_one_and_ignores_the_order(
    clusters: list[tuple[int, int]], random: object
) -> None:
    trials = np.array([size for size, _ in clusters])
    successes = np.array([min(size, hits) for size, hits in clusters])
    interval = clustered_wilson(successes, trials, 0.95)
    share = successes.sum() / trials.sum()
    plain = wilson(int(successes.sum()), int(trials.sum()), 0.95)
    assert 0 <= interval.low <= share <= interval.high <= 1
    assert interval.high - interval.low >= plain.high - plain.low - 1e-9
    turned = clustered_wilson(successes[::-1], trials[::-1], 0.95)
    assert (turned.low, turned.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_pairs_of_their_own_are_nearly_a_plain_sample() -> None:
    tables = np.eye(4, dtype=np.int64).repeat([36, 12, 2, 50], axis=0)
    clustered, plain = clustered_newcombe(tables, 0.95), newcombe_paired(36, 12, 2, 50, 0.95)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=0.003)
    assert clustered.method == "newcombe paired clustered by picture"


def test_pairs_that_are_all_alike_count_once_each_cluster() -> None:
    for row, once in (((3, 0, 0, 0), (10, 0, 0, 0)), ((0, 3, 0, 0), (0, 10, 0, 0))):
        found, expected = clustered_newcombe(np.array([row] * 10), 0.95), newcombe_paired(*once, 0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 4).filter(any), min_size=1, max_size=20))
def test_a_clustered_difference_holds_the_figure_and_turns_with_the_order(rows: list[tuple[int, ...]]) -> None:
    tables = np.array(rows)
    found, turned = clustered_newcombe(tables, 0.95), clustered_newcombe(tables[:, [0, 2, 1, 3]], 0.95)
    difference = (tables[:, 1].sum() - tables[:, 2].sum()) / tables.sum()
    assert -1 <= found.low <= difference + 1e-9
    assert difference - 1e-9 <= found.high <= 1
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


def test_percentiles_over_few_clusters_are_as_wide_as_students_interval() -> None:
    # Of a normal statistic with the standard error s √((n-1)/n) that resampling has, for n = 10.
    from scipy import stats

    half = stats.norm.ppf((1 + few_clusters_level(10, 0.95)) / 2) * np.sqrt(9 / 10)
    assert half == pytest.approx(stats.t.ppf(0.975, 9), abs=1e-9)
    assert few_clusters_level(1000, 0.95) == pytest.approx(0.95, abs=0.001)
    assert few_clusters_level(2, 0.999) <= 1


@pytest.mark.parametrize("level", [0.0, 0.49, 1.0, float("nan"), float("inf")])
def test_an_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(InvalidArgument, match="confidence_level"):
        check_level("confidence_level", level)


def test_the_order_of_clusters_changes_nothing() -> None:
    draw = np.random.default_rng(3)
    for _ in range(200):
        trials = draw.integers(1, 9, 7)
        successes = draw.integers(0, trials + 1)
        order = draw.permutation(7)
        assert clustered_wilson(successes, trials, 0.95) == clustered_wilson(successes[order], trials[order], 0.95)
        tables = draw.integers(0, 5, (7, 4)) + np.array([1, 0, 0, 0])
        assert clustered_newcombe(tables, 0.95) == clustered_newcombe(tables[order], 0.95)
