"""What went wrong at an OpenAI-compatible endpoint, and whether to ask it again.

The caller is told what to do and what the endpoint said, shortened, without the key and without pictures, for some
endpoints repeat both. What it says of the operator's key and account goes to the log alone.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from services.inference.engines.answer_format import UNSUPPORTED
from services.inference.engines.openai.complaint import OUT_OF_QUOTA, Complaint, complaint_of, read_complaint
from services.inference.engines.openai.retry import retry_after_ms, retry_after_s
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, ServiceError, Unavailable

_MAX_LOGGED_CHARS = 500
_MAX_TOLD_CHARS = 300
_SAYS = ". The endpoint says: "
_TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY}
_OF_THE_ACCOUNT = frozenset({"401", "402", "404", "405", "429"})
"""Statuses with which endpoints speak of keys, credit, models and rates, and not of what a request says."""
_DATA_URL = re.compile(r"data:[\w/+.-]+;base64,[\w+/=\\-]*")


class EndpointFailure(Exception):
    """A request to the endpoint that failed.

    Args:
        error: What the caller is told.
        retryable: Whether asking again may help.
        pause_s: Seconds that the endpoint asks to wait before.
        detail: What the endpoint said, for the log: see `readable`.
        said: The same for programs.
    """

    def __init__(
        self,
        error: ServiceError,
        *,
        retryable: bool = False,
        pause_s: float | None = None,
        detail: str = "",
        said: Complaint | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.retryable = retryable
        self.pause_s = pause_s
        self.detail = detail
        self.said = said or Complaint()

    def without_words(self) -> str:
        """The detail, for a log that may not repeat a request: words about the operator's account stay, others may
        quote the prompt."""
        status, _, words = self.detail.partition(": ")
        if not words or status.removeprefix("HTTP ") in _OF_THE_ACCOUNT:
            return self.detail
        return f"{status} (its message may repeat the request; set AXIA_INFERENCE_LOG_CONTENT=1 to log it)"


def from_status(status: int, headers: Mapping[str, str], body: bytes, key: str) -> EndpointFailure:
    """The failure that an HTTP status other than 200 stands for."""
    pause_s = retry_after_ms(headers.get("retry-after-ms", ""))
    if pause_s is None:
        pause_s = retry_after_s(headers.get("retry-after", ""))
    said = read_complaint(body)
    if status < HTTPStatus.BAD_REQUEST and (place := headers.get("location")):
        said = Complaint(f"it is at {place}")
    failure = _failure(status, said, pause_s, key)
    failure.retryable = failure.retryable and headers.get("x-should-retry") != "false"
    return failure


def from_error_event(error: Any, key: str) -> EndpointFailure:
    """The failure that an endpoint reports inside an answer, where its HTTP status was 200 already.

    It counts as the status that it names. One that names none is asked for again only if its words say that it passes.
    """
    said = complaint_of(error)
    if said.status is not None:
        return _failure(said.status, said, None, key)
    error = Unavailable(
        _told("the endpoint reports an error in place of an answer", said, key),
        reason="ENDPOINT_FAILED",
        retry_after_s=1.0 if said.passes else None,
    )
    return EndpointFailure(
        error, retryable=said.passes, pause_s=said.pause_s, detail=_detail(200, said, key), said=said
    )


def _failure(status: int, said: Complaint, pause_s: float | None, key: str) -> EndpointFailure:
    pause_s = said.pause_s if pause_s is None else pause_s
    detail = _detail(status, said, key)
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.FORBIDDEN} and OUT_OF_QUOTA.search(said.kind):
        error: ServiceError = ResourceExhausted(
            "the endpoint's account has used up its quota; its owner must raise the quota", reason="ENDPOINT_QUOTA"
        )
        return EndpointFailure(error, detail=detail, said=said)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        error = ResourceExhausted(
            _told(
                "the endpoint gets too many requests; try again later, or lower AXIA_INFERENCE_OPENAI_CONCURRENCY",
                said,
                key,
            ),
            reason="ENDPOINT_BUSY",
            retry_after_s=1.0 if pause_s is None else pause_s,
        )
        return EndpointFailure(error, retryable=True, pause_s=pause_s, detail=detail, said=said)
    if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = Unavailable(
            _told("the endpoint failed on this request; try again", said, key),
            reason="ENDPOINT_FAILED",
            retry_after_s=1.0 if pause_s is None else pause_s,
        )
        retryable = status != HTTPStatus.NOT_IMPLEMENTED
        return EndpointFailure(error, retryable=retryable, pause_s=pause_s, detail=detail, said=said)
    return EndpointFailure(_refusal(status, said, key), detail=detail, said=said)


def _refusal(status: int, said: Complaint, key: str) -> ServiceError:
    """The error for a status that asking again would not change."""
    if status == HTTPStatus.UNAUTHORIZED:
        return FailedPrecondition(
            "the endpoint refuses the key; set AXIA_INFERENCE_OPENAI_API_KEY to one that may use this model",
            reason="ENDPOINT_KEY_REFUSED",
        )
    if status == HTTPStatus.FORBIDDEN:
        return FailedPrecondition(
            _told(
                "the endpoint refuses the key, or this request; set AXIA_INFERENCE_OPENAI_API_KEY to a key that may "
                "use this model",
                said,
                key,
            ),
            reason="ENDPOINT_KEY_REFUSED",
        )
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return FailedPrecondition(
            "the endpoint's account has no credit; its owner must add some", reason="ENDPOINT_CREDIT"
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} or status < HTTPStatus.BAD_REQUEST:
        return FailedPrecondition(
            _told(
                "the endpoint doesn't have this model, or has no chat completions at this address; check "
                "AXIA_INFERENCE_MODEL and AXIA_INFERENCE_OPENAI_BASE_URL, which usually ends with /v1",
                said,
                key,
            ),
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
            _told(
                "the endpoint refuses this conversation: it may be longer than the model's context, or contain an "
                "image that is too large or not supported, or a sampling parameter that is not supported",
                said,
                key,
            ),
            reason="CONVERSATION_REFUSED",
        )
    return Unavailable(
        _told("the endpoint answered with an unexpected status; try again", said, key), reason="ENDPOINT_FAILED"
    )


def _told(what: str, said: Complaint, key: str) -> str:
    """What a caller is told: our words, and the endpoint's after them."""
    words = readable(said.message or said.kind, key)
    if len(words) > _MAX_TOLD_CHARS:
        words = f"{words[:_MAX_TOLD_CHARS]}…"
    return f"{what}{_SAYS}{words}" if words else what


def _detail(status: int, said: Complaint, key: str) -> str:
    return f"HTTP {status}: {readable(', '.join(words for words in (said.kind, said.message) if words), key)}"


def with_format(failure: EndpointFailure) -> EndpointFailure:
    """The failure of a request that asked for an answer format, which may be what the endpoint can't take."""
    if not isinstance(failure.error, InvalidArgument):
        return failure
    _, mark, said = failure.error.message.partition(_SAYS)
    words = f"{mark}{said}"
    error = InvalidArgument(
        "answer_format",
        "the endpoint refuses this conversation with this answer format: it may not support JSON Schema in "
        "response_format, or not all keywords of this schema; if it supports none, set "
        f"AXIA_INFERENCE_OPENAI_STRUCTURED=false{words}",
        reason=UNSUPPORTED,
    )
    return EndpointFailure(error, detail=failure.detail, said=failure.said)


def with_field(failure: EndpointFailure, field: str) -> EndpointFailure:
    """The failure of a request of which the endpoint refuses one field's value."""
    if not field or failure.error.reason != "CONVERSATION_REFUSED":
        return failure
    _, mark, said = failure.error.message.partition(_SAYS)
    error = InvalidArgument(
        field.replace("max_completion_tokens", "max_tokens"),
        f"the endpoint refuses this value for its model; use another value{mark}{said}",
        reason="ENDPOINT_REFUSES_VALUE",
    )
    return EndpointFailure(error, detail=failure.detail, said=failure.said)


def format_ignored() -> EndpointFailure:
    """The endpoint answered in another form than it was asked for."""
    error = FailedPrecondition(
        "the endpoint's answer does not match the answer format; set AXIA_INFERENCE_OPENAI_STRUCTURED=false, or use a "
        "model that follows a JSON Schema in response_format",
        reason="ANSWER_FORMAT_IGNORED",
    )
    return EndpointFailure(error)


def broken_off(finish: str, key: str) -> EndpointFailure:
    """The endpoint ended a completion for a reason of its own, such as a provider that was lost."""
    said = Complaint(f"finish_reason {finish}")
    error = Unavailable(
        _told("the endpoint interrupted the completion; try again", said, key),
        reason="ENDPOINT_FAILED",
        retry_after_s=1.0,
    )
    return EndpointFailure(error, retryable=True, detail=said.message, said=said)


def unreachable(detail: str, key: str) -> EndpointFailure:
    """The connection could not be made."""
    error = Unavailable(
        "the endpoint can't be reached; try again. If the problem remains, check AXIA_INFERENCE_OPENAI_BASE_URL, the "
        "network and the endpoint",
        reason="ENDPOINT_UNREACHABLE",
        retry_after_s=1.0,
    )
    return EndpointFailure(error, retryable=True, detail=readable(detail, key))


def cut_off(detail: str, key: str) -> EndpointFailure:
    """The connection was lost before the completion ended."""
    error = Unavailable(
        "the endpoint closed the connection before the completion ended; try again. If the problem remains, check the "
        "endpoint's log",
        reason="ENDPOINT_FAILED",
        retry_after_s=1.0,
    )
    return EndpointFailure(error, retryable=True, detail=readable(detail, key))


def too_late(timeout_s: float) -> EndpointFailure:
    """The time for one completion ran out."""
    error = Unavailable(
        f"the endpoint did not complete its answer within {timeout_s:g} s; try again, ask for fewer tokens, or raise "
        "AXIA_INFERENCE_OPENAI_TIMEOUT_S",
        reason="ENDPOINT_TIMEOUT",
        retry_after_s=1.0,
    )
    return EndpointFailure(error, retryable=True)


def malformed(detail: str, body: bytes = b"", key: str = "") -> EndpointFailure:
    """The answer is not one of a chat completions endpoint.

    Args:
        detail: What is wrong.
        body: The whole answer, if it is not JSON; its beginning is told.
        key: To be kept out of that.
    """
    said = read_complaint(body)
    error = Unavailable(
        _told(
            f"the endpoint's answer can't be read as a chat completion ({detail}); check that "
            "AXIA_INFERENCE_OPENAI_BASE_URL names an OpenAI-compatible endpoint",
            said,
            key,
        ),
        reason="ENDPOINT_ANSWER_MALFORMED",
    )
    return EndpointFailure(error, detail=readable(f"{detail} {said.message}", key), said=said)


def readable(text: str, key: str) -> str:
    """An endpoint's text for the log: one line of at most 500 characters, without the key and without pictures."""
    if key:
        text = text.replace(key, "[key]")
    return " ".join(_DATA_URL.sub("[picture]", text).split())[:_MAX_LOGGED_CHARS]
