"""Rates, percentiles and errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.figures import Percentiles, quantile, summarize
from loadtests.records import SUPERSEDED, Outcome, Record, Recording


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_numpys_inverted_cdf(values: list[float], share: float) -> None:
    ordered = sorted(values)
    assert quantile(ordered, share) == np.quantile(ordered, share, method="inverted_cdf")


def test_percentiles_are_values_that_were_measured() -> None:
    found = Percentiles.of(range(1, 101))
    assert found == Percentiles(p50=50, p90=90, p95=95, p99=99, max=100)
    assert Percentiles.of([]) is None


def call(
    intended_s: float, ended_s: float, *, late_s: float = 0.0, code: str = "OK", scenario: str = "detect"
) -> Record:
    return Record(scenario, intended_s, intended_s + late_s, ended_s, Outcome(code, images=int(code == "OK")))


def test_latency_counts_from_the_intended_time() -> None:
    summary = summarize(Recording([call(1.0, 3.0, late_s=1.5)], length_s=2.0, held_back=0))
    assert summary.total.latency_s is not None
    assert summary.total.latency_s.p50 == 2.0
    assert summary.total.service_s is not None
    assert summary.total.service_s.p50 == 0.5
    assert summary.total.schedule_delay_s is not None
    assert summary.total.schedule_delay_s.p50 == 1.5


def test_the_first_completion_counts_from_the_intended_time_too() -> None:
    record = Record("stream", 1.0, 1.2, 2.0, Outcome(images=1, first_s=0.3))
    summary = summarize(Recording([record], 2.0, 0))
    assert summary.total.first_completion_s is not None
    assert summary.total.first_completion_s.p50 == pytest.approx(0.5)


def test_rates_are_what_was_asked_what_was_sent_and_what_was_answered() -> None:
    records = [call(second, second + 0.5) for second in range(8)]
    records += [call(8, 20, late_s=4.0), call(9, 9.5, code="UNAVAILABLE")]
    total = summarize(Recording(records, length_s=10.0, held_back=1)).total
    assert (total.requested_per_s, total.achieved_per_s) == (1.0, 0.9)  # one was sent after the end
    assert (total.answered_per_s, total.images_per_s) == (9 / 20, 9 / 20)
    assert (total.answered, total.errors, total.error_share) == (9, {"UNAVAILABLE": 1}, 0.1)


def test_a_superseded_frame_is_neither_an_answer_nor_an_error() -> None:
    records = [call(0, 1), call(1, 2, code=SUPERSEDED)]
    total = summarize(Recording(records, 2.0, 0)).total
    assert (total.answered, total.superseded, total.failed) == (1, 1, 0)


def test_drift_shows_a_server_that_becomes_slower() -> None:
    steady = [call(second, second + 1) for second in range(50)]
    slower = [call(second, second + 1 + second / 50) for second in range(50)]
    assert summarize(Recording(steady, 50, 0)).total.drift == pytest.approx(1.0)
    drift = summarize(Recording(slower, 50, 0)).total.drift
    assert drift is not None
    assert drift > 1.5
    assert summarize(Recording(steady[:4], 4, 0)).total.drift is None


def test_windows_cover_the_time_and_count_each_call_once() -> None:
    records = [call(second / 2, second / 2 + 3) for second in range(20)]
    summary = summarize(Recording(records, 10.0, 0))
    width = summary.windows[0].end_s
    assert sum(window.requested_per_s * width for window in summary.windows) == pytest.approx(20)
    assert sum(window.answered_per_s * width for window in summary.windows) == pytest.approx(20)
    assert max(window.in_flight for window in summary.windows) == 6
    assert summary.windows[-1].in_flight == 0


def test_scenarios_are_told_apart_and_the_first_words_of_an_error_are_kept() -> None:
    failed = Record("stream", 0, 0, 1, Outcome("UNAVAILABLE", message="try again"))
    summary = summarize(Recording([call(0, 1), failed, failed], 1.0, 0))
    assert summary.scenarios["detect"].errors == {}
    assert summary.scenarios["stream"].errors == {"UNAVAILABLE": 2}
    assert summary.messages == {"UNAVAILABLE": "try again"}
