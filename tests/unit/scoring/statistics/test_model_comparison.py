import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests

from services.scoring.statistics.mcnemar import mcnemar_power, needed_pairs
from services.scoring.statistics.model_comparison import ModelComparison, ModelScores, compare_models
from services.serving.errors import InvalidArgument


def models(table: np.ndarray) -> list[ModelScores]:
    """From pictures × completions × models."""
    ids = [f"picture {picture}" for picture in range(table.shape[0]) for _ in range(table.shape[1])]
    return [ModelScores(f"model {m}", ids, table[:, :, m].ravel().tolist()) for m in range(table.shape[2])]


def study(seed: int = 0, pictures: int = 12) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.random((pictures, 3, 4)) < np.array([0.2, 0.4, 0.5, 0.7])).astype(int)


def test_the_tests_are_those_of_statsmodels_on_the_majorities() -> None:
    table = study()
    comparison = compare_models(models(table))
    majority = (table.sum(axis=1) >= 2).astype(int)
    assert comparison.majority is not None
    assert comparison.majority.q == pytest.approx(cochrans_q(majority).statistic, abs=1e-9)
    assert comparison.completion_replica is not None
    assert comparison.completion_replica.q == pytest.approx(cochrans_q(table.reshape(-1, 4)).statistic, abs=1e-9)
    p_values = [
        mcnemar(
            [[0, int(((majority[:, i] == 1) & (majority[:, j] == 0)).sum())],
             [int(((majority[:, i] == 0) & (majority[:, j] == 1)).sum()), 0]], exact=True,
        ).pvalue
        for i in range(4) for j in range(i + 1, 4)
    ]  # fmt: skip
    assert [pair.p_value for pair in comparison.pairs] == pytest.approx(p_values, abs=1e-9)
    assert [pair.adjusted_p_value for pair in comparison.pairs] == pytest.approx(
        multipletests(p_values, method="holm")[1].tolist(), abs=1e-9
    )


def numbers(comparison: ModelComparison) -> list[float | None]:
    tests = [test for test in (comparison.majority, comparison.completion_replica) if test]
    return [value for test in tests for value in (test.q, test.p_value, test.permutation_p_value)]


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_the_order_of_pictures_does_not_count(seed: int, pictures: int) -> None:
    table = study(seed, pictures)
    compared = models(table)
    order = np.random.default_rng(seed).permutation(pictures * 3)
    mixed = [ModelScores(m.model, [m.picture_ids[i] for i in order], [m.scores[i] for i in order]) for m in compared]
    one, other = compare_models(compared), compare_models(mixed)
    assert numbers(one) == pytest.approx(numbers(other), abs=1e-12, nan_ok=True)
    assert one.models == other.models
    assert one.pairs == other.pairs


def test_a_tie_is_not_aligned_and_is_counted() -> None:
    comparison = compare_models([ModelScores("m", ["a", "a", "b", "b", "b"], [1, 0, 1, 1, 0])])
    assert comparison.models[0].ties == 1
    assert comparison.models[0].majority_share == 0.5
    assert comparison.models[0].mean == 0.6


def test_one_model_is_described_and_not_tested() -> None:
    comparison = compare_models(models(study()[:, :, :1]))
    assert comparison.majority is None
    assert comparison.completion_replica is None
    assert comparison.pairs == ()
    assert comparison.models[0].interval.low < comparison.models[0].mean < comparison.models[0].interval.high


def test_models_that_say_the_same_show_no_difference() -> None:
    table = np.repeat(study()[:, :, :1], 3, axis=2)
    comparison = compare_models(models(table))
    assert comparison.majority is not None
    assert comparison.majority.q is None
    assert comparison.majority.p_value == 1
    for pair in comparison.pairs:
        assert pair.p_value == pair.adjusted_p_value == 1
        assert pair.difference == 0
        assert pair.power is None
        assert pair.needed_pictures is None


def test_one_picture_can_show_nothing() -> None:
    comparison = compare_models(models(study(pictures=1)))
    assert comparison.pictures == 1
    assert all(pair.adjusted_p_value == 1 for pair in comparison.pairs)


def test_unequal_numbers_of_completions_have_no_replica() -> None:
    comparison = compare_models([ModelScores("m", ["a", "a", "b"], [1, 0, 1]), ModelScores("n", ["b", "a"], [1, 0])])
    assert comparison.completion_replica is None
    assert comparison.majority is not None


def test_a_target_difference_sets_what_is_planned_for() -> None:
    compared = models(study(pictures=40))
    small = compare_models(compared, target_difference=0.1).pairs[0]
    large = compare_models(compared, target_difference=0.3).pairs[0]
    assert small.needed_pictures is not None
    assert large.needed_pictures is not None
    assert small.needed_pictures > large.needed_pictures
    assert small.power is not None
    assert large.power is not None
    assert small.power < large.power


def two(first_only: int, second_only: int, neither: int) -> list[ModelScores]:
    ids = [str(picture) for picture in range(first_only + second_only + neither)]
    first = [1] * first_only + [0] * (second_only + neither)
    second = [0] * first_only + [1] * second_only + [0] * neither
    return [ModelScores("m", ids, first), ModelScores("n", ids, second)]


def test_the_needed_number_is_that_of_the_exact_test() -> None:
    assert compare_models(two(3, 1, 16)).pairs[0].needed_pictures == 168  # 155 by the normal approximation


def test_holms_correction_is_part_of_the_needed_number_and_of_power() -> None:
    compared = two(9, 3, 48)
    third = ModelScores("o", compared[0].picture_ids, compared[0].scores)
    alone = compare_models(compared, target_difference=0.1).pairs[0]
    among = compare_models([*compared, third], target_difference=0.1).pairs[0]
    assert alone.needed_pictures == needed_pairs(0.2, 0.1, 0.05, 0.8)
    assert among.needed_pictures == needed_pairs(0.2, 0.1, 0.05 / 3, 0.8)
    assert alone.power == pytest.approx(mcnemar_power(60, 0.2, 0.1, 0.05))
    assert among.power == pytest.approx(mcnemar_power(60, 0.2, 0.1, 0.05 / 3))


def test_there_is_no_power_to_find_what_was_observed() -> None:
    pair = compare_models(two(9, 3, 48)).pairs[0]
    assert pair.power is None
    assert pair.needed_pictures is not None


A = ModelScores("m", ["a", "b"], [1, 0])


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        ([], "models"),
        ([A._replace(model="")], "models[0].model"),
        ([A, A], "models[1].model"),
        ([A._replace(picture_ids=[], scores=[])], "models[0].picture_ids"),
        ([A._replace(scores=[1])], "models[0].scores"),
        ([A._replace(picture_ids=["a", ""])], "models[0].picture_ids[1]"),
        ([A, A._replace(model="n", scores=[1, 0.5])], "models[1].scores[1]"),
        ([A, A._replace(model="n", scores=[float("nan"), 1])], "models[1].scores[0]"),
        ([A, A._replace(model="n", picture_ids=["a", "c"])], "models[1].picture_ids"),
        ([A, A._replace(model="n", picture_ids=["a", "a"])], "models[1].picture_ids"),
    ],
)
def test_bad_scores_are_named(refused: list[ModelScores], field: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        compare_models(refused)
    assert raised.value.violations[0].field == field


@pytest.mark.parametrize("difference", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_target_is_refused(difference: float) -> None:
    with pytest.raises(InvalidArgument, match="target_difference"):
        compare_models([A], target_difference=difference)
