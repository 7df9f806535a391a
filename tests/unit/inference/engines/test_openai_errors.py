import time
from email.utils import formatdate

import pytest

from services.inference.engines.openai.errors import from_error_event, from_status, readable
from services.inference.engines.openai.retry import pause_before, retry_after_s


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
        ({"code": "server_error"}, "ENDPOINT_FAILED", True),
        ({"type": "overloaded_error", "message": "Overloaded"}, "ENDPOINT_FAILED", True),
        ({"type": "InternalServerError", "code": 500}, "ENDPOINT_FAILED", True),
        ({"message": "llama runner process is busy, try again"}, "ENDPOINT_FAILED", True),
        ({"code": 400, "status": "INVALID_ARGUMENT"}, "CONVERSATION_REFUSED", False),
        ({"type": "BadRequestError", "param": "None", "code": None}, "CONVERSATION_REFUSED", False),
        ({"code": "context_length_exceeded"}, "CONVERSATION_REFUSED", False),
        ({"type": "authentication_error"}, "ENDPOINT_KEY_REFUSED", False),
        ({"code": "model_not_found"}, "ENDPOINT_MODEL_UNKNOWN", False),
        ({"code": "insufficient_quota"}, "ENDPOINT_QUOTA", False),
        ({"message": "Vision add-on is not loaded, but images were provided"}, "ENDPOINT_FAILED", False),
        ({"code": 200}, "ENDPOINT_FAILED", False),
        ({"code": True}, "ENDPOINT_FAILED", False),
        ("words", "ENDPOINT_FAILED", False),
        ([1], "ENDPOINT_FAILED", False),
    ],
)
def test_an_error_inside_an_answer_counts_as_what_it_says_and_is_asked_again_only_where_that_helps(
    error: object, reason: str, again: bool
) -> None:
    failure = from_error_event(error, "")
    assert (failure.error.reason, failure.retryable) == (reason, again)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b'{"error": {"message": "no picture, please", "type": "invalid_request_error"}}', "no picture, please"),
        (
            400,
            b'[{"error": {"code": 400, "message": "no picture, please", "status": "INVALID_ARGUMENT"}}]',
            "no picture",
        ),
        (500, b'{"error": "no picture, please"}', "no picture, please"),
        (
            422,
            b'{"detail": [{"loc": ["body", "seed"], "msg": "Extra", "input": "X"}]}',
            "body.seed: Extra",
        ),
        (422, b'{"detail": "no picture, please"}', "no picture, please"),
        (400, b'{"object": "error", "message": "no picture, please", "code": 400}', "no picture, please"),
        (529, b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}', "Overloaded"),
        (502, b"<html><head><title>502 Bad Gateway</title></head><body>long</body></html>", "502 Bad Gateway"),
        (503, b"upstream connect error", "upstream connect error"),
        (
            400,
            b'{"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "bad picture"}}}',
            "Provider returned error: bad picture",
        ),
        (404, b'{"error": {"message": "No endpoints found that support image input", "code": 404}}', "image input"),
        (403, b'{"error": {"message": "flagged", "code": 403}}', "flagged"),
        (
            422,
            b'{"object": "error", "message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra"}]}, "code": null}',
            "body.seed: Extra",
        ),
        (400, b'{"title": "Bad", "detail": "no picture, please", "errors": {"image": ["x"]}}', "no picture, please"),
    ],
)
def test_a_caller_is_told_the_endpoints_own_words(status: int, body: bytes, words: str) -> None:
    failure = from_status(status, {}, body, "")
    assert words in failure.error.message
    assert words in failure.detail
    assert "long" not in failure.error.message.partition("says: ")[2]


def test_the_address_of_a_redirection_is_told() -> None:
    failure = from_status(301, {"location": "https://models.example/v1/chat/completions"}, b"", "")
    assert failure.error.message.endswith("it is at https://models.example/v1/chat/completions")


@pytest.mark.parametrize(
    ("status", "kind"), [(403, "insufficient_quota"), (429, "billing_not_active"), (429, "insufficient_balance")]
)
def test_an_account_without_credit_is_not_asked_again_whatever_the_status(status: int, kind: str) -> None:
    failure = from_status(status, {}, f'{{"error": {{"type": "{kind}", "message": "x"}}}}'.encode(), "")
    assert (failure.error.reason, failure.retryable) == ("ENDPOINT_QUOTA", False)


@pytest.mark.parametrize("status", [401, 402])
def test_what_is_said_of_the_key_and_the_account_is_for_the_log_alone(status: int) -> None:
    failure = from_status(status, {}, b'{"error": {"message": "organisation org-7"}}', "")
    assert "org-7" not in failure.error.message
    assert "org-7" in failure.detail


def test_words_that_are_told_are_short() -> None:
    message = from_status(500, {}, b"x" * 5000, "").error.message
    assert message.endswith("x" * 300 + "…")
    assert len(message) < 500


@pytest.mark.parametrize(
    ("headers", "body", "pause_s"),
    [
        ({"retry-after": "7"}, b"", 7.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, b"", 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, b"", 2.0),
        ({}, b'[{"error": {"code": 429, "details": [{"@type": "x"}, {"retryDelay": "17s"}]}}]', 17.0),
        ({}, b'{"error": {"details": "none"}}', None),
    ],
)
def test_a_pause_is_read_from_wherever_the_endpoint_writes_it(
    headers: dict[str, str], body: bytes, pause_s: float | None
) -> None:
    failure = from_status(429, headers, body, "")
    assert failure.pause_s == pause_s
    assert failure.error.retry_after_s == (1.0 if pause_s is None else pause_s)


@pytest.mark.parametrize(
    ("status", "headers", "again"),
    [(500, {}, True), (409, {}, True), (408, {}, True), (501, {}, False), (500, {"x-should-retry": "false"}, False)],
)
def test_statuses_that_pass_are_asked_again(status: int, headers: dict[str, str], again: bool) -> None:
    assert from_status(status, headers, b"", "").retryable is again
