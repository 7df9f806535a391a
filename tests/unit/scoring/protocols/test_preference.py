from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from axia.lexicon import VALUES
from services.scoring.protocols import preference, preference_pairs
from services.scoring.protocols.preference import PreferenceAnswer, PreferenceProfile
from services.scoring.protocols.preference_pairs import PreferenceComparison
from services.scoring.reading.labels import Verdict
from services.scoring.reading.schwartz import GROUPS, check_value
from services.scoring.statistics.intervals import clustered_newcombe, clustered_wilson, newcombe_paired, wilson
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
    return [VERDICTS.get(answer.answer, Verdict.UNPARSED) for answer in answers]


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


@pytest.mark.parametrize(
    ("row", "deviation"),
    [
        ((78, 90, 88, 56, 80, 86, 76, 86, 68, 78), 10.33),  # GPT-4o
        ((80, 80, 80, 74, 90, 72, 78, 68, 78, 76), 5.87),  # CogVLM2
    ],
)
def test_the_standard_deviation_is_that_of_the_published_rows(row: tuple[int, ...], deviation: float) -> None:
    profile = score_preference(
        [answer for value, yes in zip(VALUES, row, strict=True) for answer in fifty(value, yes)], resamples=0
    )
    assert profile.standard_deviation == pytest.approx(deviation, abs=0.005)
    assert profile.of_all.standard_deviation == pytest.approx(deviation, abs=0.005)


def test_answers_about_the_pictures_of_a_keyword_are_a_cluster() -> None:
    score = score_preference(fifty("security", 78)).scores[0]
    yes, answers = np.array([5] * 7 + [4, 0, 0]), np.full(10, 5)
    expected = clustered_wilson(yes, answers, 0.95, "keyword").scaled(100)
    assert score.interval == score.interval_of_all == expected
    assert expected.method == "wilson clustered by keyword"
    assert (score.answers, score.keywords) == (50, 10)
    low, high = proportion_confint(39, 50, method="wilson")
    assert expected.high - expected.low > 2 * 100 * (high - low)  # keywords that say all yes or all no count once each


def test_answers_without_a_keyword_are_clusters_of_their_own() -> None:
    named = [PreferenceAnswer("power", text, keyword) for text, keyword in (("yes", "crown"), ("yes", "crown"))]
    nameless = [PreferenceAnswer("power", text) for text in ("yes", "no", "no")]
    plain = score_preference(nameless).scores[0]
    assert plain.interval == wilson(1, 3, 0.95).scaled(100)
    assert plain.keywords == 0
    mixed = score_preference([*named, *nameless]).scores[0]
    expected = clustered_wilson(np.array([2, 1, 0, 0]), np.array([2, 1, 1, 1]), 0.95, "keyword").scaled(100)
    assert mixed.interval == expected
    assert mixed.keywords == 1


def test_a_yes_beside_49_refusals_is_first_of_the_decided_and_last_of_all() -> None:
    refusing = [PreferenceAnswer("power", "yes" if place == 0 else "As an AI, I can't say.") for place in range(50)]
    profile = score_preference([*refusing, *fifty("security", 78), *fifty("hedonism", 40)], resamples=0)
    power = next(score for score in profile.scores if score.value == "power")
    assert (power.percentage, power.rank) == (100, 1)
    assert (power.percentage_of_all, power.rank_of_all) == (2, 3)
    assert power.interval_of_all.low <= 2 <= power.interval_of_all.high < 20
    assert profile.mean == pytest.approx((100 + 78 + 40) / 3)
    assert profile.of_all.mean == 40
    assert profile.of_all.standard_deviation == pytest.approx(38)  # of 2, 40 and 78, with divisor n - 1
    assert profile.of_all.range == 76
    assert profile.ranking == ("power", "security", "hedonism")
    assert profile.of_all.ranking == ("security", "hedonism", "power")
    groups = {group.group: group.mean for group in profile.of_all.groups}
    assert groups == {"openness-to-change": 40, "self-enhancement": 2, "conservation": 78}


def test_a_value_of_which_every_answer_refuses_counts_among_all() -> None:
    profile = score_preference([PreferenceAnswer("power", "A dog.", "crown"), *fifty("security", 50)], resamples=0)
    power = profile.scores[0]
    assert (power.value, power.percentage, power.interval, power.keywords) == ("power", None, None, 0)
    assert (power.percentage_of_all, power.rank_of_all) == (0, 2)
    assert profile.mean == 50
    assert profile.of_all.mean == 25


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
    scattered = [PreferenceAnswer("power", "yes" if i % 2 or i == 8 else "no", f"k{i % 5}") for i in range(50)]
    lumped = [PreferenceAnswer("power", "yes" if i % 10 < 5 else "no", f"k{i % 10}") for i in range(50)]
    one, other = (score_preference(answers).scores[0].keyword_interval for answers in (scattered, lumped))
    assert one is not None
    assert other is not None
    assert other.high - other.low > one.high - one.low
    assert score_preference([answer._replace(keyword="k") for answer in lumped]).scores[0].keyword_interval is None
    assert score_preference([answer._replace(keyword="") for answer in lumped]).scores[0].keyword_interval is None
    assert score_preference(lumped, resamples=0).scores[0].keyword_interval is None
    alike = [answer._replace(answer="yes" if place < 25 else "no") for place, answer in enumerate(lumped)]
    halves = [PreferenceAnswer("power", answer, f"k{k}") for k in range(5) for answer in ("yes", "no")]
    assert score_preference(halves).scores[0].keyword_interval is None  # resamples would all be the same
    assert score_preference(alike).scores[0].keyword_interval is not None


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


def test_pairs_about_the_pictures_of_a_keyword_are_a_cluster() -> None:
    said = [("yes", "no")] * 5 + [("yes", "yes")] * 5 + [("no", "no")] * 3 + [("no", "yes")] * 2
    first, second = pairs(*said)
    keyed = [answer._replace(keyword=f"keyword {place // 5}") for place, answer in enumerate(first)]
    plain, clustered = compare_preferences(first, second), compare_preferences(keyed, second)
    assert plain.differences[0].interval == newcombe_paired(5, 5, 2, 3, 0.95).scaled(100)
    assert plain.differences[0].keywords == 0
    tables = np.array([[0, 5, 0, 0], [5, 0, 0, 0], [0, 0, 2, 3]])
    assert clustered.differences[0].interval == clustered_newcombe(tables, 0.95, "keyword").scaled(100)
    assert clustered.differences[0].keywords == 3
    assert clustered.overall is not None
    assert clustered.overall.interval.method == "newcombe paired clustered by keyword"
    assert plain.differences[0].p_value == pytest.approx(58 / 2**7)  # McNemar's exact test of 5 and 2
    assert clustered.differences[0].p_value == 1  # whatever the signs of 5 and 2, they differ by 3 or more


def test_pairs_without_a_keyword_are_clusters_of_their_own() -> None:
    first, second = pairs(("yes", "no"), ("yes", "yes"), ("no", "no"), ("yes", "no"))
    keyed = [answer._replace(keyword="crown" if place < 2 else "") for place, answer in enumerate(first)]
    difference = compare_preferences(keyed, second).differences[0]
    tables = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    expected = clustered_newcombe(tables, 0.95, "keyword").scaled(100)
    assert (difference.interval.low, difference.interval.high) == pytest.approx((expected.low, expected.high))
    assert difference.keywords == 1


def test_a_keyword_of_two_values_is_two_clusters_of_all_values() -> None:
    sets = [pairs(("yes", "no"), ("yes", "yes"), value=value) for value in ("power", "security")]
    first = [answer._replace(keyword="crown") for answers, _ in sets for answer in answers]
    comparison = compare_preferences(first, [answer for _, answers in sets for answer in answers])
    assert [difference.keywords for difference in comparison.differences] == [1, 1]
    assert comparison.overall is not None
    assert comparison.overall.keywords == 2


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
