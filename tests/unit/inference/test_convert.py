"""When a server sends what is done of a generation."""

import pytest

from axia.v1 import inference_pb2
from services.inference.convert import to_time_for_all


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
