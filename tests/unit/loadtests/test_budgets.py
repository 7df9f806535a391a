"""Limits that fail a run."""

import pytest

from loadtests.budgets import Budget, check
from loadtests.figures import Summary, summarize
from loadtests.records import SUPERSEDED, Outcome, Record, Recording


@pytest.fixture
def summary() -> Summary:
    """Eight calls of 1 s, one refusal, one superseded frame, in 10 s; one is sent 0.2 s too late."""
    records = [Record("detect", at, at, at + 1, Outcome(images=1)) for at in range(7)]
    records.append(Record("detect", 7, 7.2, 8, Outcome(images=1)))
    records.append(Record("detect", 8, 8, 8.1, Outcome("RESOURCE_EXHAUSTED")))
    records.append(Record("watch", 9, 9, 9.1, Outcome(SUPERSEDED)))
    return summarize(Recording(records, 10.0, 0))


@pytest.mark.parametrize(
    ("budget", "kept", "broken"),
    [
        ("max_errors", 1, 0),
        ("max_error_share", 0.1, 0.09),
        ("min_answered", 8, 9),
        ("min_answered_share", 0.9, 0.91),
        ("max_p50_s", 1.0, 0.99),
        ("max_p95_s", 1.0, 0.99),
        ("max_p99_s", 1.0, 0.99),
        ("min_answered_per_s", 0.8, 0.81),
        ("min_images_per_s", 0.8, 0.81),
        ("max_schedule_delay_p99_s", 0.21, 0.19),
        ("max_drift", 1.0, 0.99),
    ],
)
def test_each_limit_is_kept_at_what_was_measured_and_broken_beyond(
    summary: Summary, budget: str, kept: float, broken: float
) -> None:
    assert [verdict.kept for verdict in check({"all": Budget.model_validate({budget: kept})}, summary)] == [True]
    verdicts = check({"all": Budget.model_validate({budget: broken})}, summary)
    assert [verdict.kept for verdict in verdicts] == [False]
    assert budget in str(verdicts[0])


def test_every_limit_is_measured() -> None:
    limits = set(Budget.model_fields) - {"allowed_errors"}
    everything = Budget.model_validate(dict.fromkeys(limits, 1))
    recording = Recording([Record("detect", 0, 0, 1, Outcome())], 1.0, 0)
    assert {verdict.budget for verdict in check({"all": everything}, summarize(recording))} == limits


def test_errors_that_are_meant_do_not_count(summary: Summary) -> None:
    meant = Budget(max_errors=0, max_error_share=0, allowed_errors=frozenset({"RESOURCE_EXHAUSTED"}))
    assert all(verdict.kept for verdict in check({"all": meant}, summary))


def test_a_limit_of_what_was_never_measured_is_broken(summary: Summary) -> None:
    for budgets in ({"isq": Budget(max_errors=0)}, {"detect": Budget(max_first_p95_s=9)}):
        (verdict,) = check(budgets, summary)
        assert not verdict.kept
        assert "nothing was measured" in str(verdict)
