"""When calls arrive."""

import statistics
from itertools import pairwise

import pytest
from pydantic import ValidationError

from loadtests.shapes import Shape


def test_steady_calls_are_evenly_spaced() -> None:
    assert Shape(shape="steady", rate=5, seconds=1).arrivals() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])


def test_poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() -> None:
    arrivals = Shape(shape="poisson", rate=100, seconds=100, seed=3).arrivals()
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert len(arrivals) == pytest.approx(10_000, rel=0.05)
    assert statistics.mean(gaps) == pytest.approx(0.01, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.1)


def test_a_ramp_sends_as_many_calls_as_its_mean_rate_says_and_more_at_its_end() -> None:
    arrivals = Shape(shape="ramp", rate=10, peak=90, seconds=100, seed=1).arrivals()
    assert len(arrivals) == pytest.approx(5_000, rel=0.05)
    # The mean rate of the first tenth is 14/s, that of the last is 86/s.
    assert sum(at_s < 10 for at_s in arrivals) == pytest.approx(140, rel=0.3)
    assert sum(at_s >= 90 for at_s in arrivals) == pytest.approx(860, rel=0.1)


def test_a_spike_is_in_the_middle_fifth() -> None:
    arrivals = Shape(shape="spike", rate=10, peak=200, seconds=50, seed=1).arrivals()
    inside = sum(20 <= at_s < 30 for at_s in arrivals)
    assert inside == pytest.approx(2_000, rel=0.1)
    assert len(arrivals) - inside == pytest.approx(400, rel=0.2)


@pytest.mark.parametrize("shape", ["steady", "poisson", "ramp", "spike", "soak"])
def test_arrivals_ascend_within_the_phase_and_are_the_same_each_time(shape: str) -> None:
    phase = Shape.model_validate({"shape": shape, "rate": 20, "seconds": 30, "seed": 7})
    arrivals = phase.arrivals()
    assert arrivals == sorted(arrivals)
    assert arrivals[0] >= 0
    assert arrivals[-1] < 30
    assert arrivals == phase.arrivals()
    if shape != "steady":
        assert arrivals != phase.model_copy(update={"seed": 8}).arrivals()


def test_a_soak_lasts_half_an_hour_where_nothing_is_said() -> None:
    assert Shape(shape="soak").length_s == 1800
    assert Shape(shape="poisson").length_s == 60


@pytest.mark.parametrize(
    ("field", "value"), [("rate", 0), ("rate", -1), ("rate", float("nan")), ("seconds", 0), ("shape", "wave")]
)
def test_what_is_no_shape_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Shape.model_validate({field: value})


def test_a_peak_that_would_have_no_effect_is_refused() -> None:
    with pytest.raises(ValidationError, match="a steady has no peak"):
        Shape(shape="steady", peak=9)
