"""What went wrong at an OpenAI-compatible endpoint, in our words, and whether to ask it again.

The endpoint's own text goes to the log alone, without the key and without pictures: some endpoints repeat both.
"""

import json
import random
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from services.inference.answer_format import UNSUPPORTED
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, ServiceError, Unavailable

_FIRST_PAUSE_S = 0.5
_MAX_DOUBLINGS = 16
_MAX_LOGGED_CHARS = 500
_OUT_OF_QUOTA = {"insufficient_quota", "billing_hard_limit_reached"}
_DATA_URL = re.compile(r"data:[\w/+.-]+;base64,[\w+/=\\-]*")


class EndpointFailure(Exception):
    """A request to the endpoint that failed.

    Args:
        error: What the caller is told.
        again: Whether asking again may help.
        pause_s: Seconds that the endpoint asks to wait before.
        detail: What the endpoint said, for the log: see `readable`.
    """

    def __init__(
        self, error: ServiceError, *, again: bool = False, pause_s: float | None = None, detail: str = ""
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.again = again
        self.pause_s = pause_s
        self.detail = detail


def from_status(status: int, headers: Mapping[str, str], body: bytes, key: str) -> EndpointFailure:
    """The failure that an HTTP status other than 200 stands for."""
    said = _error_of(body)
    detail = f"HTTP {status}: {readable(_message_of(said) or body.decode(errors='replace'), key)}"
    pause_s = retry_after_s(headers.get("retry-after", ""))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        if any(str(said.get(name)) in _OUT_OF_QUOTA for name in ("code", "type")):
            error: ServiceError = ResourceExhausted(
                "the endpoint's account has used up its quota; its owner must raise it", reason="ENDPOINT_QUOTA"
            )
            return EndpointFailure(error, detail=detail)
        error = ResourceExhausted(
            "the endpoint has too many requests; try again later, or lower AXIA_INFERENCE_OPENAI_CONCURRENCY",
            reason="ENDPOINT_BUSY",
            retry_after_s=1.0 if pause_s is None else pause_s,
        )
        return EndpointFailure(error, again=True, pause_s=pause_s, detail=detail)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = Unavailable(
            "the endpoint failed on this request; try again",
            reason="ENDPOINT_FAILED",
            retry_after_s=1.0 if pause_s is None else pause_s,
        )
        return EndpointFailure(error, again=True, pause_s=pause_s, detail=detail)
    return EndpointFailure(_refusal(status), detail=detail)


def _refusal(status: int) -> ServiceError:
    """The error for a status that asking again would not change."""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return FailedPrecondition(
            "the endpoint refuses the key, or the key may not use this model; set AXIA_INFERENCE_OPENAI_API_KEY to one "
            "that may",
            reason="ENDPOINT_KEY_REFUSED",
        )
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return FailedPrecondition(
            "the endpoint's account has no credit; its owner must add some", reason="ENDPOINT_CREDIT"
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} or status < HTTPStatus.BAD_REQUEST:
        return FailedPrecondition(
            "the endpoint has no such model or no chat completions at this address; check AXIA_INFERENCE_MODEL and "
            "AXIA_INFERENCE_OPENAI_BASE_URL, which usually ends with /v1",
            reason="ENDPOINT_MODEL_UNKNOWN",
        )
    if status in {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }:
        return InvalidArgument(
            "messages",
            "the endpoint can't take this conversation: it may be longer than the model's context, hold a picture that "
            "is too large or that the model can't see, or a sampling parameter that it doesn't know; this server's log "
            "has the endpoint's own words",
            reason="CONVERSATION_REFUSED",
        )
    return Unavailable("the endpoint answered with an unexpected status; try again", reason="ENDPOINT_FAILED")


def with_format(failure: EndpointFailure) -> EndpointFailure:
    """The failure of a request that asked for an answer format, which may be what the endpoint can't take."""
    if not isinstance(failure.error, InvalidArgument):
        return failure
    error = InvalidArgument(
        "answer_format",
        "the endpoint can't take this conversation with this answer format: it may know no JSON Schema in "
        "response_format, or not all keywords of this one; set AXIA_INFERENCE_OPENAI_STRUCTURED=false if it knows "
        "none. This server's log has the endpoint's own words",
        reason=UNSUPPORTED,
    )
    return EndpointFailure(error, detail=failure.detail)


def format_ignored() -> EndpointFailure:
    """The endpoint answered in another form than it was asked for."""
    error = FailedPrecondition(
        "the endpoint does not keep to an answer format; set AXIA_INFERENCE_OPENAI_STRUCTURED=false, or ask a model "
        "that keeps to a JSON Schema in response_format",
        reason="ANSWER_FORMAT_IGNORED",
    )
    return EndpointFailure(error)


def from_error_event(error: Any, key: str) -> EndpointFailure:
    """The failure that an endpoint reports inside an answer, where its status was 200 already."""
    said = error if isinstance(error, dict) else {"message": str(error)}
    code = said.get("code")
    status = int(code) if isinstance(code, (int, str)) and str(code).isdecimal() and len(str(code)) == 3 else 500  # noqa: PLR2004 - digits of a status
    return from_status(max(status, HTTPStatus.BAD_REQUEST), {}, json.dumps({"error": said}).encode(), key)


def unreachable(detail: str, key: str) -> EndpointFailure:
    """The connection could not be made, or was lost."""
    error = Unavailable(
        "the endpoint can't be reached, or broke the connection off; try again. If it lasts: check "
        "AXIA_INFERENCE_OPENAI_BASE_URL, the network and the endpoint",
        reason="ENDPOINT_UNREACHABLE",
        retry_after_s=1.0,
    )
    return EndpointFailure(error, again=True, detail=readable(detail, key))


def too_late(timeout_s: float) -> EndpointFailure:
    """The time for one completion ran out."""
    error = Unavailable(
        f"the endpoint did not complete its answer within {timeout_s:g} s; try again, ask for fewer tokens, or raise "
        "AXIA_INFERENCE_OPENAI_TIMEOUT_S",
        reason="ENDPOINT_TIMEOUT",
        retry_after_s=1.0,
    )
    return EndpointFailure(error, again=True)


def malformed(detail: str) -> EndpointFailure:
    """The answer is not one of a chat completions endpoint."""
    error = Unavailable(
        "the endpoint's answer can't be read as a chat completion; check that AXIA_INFERENCE_OPENAI_BASE_URL names an "
        "OpenAI-compatible endpoint. This server's log says what is wrong with it",
        reason="ENDPOINT_ANSWER_MALFORMED",
    )
    return EndpointFailure(error, detail=detail)


def readable(text: str, key: str) -> str:
    """An endpoint's text for the log: one line of at most 500 characters, without the key and without pictures."""
    if key:
        text = text.replace(key, "[key]")
    return " ".join(_DATA_URL.sub("[picture]", text).split())[:_MAX_LOGGED_CHARS]


def pause_before(attempt: int, asked_s: float | None, max_s: float) -> float | None:
    """Seconds to wait before a retry: doubling with jitter, and no less than the endpoint asks for.

    Args:
        attempt: 0 before the first retry.
        asked_s: What Retry-After says.
        max_s: Longest pause.

    Returns:
        None if the endpoint asks for a longer pause than that: then there is no point in asking again.
    """
    if asked_s is not None and asked_s > max_s:
        return None
    # Jitter keeps completions that failed together from coming back together.
    own_s = min(_FIRST_PAUSE_S * 2.0 ** min(attempt, _MAX_DOUBLINGS), max_s) * random.uniform(0.5, 1.0)  # noqa: S311 - guards nothing
    return max(own_s, asked_s or 0.0)


def retry_after_s(value: str) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number, or a date; None if it is neither."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:  # "-0000" and dates without a zone are in UTC
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - time.time())


def _error_of(body: bytes) -> dict[str, Any]:
    """The error object of an endpoint's answer; empty if there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    said = answer.get("error", answer) if isinstance(answer, dict) else None
    return said if isinstance(said, dict) else {}


def _message_of(said: dict[str, Any]) -> str:
    parts = (said.get(name) for name in ("type", "code", "message"))
    return ", ".join(str(part) for part in parts if isinstance(part, (str, int)) and part != "")
