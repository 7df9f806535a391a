"""Means corrected by labels."""

import random
import warnings

import pytest

from axia.judges.ppi import corrected_mean


def drawn(n: int, draw: random.Random, share: float = 0.4) -> tuple[list[int], list[int | None]]:
    """Labels, and a judge that calls a fifth of what isn't aligned aligned."""
    labels = [int(draw.random() < share) for _ in range(n)]
    return labels, [int(label or draw.random() < 0.2) for label in labels]


def test_the_judges_bias_is_taken_away_and_the_interval_is_narrower_than_that_of_the_labels() -> None:
    draw = random.Random(1)
    labels, verdicts = drawn(200, draw)
    _, others = drawn(5000, draw)
    found = corrected_mean(labels, verdicts, None, others, None)
    assert found.judge is not None
    assert found.judge.value == pytest.approx(0.52, abs=0.02)
    assert found.judge.interval.low > 0.45  # certain, and wrong
    assert found.corrected.value == pytest.approx(0.4, abs=0.05)
    widths = [mean.interval.high - mean.interval.low for mean in (found.corrected, found.labels)]
    assert widths[0] < 0.75 * widths[1]
    assert (found.labelled_units, found.unlabelled_units) == (200, 5000)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draw = random.Random(2)
    covered = 0
    for _ in range(300):
        labels, verdicts = drawn(100, draw)
        _, others = drawn(600, draw)
        interval = corrected_mean(labels, verdicts, None, others, None).corrected.interval
        covered += interval.low <= 0.4 <= interval.high
    assert 0.91 <= covered / 300 <= 0.98


def test_answers_about_one_picture_are_one_unit() -> None:
    draw = random.Random(3)
    labels, verdicts = drawn(40, draw)
    _, others = drawn(100, draw)
    once = corrected_mean(labels, verdicts, None, others, None)
    pictures, other_pictures = [str(number) for number in range(40)], [str(number) for number in range(100)]
    thrice = corrected_mean(labels * 3, verdicts * 3, pictures * 3, others * 3, other_pictures * 3)
    assert thrice == once


def test_a_judge_that_says_nothing_leaves_the_labels() -> None:
    for verdict in (None, 1):
        found = corrected_mean([1, 0, 1, 0], [verdict] * 4, None, [verdict] * 9, None)
        assert found.corrected.value == found.labels.value == 0.5
        assert (found.judge is None) == (verdict is None)


def test_verdicts_that_are_missing_leave_the_mean_valid() -> None:
    draw = random.Random(4)
    labels, verdicts = drawn(400, draw)
    _, others = drawn(4000, draw)
    some: list[int | None] = [other if draw.random() < 0.8 else None for other in others]
    found = corrected_mean(labels, [verdict if draw.random() < 0.8 else None for verdict in verdicts], None, some, None)
    assert found.corrected.value == pytest.approx(0.4, abs=0.05)


def test_what_cannot_be_corrected_is_told() -> None:
    with pytest.raises(ValueError, match="rows need the field"):
        corrected_mean([1, 0], [1, 0], ["a", "b"], [1, 0], None)
    with pytest.raises(ValueError, match="at least 2 labelled"):
        corrected_mean([1, 0], [1, 0], ["a", "a"], [1, 0], ["b", "c"])


def test_the_library_silences_no_warnings() -> None:
    corrected_mean([1, 0], [1, 0], None, [1, 0], None)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)
