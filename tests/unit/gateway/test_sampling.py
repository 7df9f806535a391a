import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axia.prompts import load_prompts
from gateway.protocols.sampling import (
    MAX_SEED,
    DetectionRequest,
    GroundTruth,
    ModelDefaults,
    ModelLimits,
    SamplingPlan,
    completion_seed,
    plan_sampling,
)
from services.serving.errors import InvalidArgument, NotFound, ServiceError

LIMITS = ModelLimits(max_samples=16, max_tokens=1024)


def plan(**fields: object) -> SamplingPlan:
    request = DetectionRequest(image=b"", **fields)  # type: ignore[arg-type]
    return plan_sampling(request, LIMITS, load_prompts(), max_text_chars=100)


def test_defaults_are_those_of_the_values_detector_study() -> None:
    made = plan()
    assert made.temperatures == (1.0, 1.0, 1.0)
    assert made.max_tokens == 100
    assert made.prompt.id == "detect/baseline"
    assert made.system_prompt is None
    assert not made.full_text


def test_a_seed_is_drawn_where_none_is_given() -> None:
    assert plan().seed != plan().seed
    assert plan(seed=7).seed == 7


def test_n_follows_from_the_temperatures() -> None:
    assert plan(temperatures=(0.0, 0.5)).temperatures == (0.0, 0.5)


def test_own_texts_are_taken_as_prompts_without_an_id() -> None:
    made = plan(prompt_text="What matters here?", system_prompt_text="Be brief.")
    assert (made.prompt.id, made.prompt.text) == ("", "What matters here?")
    assert made.system_prompt is not None
    assert made.system_prompt.role == "system"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 17}, "n"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"temperatures": (1.0, 1.0), "n": 3}, "temperatures"),
        ({"temperatures": (1.0,), "temperature": 1.0}, "temperatures"),
        ({"temperatures": (1.0, math.nan)}, "temperatures[1]"),
        ({"temperatures": (1.0,) * 17}, "n"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_p": math.nan}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 1025}, "max_tokens"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**53}, "seed"),
        ({"abstain_threshold": 1.5}, "abstain_threshold"),
        ({"abstain_threshold": math.nan}, "abstain_threshold"),
        ({"prompt_text": ""}, "prompt_text"),
        ({"prompt_text": "x" * 101}, "prompt_text"),
        ({"system_prompt_text": " "}, "system_prompt_text"),
        ({"prompt_id": "interest/simple"}, "prompt_id"),
    ],
)
def test_a_field_out_of_bounds_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        plan(**fields)
    assert [violation.field for violation in caught.value.violations] == [field]


@pytest.mark.parametrize(
    "fields", [{"prompt_id": "detect/none"}, {"prompt_id": "detect/system"}, {"system_prompt_id": "x"}]
)
def test_an_unknown_prompt_is_not_found_and_the_known_ones_are_listed(fields: dict[str, object]) -> None:
    with pytest.raises(NotFound, match="use one of detect/"):
        plan(**fields)


def test_a_completion_seed_is_the_first_53_bits_of_the_documented_hash() -> None:
    # printf '1:0:ab' | sha256sum begins with 0cf59b4d9bbb58; 14 hexadecimal digits are 56 bits.
    assert completion_seed(1, 0, "ab") == 0x0CF59B4D9BBB58 >> 3


@given(st.integers(0, MAX_SEED - 1), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_neighbouring_request_seeds_share_no_completion(seed: int, sha256: str) -> None:
    one = {completion_seed(seed, index, sha256) for index in range(16)}
    other = {completion_seed(seed + 1, index, sha256) for index in range(16)}
    assert len(one) == 16
    assert not one & other


@given(
    n=st.none() | st.integers(-3, 40),
    temperature=st.none() | st.floats(),
    temperatures=st.lists(st.floats(), max_size=5).map(tuple),
    top_p=st.none() | st.floats(),
    max_tokens=st.none() | st.integers(-(2**31), 2**31 - 1),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
)
def test_any_request_is_planned_within_bounds_or_refused_by_field(**fields: object) -> None:
    try:
        made = plan(**fields)
    except ServiceError as error:
        assert error.violations
    else:
        assert 1 <= len(made.temperatures) <= LIMITS.max_samples
        assert all(0 <= value <= 2 for value in made.temperatures)
        assert 0 < made.top_p <= 1
        assert 1 <= made.max_tokens <= LIMITS.max_tokens
        assert 0 <= made.seed <= MAX_SEED


def test_a_models_own_defaults_hold_where_a_request_does_not_say() -> None:
    defaults = ModelDefaults(n=2, temperature=0.5, top_p=0.8, max_tokens=20, prompt_id="detect/safety")
    made = plan_sampling(DetectionRequest(image=b""), LIMITS, load_prompts(), 100, defaults)
    assert (made.temperatures, made.max_tokens, made.prompt.id) == ((0.5, 0.5), 20, "detect/safety")
    asked = plan_sampling(DetectionRequest(image=b"", n=1, temperature=0.0), LIMITS, load_prompts(), 100, defaults)
    assert asked.temperatures == (0.0,)
    assert (made.top_p, asked.top_p) == (0.8, 0.8)
    asked = plan_sampling(DetectionRequest(image=b"", top_p=1.0, max_tokens=5), LIMITS, load_prompts(), 100, defaults)
    assert (asked.top_p, asked.max_tokens) == (1.0, 5)


def test_a_calibrated_threshold_holds_where_a_request_does_not_say() -> None:
    defaults = ModelDefaults(abstain_threshold=0.8)
    made = plan_sampling(DetectionRequest(image=b""), LIMITS, load_prompts(), 100, defaults)
    asked = plan_sampling(DetectionRequest(image=b"", abstain_threshold=0.0), LIMITS, load_prompts(), 100, defaults)
    assert (made.abstain_threshold, asked.abstain_threshold) == (0.8, 0.0)


def test_defaults_never_exceed_a_models_limits() -> None:
    made = plan_sampling(DetectionRequest(image=b""), ModelLimits(2, 50), load_prompts(), 100)
    assert (len(made.temperatures), made.max_tokens) == (2, 50)
    defaults = ModelDefaults(n=8, max_tokens=70)
    made = plan_sampling(DetectionRequest(image=b""), ModelLimits(2, 50), load_prompts(), 100, defaults)
    assert (len(made.temperatures), made.max_tokens) == (2, 50)


@pytest.mark.parametrize(
    ("truth", "field"),
    [
        (GroundTruth(" "), "ground_truth.element"),
        (GroundTruth("x", ("",)), "ground_truth.accept[0]"),
        (GroundTruth("x", ("y",) * 65), "ground_truth.accept"),
        (GroundTruth("x" * 101), "ground_truth.element"),
        (GroundTruth("x", judge="semantic", judge_model="m"), "ground_truth.judge_model"),
    ],
)
def test_a_bad_ground_truth_is_named(truth: GroundTruth, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        plan(ground_truth=truth)
    assert caught.value.violations[0].field == field
