"""How a detection's time is shared out."""

import pytest

from gateway.backends.model_client import transit_s
from gateway.protocols.detection import shares
from gateway.protocols.reader import Measured
from services.serving.errors import DeadlineExceeded


@pytest.mark.parametrize(
    ("remaining_s", "reading_s", "sampling_s"),
    [
        (None, 0.1, 119.9),
        (10.0, 0.1, 10 - 0.4 - 0.15 - 0.1),
        (0.4, 0.1, 0.4 - 0.016 - 0.04 - 0.06),
        (0.1, 0.1, 0.1 - 0.004 - 0.01 - 0.015),
        (0.1, 0.01, 0.1 - 0.004 - 0.01 - 0.01),
    ],
)
def test_what_is_kept_back_is_a_share_of_a_short_time(
    remaining_s: float | None, reading_s: float, sampling_s: float
) -> None:
    assert shares(remaining_s, 120.0, 0.15, reading_s, clock=lambda: 0.0).sampling_s() == pytest.approx(sampling_s)


def test_the_error_names_what_is_kept_back() -> None:
    clock = iter((0.0, 0.3)).__next__
    with pytest.raises(DeadlineExceeded, match=r"had 0\.4 s until .* 0\.056 s to return .* 0\.06 s for scoring"):
        shares(0.4, 120.0, 0.15, 0.1, clock).sampling_s()


def test_slow_readings_of_a_new_process_are_soon_forgotten() -> None:
    scoring = Measured(0.1)
    for seconds in (2.0, 0.3, *[0.01] * 20):
        scoring.add(seconds)
    assert scoring.usual_s == 0.01


def test_scoring_is_measured_and_never_given_more_than_its_bound() -> None:
    scoring = Measured(0.1)
    assert scoring.usual_s == 0.1
    for _ in range(50):
        scoring.add(0.02)
    assert scoring.usual_s == pytest.approx(0.02, abs=0.005)
    for seconds in (0.02, 0.06) * 50:
        scoring.add(seconds)
    assert scoring.usual_s == 0.06
    for _ in range(50):
        scoring.add(5.0)
    assert scoring.usual_s == 0.1


def test_a_reading_that_fails_is_not_measured() -> None:
    scoring = Measured(0.1)
    with pytest.raises(ValueError, match="no"), scoring.measuring():
        raise ValueError("no")
    assert scoring.usual_s == 0.1


@pytest.mark.parametrize(
    ("timeout_s", "margin_s", "expected_s"),
    [(10.0, 0.15, 0.075), (10.0, 0.0, 0.025), (0.1, 0.15, 0.01), (0.001, 0.15, 0.005)],
)
def test_an_answer_has_time_to_arrive(timeout_s: float, margin_s: float, expected_s: float) -> None:
    assert transit_s(timeout_s, margin_s) == pytest.approx(expected_s)
