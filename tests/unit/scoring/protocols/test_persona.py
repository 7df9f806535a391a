import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.scoring.protocols.persona import PersonaOutcome, mean_interval, score_persona
from services.serving.errors import InvalidArgument

shares = st.floats(0.01, 1)


def outcomes(*pairs: tuple[float, float], platform: str = "TikTok") -> list[PersonaOutcome]:
    return [PersonaOutcome(f"p{index}", platform, before, after) for index, (before, after) in enumerate(pairs)]


def test_i_avg_is_the_mean_change_in_percent_with_points_beside() -> None:
    score = score_persona(outcomes((0.2, 0.3), (0.4, 0.5)))
    assert [change.percent for change in score.changes] == pytest.approx([50, 25])
    platform = score.platforms[0]
    assert platform.i_avg == pytest.approx(37.5)
    assert platform.points == pytest.approx(10)
    assert platform.undefined == 0


def test_nothing_before_gives_no_percentage_and_is_counted() -> None:
    platform = score_persona(outcomes((0, 0.4), (0.5, 0.5))).platforms[0]
    assert platform.i_avg == 0
    assert platform.undefined == 1
    assert platform.points == pytest.approx(20)
    assert platform.interval is None
    assert platform.points_interval is not None


def test_a_platform_where_nobody_has_a_percentage_has_none() -> None:
    platform = score_persona(outcomes((0, 0.4), (0, 0.5))).platforms[0]
    assert platform.i_avg is None
    assert platform.undefined == 2


def test_a_share_too_small_to_divide_by_counts_as_nothing() -> None:
    assert score_persona(outcomes((5e-324, 1.0))).changes[0].percent is None


def test_a_share_that_is_nothing_but_rounding_gives_no_percentage() -> None:
    score = score_persona(outcomes((0.1 + 0.2 - 0.3, 1.0), (1e-306, 1.0), (1e-306, 1.0), (0.5, 1.0)))
    assert [change.percent for change in score.changes] == [None, None, None, 100.0]
    assert score.platforms[0].i_avg == 100
    assert score.platforms[0].undefined == 3


def test_the_interval_is_no_narrower_than_students_and_reaches_further_where_values_are_skewed() -> None:
    generator = np.random.default_rng(4)
    for values, wider in ((generator.normal(10, 5, 40), 0.5), (generator.exponential(30, 12) ** 2, 5.0)):
        found = mean_interval(values.tolist(), 0.95, 4000, 9)
        student = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        assert found is not None
        assert found.low <= student[0] + 1e-9
        assert student[1] - 1e-9 <= found.high
        assert (found.high - student[1] > wider) == (wider > 1)
        assert found.method == "student t and bootstrap t over personas"


def test_the_bootstrap_t_is_that_of_efron_and_tibshirani() -> None:
    values = np.random.default_rng(5).exponential(30, 12)
    error = stats.sem(values)
    drawn = np.sort(values)[np.random.default_rng(9).integers(0, 12, (3000, 12))]
    studentized = (drawn.mean(axis=1) - values.mean()) / stats.sem(drawn, axis=1)
    found = mean_interval(values.tolist(), 0.95, 3000, 9)
    assert found is not None
    assert found.high == pytest.approx(values.mean() - np.quantile(studentized, 0.025) * error)


@settings(max_examples=30)
@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=12))
def test_the_order_of_personas_does_not_count(pairs: list[tuple[float, float]]) -> None:
    one = score_persona(outcomes(*pairs), resamples=200, seed=5).platforms[0]
    other = score_persona(outcomes(*pairs)[::-1], resamples=200, seed=5).platforms[0]
    assert one.i_avg == other.i_avg
    assert one.interval == other.interval
    assert one.i_avg is not None
    assert one.i_avg >= -100
    assert -100 <= one.points <= 100
    if one.interval:
        assert one.interval.low - 1e-9 <= one.i_avg <= one.interval.high + 1e-9


def test_equal_changes_have_an_interval_of_no_width() -> None:
    platform = score_persona(outcomes((0.4, 0.5), (0.4, 0.5), (0.4, 0.5))).platforms[0]
    assert platform.interval is not None
    assert platform.interval.low == pytest.approx(25)
    assert platform.interval.high == pytest.approx(25)


def test_platforms_keep_the_order_in_which_they_come() -> None:
    rows = [*outcomes((0.5, 0.6), platform="YouTube"), *outcomes((0.5, 0.7), platform="Instagram")]
    assert [platform.platform for platform in score_persona(rows).platforms] == ["YouTube", "Instagram"]


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "outcomes"),
        (outcomes((0.5, 1.1)), "outcomes[0].after"),
        (outcomes((0.5, 0.5), (float("nan"), 1)), "outcomes[1].before"),
        (outcomes((0.5, 0.5)) * 2, "outcomes[1]"),
        ([PersonaOutcome(" ", "t", 0, 0)], "outcomes[0].persona"),
    ],
)
def test_bad_outcomes_are_named(rows: list[PersonaOutcome], field: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        score_persona(rows)
    assert raised.value.violations[0].field == field
