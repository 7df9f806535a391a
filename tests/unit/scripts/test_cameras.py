"""The simulation of cameras: what it says of the load test, and of simple cases."""

import pytest

from scripts.simulations.cameras import DEMO_ONE, DEMO_THREE, Replica, replicas_for, simulate


def test_it_says_what_the_load_test_measured() -> None:
    simulated = simulate(50, 5, DEMO_ONE, 20)
    assert simulated.frames == pytest.approx(5_000, abs=50)
    assert simulated.share == pytest.approx(12_092 / 15_000, abs=0.03)
    assert simulated.median_s == pytest.approx(0.32, abs=0.05)


def test_a_camera_alone_waits_for_nothing() -> None:
    simulated = simulate(1, 0.5, Replica(answers_per_s=10, alone_s=0.2), 60)
    assert simulated.answered == simulated.frames
    assert simulated.median_s == pytest.approx(0.2, abs=0.06)


def test_a_camera_that_is_too_fast_gets_one_answer_after_the_other() -> None:
    simulated = simulate(1, 50, Replica(answers_per_s=100, alone_s=0.1), 20)
    assert simulated.answered == pytest.approx(200, rel=0.05)
    # The newest frame is at most a fiftieth of a second old when its turn comes.
    assert simulated.median_s < 0.14


def test_replicas_are_enough_for_every_frame() -> None:
    assert replicas_for(1, 0.2, DEMO_THREE) == 1
    assert replicas_for(10_000, 0.2, DEMO_THREE) == 21
    assert replicas_for(10_000, 0.2, DEMO_THREE, used=1.0) == 17
