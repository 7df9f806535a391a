import time
from email.utils import formatdate

import pytest

from services.inference.openai_errors import from_error_event, pause_before, readable, retry_after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), (" 7 ", 7.0), ("1.5", 1.5), ("", None), ("soon", None), ("-3", None), ("9" * 40, None)],
)
def test_retry_after_is_read_as_seconds(value: str, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    seconds = retry_after_s(formatdate(time.time() + 1000, usegmt=True))
    assert seconds is not None
    assert 900 < seconds <= 1000
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 -0000") == 0.0


def test_pauses_double_up_to_the_longest_and_jitter() -> None:
    for attempt, most in [(0, 0.5), (1, 1.0), (3, 4.0), (50, 8.0), (10_000, 8.0)]:
        pauses = {pause_before(attempt, None, 8.0) for _ in range(50)}
        assert len(pauses) > 1
        assert all(pause is not None and most / 2 <= pause <= most for pause in pauses)


def test_a_pause_is_no_shorter_than_the_endpoint_asks_for_and_never_longer_than_the_bound() -> None:
    assert pause_before(0, 3.0, 8.0) == 3.0
    assert pause_before(0, 8.1, 8.0) is None


def test_an_endpoints_text_is_logged_in_one_short_line_without_key_and_pictures() -> None:
    text = readable("bad\nkey sk-1 in data:image/png;base64,AAAA+/== end" + "x" * 1000, "sk-1")
    assert text.startswith("bad key [key] in [picture] end")
    assert len(text) == 500


@pytest.mark.parametrize(
    ("error", "reason", "again"),
    [
        ({"code": 429}, "ENDPOINT_BUSY", True),
        ({"code": "503"}, "ENDPOINT_FAILED", True),
        ({"code": 200}, "CONVERSATION_REFUSED", False),
        ({"code": "server_error"}, "ENDPOINT_FAILED", True),
        ({"code": True}, "ENDPOINT_FAILED", True),
        ("words", "ENDPOINT_FAILED", True),
        ([1], "ENDPOINT_FAILED", True),
    ],
)
def test_an_error_inside_an_answer_counts_as_the_status_that_it_names(error: object, reason: str, again: bool) -> None:
    failure = from_error_event(error, "")
    assert (failure.error.reason, failure.again) == (reason, again)
