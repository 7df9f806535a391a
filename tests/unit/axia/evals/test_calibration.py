"""The threshold on agreement: its promise, and what it refuses."""

import json
import random
import statistics
from pathlib import Path

import pytest
from scipy.stats import binom

from axia.evals.calibration import Answered, binomial_tail, calibrate, curve


def item(number: int, agreement: float, *, correct: bool, reason: str | None = None) -> Answered:
    return Answered(f"p{number}", agreement, reason, correct)


RIGHT = {0.4: 0.5, 0.8: 0.83, 1.0: 0.96}
"""How often answers are right by their agreement: from 0.8 on 10.5% are wrong, just more than a bound of 10% allows."""
DRAWS, PICTURES, BOUND = 300, 400, 0.1


def draw(source: random.Random) -> list[Answered]:
    made = []
    for number in range(PICTURES):
        agreement = source.choice(list(RIGHT))
        made.append(item(number, agreement, correct=source.random() < RIGHT[agreement]))
    return made


def risk_from(threshold: float) -> float:
    answered = [right for agreement, right in RIGHT.items() if agreement >= threshold]
    return 1 - sum(answered) / len(answered)


def test_the_promise_holds_in_at_least_95_of_100_calibrations() -> None:
    source, kept, answered = random.Random(4), 0, 0
    for _ in range(DRAWS):
        found = calibrate(draw(source), BOUND)
        kept += found.threshold is None or risk_from(found.threshold) <= BOUND
        answered += found.threshold is not None
    assert kept / DRAWS >= 0.93  # 0.95, less what so many draws allow
    assert answered / DRAWS > 0.5


def test_the_threshold_with_the_right_share_of_errors_would_break_the_promise_far_more_often() -> None:
    source, kept = random.Random(5), 0
    for _ in range(DRAWS):
        fits = [point for point in curve(draw(source)) if point.risk is not None and point.risk <= BOUND]
        kept += not fits or risk_from(fits[-1].threshold) <= BOUND
    assert kept / DRAWS < 0.8


def test_the_tail_is_scipys() -> None:
    for errors, trials, rate in ((0, 10, 0.1), (3, 40, 0.2), (9, 30, 0.25), (30, 30, 0.5)):
        assert binomial_tail(errors, trials, rate) == pytest.approx(binom.cdf(errors, trials, rate))


def test_coverage_counts_pictures_without_a_consensus_as_not_answered() -> None:
    items = [item(0, 1.0, correct=True), item(1, 1.0, correct=True), item(2, 0.4, correct=False, reason="tie")]
    assert [(point.answered, point.coverage) for point in curve(items)] == [(2, pytest.approx(2 / 3))]


def test_where_nothing_keeps_the_bound_there_is_no_threshold() -> None:
    found = calibrate([item(number, 1.0, correct=number % 2 == 0) for number in range(100)], 0.1)
    assert found.threshold is None
    assert found.coverage == 0


@pytest.mark.parametrize(
    ("items", "bound", "said"),
    [
        ([], 0.1, "there are no labelled images"),
        ([item(1, 1.0, correct=True)] * 2, 0.1, "several times"),
        ([item(1, 1.0, correct=True)], 0.0, "above 0 and below 1"),
    ],
)
def test_refuses_what_promises_nothing(items: list[Answered], bound: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        calibrate(items, bound)


DEMO = Path(__file__).parents[3] / "data" / "evaluations" / "abstention_demo.jsonl"
"""What `SCENES=600 runs/calibration.sh vlm` found, with 40 tokens at most:
the demo model on scenes of the demo world."""


@pytest.mark.parametrize("bound", [0.05, 0.1])
def test_the_bound_holds_on_unseen_demo_scenes_in_at_least_93_of_100_resamplings(bound: float) -> None:
    items = [Answered(**json.loads(line)) for line in DEMO.read_text(encoding="utf-8").splitlines()]
    source, kept, coverage = random.Random(0), 0, []
    for _ in range(200):
        source.shuffle(items)
        found = calibrate(items[: len(items) // 2], bound)
        assert found.threshold is not None
        unseen = items[len(items) // 2 :]
        answered = [
            answer for answer in unseen if answer.abstain_reason is None and answer.agreement >= found.threshold
        ]
        kept += sum(not answer.correct for answer in answered) <= bound * len(answered)
        coverage.append(len(answered) / len(unseen))
    assert kept / 200 >= 0.93
    assert statistics.fmean(coverage) > 0.5
