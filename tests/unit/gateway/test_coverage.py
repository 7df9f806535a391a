"""The alarm of a calibrated model's coverage: what it notices, how soon, and how seldom it is wrong."""

import logging
import math
import random
import statistics
from dataclasses import replace

import pytest

from axia.prompts import load_prompts
from gateway import metrics
from gateway.protocols.coverage import CoverageWatch, CoverageWatches, as_calibrated
from gateway.protocols.sampling import DetectionRequest, ModelDefaults, ModelLimits, SamplingPlan, plan_sampling
from services.serving.metrics import REGISTRY

PROMPTS = load_prompts()
DEFAULTS = ModelDefaults(n=5, abstain_threshold=0.8, calibrated_coverage=0.8, calibrated_images=400)

LIMITS = ModelLimits(max_samples=16, max_tokens=256)


def plan(request: DetectionRequest, defaults: ModelDefaults = DEFAULTS) -> SamplingPlan:
    return plan_sampling(request, LIMITS, PROMPTS, 10_000, defaults)


def until_alarm(watch: CoverageWatch, share: float, source: random.Random, most: int) -> tuple[int, list[str]]:
    """How many detections with this share of answers it takes to the first alarm, and its direction."""
    for number in range(1, most + 1):
        if begins := watch.add(answered=source.random() < share):
            return number, list(begins)
    return most, []


@pytest.mark.parametrize(("share", "direction"), [(0.5, "lower"), (0.6, "lower"), (0.98, "higher")])
def test_a_changed_share_is_noticed_within_hundreds_of_detections(share: float, direction: str) -> None:
    delays = []
    for seed in range(20):
        watch, source = CoverageWatch(0.8, 400), random.Random(seed)
        assert until_alarm(watch, 0.8, source, 2000)[1] == []
        number, found = until_alarm(watch, share, source, 2000)
        assert found == [direction]
        delays.append(number)
    assert statistics.median(delays) < 500


@pytest.mark.parametrize("share", [0.77, 0.8, 0.83])
def test_what_calibration_leaves_open_is_no_change(share: float) -> None:
    """400 images leave 0.758 to 0.836 open; in 20 runs of 5,000 detections at most one alarm is expected by chance."""
    alarms = sum(bool(until_alarm(CoverageWatch(0.8, 400), share, random.Random(seed), 5000)[1]) for seed in range(20))
    assert alarms <= 1


def test_the_statistic_is_the_log_likelihood_ratio_of_page() -> None:
    watch = CoverageWatch(0.5, 10**9)  # so many images that nothing is left open
    steps = [True, False, False, True, False, False, False]
    expected = 0.0
    for answered in steps:
        watch.add(answered=answered)
        expected = max(0.0, expected + (math.log(0.4 / 0.5) if answered else math.log(0.6 / 0.5)))
    assert watch.evidence()["lower"] == pytest.approx(expected / math.log(200_000), rel=1e-3)


def test_a_model_that_answered_everything_or_nothing_has_one_direction() -> None:
    assert set(CoverageWatch(1.0, 50).evidence()) == {"lower"}
    assert set(CoverageWatch(0.0, 50).evidence()) == {"higher"}


def test_the_alarm_is_logged_once_and_again_after_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    watches, sampled = CoverageWatches(), plan(DetectionRequest(image=b""))
    with caplog.at_level(logging.WARNING):
        for abstained in (*[True] * 200, *[False] * 400, *[True] * 200):
            watches.add("drifting", sampled, DEFAULTS, LIMITS, abstained=abstained)
    lower = [record for record in caplog.records if "lower share of images than the 80%" in record.getMessage()]
    assert len(lower) == 2
    assert "run axia calibrate again" in lower[0].getMessage()


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_metrics_have_the_expected_share_and_the_evidence() -> None:
    watches, sampled = CoverageWatches(), plan(DetectionRequest(image=b""))
    for number in range(60):
        watches.add("measured", sampled, DEFAULTS, LIMITS, abstained=number % 2 == 0)
    assert value("axia_gateway_calibrated_coverage", model="measured") == 0.8
    assert value("axia_gateway_calibrated_detections_total", model="measured", outcome="answered") == 30
    evidence = value("axia_gateway_coverage_drift", model="measured", direction="lower")
    assert evidence is not None
    assert 0 < evidence < 1
    higher = value("axia_gateway_coverage_drift", model="measured", direction="higher")
    assert higher is not None
    assert higher < 0.05
    assert metrics.COVERAGE_DRIFT  # the names above are those of this module


def test_another_calibration_begins_anew() -> None:
    watches, sampled = CoverageWatches(), plan(DetectionRequest(image=b""))
    for _ in range(200):
        watches.add("again", sampled, DEFAULTS, LIMITS, abstained=True)
    again = ModelDefaults(n=5, abstain_threshold=0.8, calibrated_coverage=0.1, calibrated_images=400)
    watches.add("again", sampled, again, LIMITS, abstained=True)
    assert value("axia_gateway_calibrated_coverage", model="again") == 0.1
    assert value("axia_gateway_coverage_drift", model="again", direction="lower") < 0.1  # type: ignore[operator]


@pytest.mark.parametrize("coverage", [1.0, None])
def test_an_alarm_ends_where_the_model_is_calibrated_again_or_no_longer_is(coverage: float | None) -> None:
    """The next calibration may watch one direction alone: of what answers everything no share is higher."""
    watches, model = CoverageWatches(), f"ends {coverage}"
    sampled, before = plan(DetectionRequest(image=b"")), replace(DEFAULTS, calibrated_coverage=0.5)
    for _ in range(200):
        watches.add(model, sampled, before, LIMITS, abstained=False)
    assert value("axia_gateway_coverage_drift", model=model, direction="higher") == pytest.approx(1.5)
    images = None if coverage is None else 50
    after = replace(DEFAULTS, calibrated_coverage=coverage, calibrated_images=images)
    watches.add(model, sampled, after, LIMITS, abstained=False)
    assert value("axia_gateway_coverage_drift", model=model, direction="higher") == 0
    assert value("axia_gateway_calibrated_coverage", model=model) == coverage


def test_an_alarm_ends_with_its_model() -> None:
    watches, sampled = CoverageWatches(), plan(DetectionRequest(image=b""))
    watches.end("gone")  # nothing was watched yet
    for _ in range(200):
        watches.add("gone", sampled, DEFAULTS, LIMITS, abstained=True)
    assert value("axia_gateway_coverage_drift", model="gone", direction="lower") == pytest.approx(1.5)
    watches.end("gone")
    assert value("axia_gateway_coverage_drift", model="gone", direction="lower") == 0
    assert value("axia_gateway_calibrated_coverage", model="gone") is None
    watches.add("gone", sampled, DEFAULTS, LIMITS, abstained=True)  # it is back
    assert value("axia_gateway_calibrated_coverage", model="gone") == 0.8


@pytest.mark.parametrize(
    ("request_", "counts"),
    [
        (DetectionRequest(image=b""), True),
        (DetectionRequest(image=b"", n=5, abstain_threshold=0.8, temperature=1.0), True),
        (DetectionRequest(image=b"", n=3), False),
        (DetectionRequest(image=b"", abstain_threshold=0.5), False),
        (DetectionRequest(image=b"", temperature=0.2), False),
        (DetectionRequest(image=b"", top_p=1.0, max_tokens=100), True),
        (DetectionRequest(image=b"", top_p=0.1), False),
        (DetectionRequest(image=b"", max_tokens=2), False),
        (DetectionRequest(image=b"", prompt_id="detect/safety"), False),
        (DetectionRequest(image=b"", prompt_text="What is this?"), False),
        (DetectionRequest(image=b"", system_prompt_text="Be brief."), False),
    ],
)
def test_only_detections_that_are_sampled_as_at_calibration_count(request_: DetectionRequest, *, counts: bool) -> None:
    assert as_calibrated(plan(request_), DEFAULTS, LIMITS) is counts


def test_a_model_without_a_calibration_is_not_watched() -> None:
    CoverageWatches().add("plain", plan(DetectionRequest(image=b"")), ModelDefaults(), LIMITS, abstained=True)
    assert value("axia_gateway_calibrated_coverage", model="plain") is None
