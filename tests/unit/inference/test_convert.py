"""When a server sends what is done of a generation, and how it describes its model."""

import pytest

from axia.v1 import inference_pb2
from services.inference.convert import from_model, to_time_for_all
from services.inference.engines.engine import ModelDescription
from services.inference.settings import InferenceSettings


@pytest.mark.parametrize(
    ("within_ms", "remaining_s", "expected_s"),
    [
        (0, None, None),
        (0, 5.0, None),
        (5000, None, 5.0),
        (5000, 5.1, 5.0),
        (
            5000,
            3.0,
            2.855,
        ),  # it was on its way for long: 4% of the rest may be missing
        (5000, 0.01, 0.001),
    ],
)
def test_what_is_done_is_sent_in_time(within_ms: int, remaining_s: float | None, expected_s: float | None) -> None:
    request = inference_pb2.GenerateAllRequest(within_ms=within_ms)
    assert to_time_for_all(request, remaining_s) == (expected_s if expected_s is None else pytest.approx(expected_s))


def test_provenance_has_the_prompt_template_and_whether_foreign_code_was_allowed() -> None:
    model = ModelDescription(
        "m",
        "r",
        "vllm",
        "1",
        4096,
        accepts_images=True,
        prompt_template="USER: {prompt} ASSISTANT:",
        trust_remote_code=True,
    )
    written = from_model(model, InferenceSettings(model="m"))
    assert (written.prompt_template, written.trust_remote_code) == ("USER: {prompt} ASSISTANT:", True)
    plain = from_model(ModelDescription("m", "r", "vllm", "1", 0, accepts_images=True), InferenceSettings(model="m"))
    assert (plain.prompt_template, plain.trust_remote_code) == ("", False)
