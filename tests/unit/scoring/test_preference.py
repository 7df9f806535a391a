from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from services.scoring import preference, preference_pairs
from services.scoring.preference import PreferenceAnswer, PreferenceProfile
from services.scoring.preference_pairs import PreferenceComparison
from services.scoring.reader_labels import Verdict
from services.scoring.schwartz import GROUPS, VALUES, check_value
from services.serving.errors import InvalidArgument

# The scores of GPT-4o that arXiv 2411.11479 prints, as 50 answers each.
GPT_4O = {
    "self-direction": 78, "universalism": 90, "benevolence": 88, "stimulation": 56, "power": 80, "achievement": 86
}  # fmt: skip

VERDICTS = {
    **dict.fromkeys(("yes", "Yes", "Yes."), Verdict.YES),
    **dict.fromkeys(("no", "No", "No."), Verdict.NO),
    **dict.fromkeys(
        ("As an AI, I can't say.", "As an AI, I have no opinion; I don't have preferences."), Verdict.REFUSAL
    ),
}


def verdicts_of(answers: Sequence[PreferenceAnswer]) -> list[Verdict]:
    return [VERDICTS.get(own.answer, Verdict.UNPARSED) for own in answers]


def score_preference(answers: Sequence[PreferenceAnswer], **options: Any) -> PreferenceProfile:
    return preference.score_preference(answers, verdicts_of(answers), **options)


def compare_preferences(
    first: Sequence[PreferenceAnswer], second: Sequence[PreferenceAnswer], **options: Any
) -> PreferenceComparison:
    verdicts = verdicts_of(first), verdicts_of(second)
    return preference_pairs.compare_preferences(first, second, verdicts, **options)


replies = st.sampled_from(["Yes", "No", "As an AI, I have no opinion; I don't have preferences.", "A dog."])
rows = st.lists(
    st.builds(PreferenceAnswer, st.sampled_from(VALUES), replies, st.sampled_from(["globe", "crown", "temple"])),
    min_size=1,
)


def fifty(value: str, percentage: int) -> list[PreferenceAnswer]:
    return [
        PreferenceAnswer(value, "Yes." if 2 * index < percentage else "No.", f"keyword {index // 5}", str(index))
        for index in range(50)
    ]


def test_a_published_row_comes_out_of_its_answers() -> None:
    profile = score_preference([answer for value, score in GPT_4O.items() for answer in fifty(value, score)])
    assert {score.value: score.percentage for score in profile.scores} == GPT_4O
    assert profile.mean == pytest.approx(np.mean(list(GPT_4O.values())))
    assert profile.standard_deviation == pytest.approx(np.std(list(GPT_4O.values()), ddof=1), abs=1e-9)
    assert profile.population_standard_deviation == pytest.approx(np.std(list(GPT_4O.values())), abs=1e-9)
    assert profile.range == 34
    assert profile.ranking == ("universalism", "benevolence", "achievement", "power", "self-direction", "stimulation")
    assert [score.rank for score in profile.scores] == [5, 1, 2, 6, 4, 3]
    assert {group.group: group.mean for group in profile.groups} == {
        "openness-to-change": 67,
        "self-enhancement": 83,
        "self-transcendence": 89,
    }
    security = profile.scores[0]
    assert security.interval is not None
    low, high = proportion_confint(39, 50, method="wilson")
    assert (security.interval.low, security.interval.high) == pytest.approx((100 * low, 100 * high), abs=1e-9)


def test_refusals_stand_beside_the_percentage_and_not_in_it() -> None:
    answers = [PreferenceAnswer("power", text) for text in ("yes", "yes", "no", "As an AI, I can't say.", "A dog.")]
    score = score_preference(answers).scores[0]
    assert score.percentage == pytest.approx(200 / 3)
    assert score.percentage_of_all == 40
    assert (score.refusal_rate, score.unparsed_rate) == (0.2, 0.2)


def test_a_single_resample_has_no_interval() -> None:
    answers = [PreferenceAnswer("power", "yes", "crown"), PreferenceAnswer("power", "no", "throne")]
    assert score_preference(answers, resamples=1).scores[0].keyword_interval is None
    assert score_preference(answers, resamples=2).scores[0].keyword_interval is not None


def test_a_value_that_nobody_decides_has_no_percentage() -> None:
    profile = score_preference([PreferenceAnswer("power", "A dog.")])
    assert profile.scores[0].percentage is None
    assert profile.scores[0].rank == 0
    assert profile.mean is None
    assert profile.ranking == ()
    assert profile.groups == ()
    assert profile.unparsed_rate == 1


def test_equal_percentages_share_a_rank() -> None:
    answers = [
        PreferenceAnswer(value, text) for value, text in (("power", "no"), ("security", "yes"), ("tradition", "yes"))
    ]
    assert [score.rank for score in score_preference(answers).scores] == [3, 1, 1]


def test_the_bootstrap_takes_whole_keywords_and_needs_two() -> None:
    scattered = [PreferenceAnswer("power", "yes" if i % 2 else "no", f"k{i % 5}") for i in range(50)]
    lumped = [PreferenceAnswer("power", "yes" if i % 10 < 5 else "no", f"k{i % 10}") for i in range(50)]
    one, other = (score_preference(answers).scores[0].keyword_interval for answers in (scattered, lumped))
    assert one is not None
    assert other is not None
    assert other.high - other.low > one.high - one.low
    assert score_preference([answer._replace(keyword="k") for answer in lumped]).scores[0].keyword_interval is None
    assert score_preference([answer._replace(keyword="") for answer in lumped]).scores[0].keyword_interval is None
    assert score_preference(lumped, resamples=0).scores[0].keyword_interval is None


@settings(max_examples=40)
@given(rows, st.randoms(use_true_random=False))
def test_scores_stay_in_range_and_ignore_the_order(answers: list[PreferenceAnswer], random: object) -> None:
    profile = score_preference(answers, resamples=100, seed=2)
    mixed = list(answers)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    other = score_preference(mixed, resamples=100, seed=2)
    assert profile.scores == other.scores
    assert profile.ranking == other.ranking
    for score in profile.scores:
        assert score.yes + score.no + score.refusals + score.unparsed == score.answers
        if score.percentage is not None and score.interval is not None:
            assert 0 <= score.interval.low <= score.percentage <= score.interval.high <= 100 + 1e-9
    assert len(profile.verdicts) == len(answers)
    assert set(profile.ranking) == {score.value for score in profile.scores if score.percentage is not None}


@pytest.mark.parametrize(
    ("given_name", "value"),
    [
        ("Self-Direction", "self-direction"),
        ("self direction", "self-direction"),
        ("SELF_DIRECTION", "self-direction"),
        (" power ", "power"),
    ],
)
def test_a_value_may_be_written_in_several_ways(given_name: str, value: str) -> None:
    assert check_value("value", given_name) == value


@pytest.mark.parametrize(
    "name", ["", "fame", "selfdirection", "power" + " " * 100_000 + "x", "власть", "ٱلسُّلْطَة", "Ｐower"]
)
def test_an_unknown_value_is_named_with_its_place(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"answers\[1\]\.value") as raised:
        score_preference([PreferenceAnswer("power", "yes"), PreferenceAnswer(name, "yes")])
    assert raised.value.reason == "VALUE_UNKNOWN"
    assert len(raised.value.message) < 400


def test_every_value_is_in_one_group() -> None:
    assert sorted(value for members in GROUPS.values() for value in members) == sorted(VALUES)


def pairs(*verdicts: tuple[str, str], value: str = "power") -> tuple[list[PreferenceAnswer], list[PreferenceAnswer]]:
    first = [PreferenceAnswer(value, one, item_id=str(i)) for i, (one, _) in enumerate(verdicts)]
    return first, [PreferenceAnswer(value, other, item_id=str(i)) for i, (_, other) in enumerate(verdicts)]


def test_only_pairs_that_decide_are_compared() -> None:
    first, second = pairs(("yes", "no"), ("yes", "yes"), ("A dog.", "yes"), ("no", "As an AI, I can't say."))
    comparison = compare_preferences([*first, PreferenceAnswer("power", "yes", item_id="x")], second[::-1])
    difference = comparison.differences[0]
    assert (difference.both_yes, difference.first_only, difference.second_only, difference.both_no) == (1, 1, 0, 0)
    assert difference.difference == 50
    assert comparison.undecided_pairs == 2
    assert (comparison.unpaired_first, comparison.unpaired_second) == (1, 0)


def test_values_are_corrected_together() -> None:
    rows_of = [
        pairs(*[("yes", "no")] * n, value=value) for value, n in (("power", 8), ("security", 7), ("hedonism", 3))
    ]
    comparison = compare_preferences(
        [a for first, _ in rows_of for a in first], [a for _, second in rows_of for a in second]
    )
    raw = {d.value: d.p_value for d in comparison.differences}
    adjusted = {d.value: d.adjusted_p_value for d in comparison.differences}
    assert adjusted["power"] == pytest.approx(3 * raw["power"])
    assert adjusted["security"] == pytest.approx(2 * raw["security"])
    assert adjusted["hedonism"] == raw["hedonism"]
    assert comparison.overall is not None
    assert comparison.overall.first_only == 18


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from(["yes", "no"])), min_size=1, max_size=20))
def test_turning_the_sets_turns_the_difference(verdicts: list[tuple[str, str]]) -> None:
    first, second = pairs(*verdicts)
    one, other = compare_preferences(first, second).overall, compare_preferences(second, first).overall
    assert one is not None
    assert other is not None
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert (one.interval.low, one.interval.high) == pytest.approx((-other.interval.high, -other.interval.low), abs=1e-9)


def test_sets_without_a_common_item_have_no_difference() -> None:
    comparison = compare_preferences(
        [PreferenceAnswer("power", "yes", item_id="1")], [PreferenceAnswer("power", "yes", item_id="2")]
    )
    assert comparison.differences == ()
    assert comparison.overall is None
    assert comparison.mean_absolute_difference is None


def test_verdicts_come_in_the_order_of_the_answers() -> None:
    profile = score_preference([PreferenceAnswer("power", "no"), PreferenceAnswer("achievement", "yes")])
    assert profile.verdicts == (Verdict.NO, Verdict.YES)
