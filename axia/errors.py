"""The errors of axia's clients.

    AxiaError                  base class of all errors
      + InvalidRequest         the request is wrong; `fields` says where
      + NotFound               there is no model, prompt or other thing with this name
      + FailedPrecondition     something else must be done first, such as indexing images
      + Unauthenticated        the gateway requires an API key, or doesn't accept this one
      + Overloaded             the model's queue is full; try again after `retry_after` seconds
      + Unavailable            the server can't answer now: its model is not available, or it is starting or stopping
      |   + ConnectionFailed   no server answers at the address, or the connection broke
      + DeadlineExceeded       no answer before the timeout
      + Cancelled              the server cancelled the call
      + ServerError            the server failed

The message of every error says what to do. Every error has `code`, `reason` and `request_id`. Images that can't be read
raise Python's own errors, such as FileNotFoundError.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    import grpc

_DOMAIN = "axia"
"""The ErrorInfo domain of errors that axia's own servers raise."""

_DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata in which gRPC carries a google.rpc.Status."""


class FieldViolation(NamedTuple):
    """A field of a request that is wrong."""

    field: str
    """Path in the request message, such as ``image.data`` or ``temperatures``."""
    description: str
    """What is wrong and what would be right."""


class AxiaError(Exception):
    """Base class of all errors of axia's clients."""

    code: str
    """Canonical status code, such as ``NOT_FOUND`` (google.rpc.Code)."""
    reason: str
    """The cause in UPPER_SNAKE_CASE, stable, for programs. Empty where the error is not an axia server's own."""
    request_id: str
    """Id of the request, under which the logs of all services have it."""

    def __init__(self, message: str, *, code: str = "", reason: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.request_id = request_id


class InvalidRequest(AxiaError):
    """The request is wrong and stays wrong until it is changed."""

    fields: list[FieldViolation]
    """The fields that are wrong; may be empty."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "INVALID_ARGUMENT",
        reason: str = "",
        request_id: str = "",
        fields: Iterable[FieldViolation] = (),
    ) -> None:
        super().__init__(message, code=code, reason=reason, request_id=request_id)
        self.fields = list(fields)

    @classmethod
    def of(cls, field: str, description: str, *, reason: str = "") -> "InvalidRequest":
        """An error about one field, found before anything was sent."""
        return cls(f"{field}: {description}", reason=reason, fields=[FieldViolation(field, description)])


class NotFound(AxiaError):
    """The request names a model, a prompt or another thing that the server does not have."""


class FailedPrecondition(AxiaError):
    """Something else must be done before this request, such as indexing images; the message says what."""


class Unauthenticated(AxiaError):
    """The gateway requires an API key, or doesn't accept this one."""


class Overloaded(AxiaError):
    """The model's queue is full."""

    retry_after: float | None
    """After how many seconds to try again; None if the server named no time."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "RESOURCE_EXHAUSTED",
        reason: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, reason=reason, request_id=request_id)
        self.retry_after = retry_after


class Unavailable(AxiaError):
    """The server can't answer now."""

    retry_after: float | None
    """After how many seconds to try again; None if the server named no time."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNAVAILABLE",
        reason: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, reason=reason, request_id=request_id)
        self.retry_after = retry_after


class ConnectionFailed(Unavailable):
    """No server answers at the address, or the connection broke."""


class DeadlineExceeded(AxiaError):
    """There was no answer before the timeout."""


class Cancelled(AxiaError):
    """The call was cancelled before it had an answer."""


class ServerError(AxiaError):
    """The server failed, or it is not one that this client understands."""


class _Details(NamedTuple):
    """What a server attached to a status."""

    message: str = ""
    reason: str = ""
    request_id: str = ""
    fields: Sequence[FieldViolation] = ()
    retry_after: float | None = None


def from_rpc_error(
    error: "grpc.RpcError", *, address: str, timeout: float | None = None, request_id: str = ""
) -> AxiaError:
    """Maps an error of grpc or grpc.aio to the tree.

    Args:
        error: What a call raised.
        address: Where the call went, for the message.
        timeout: Seconds that the call was given, for the message; None if it had no limit.
        request_id: Id that was sent with the call, used where the server names none.
    """
    code = error.code().name
    text = error.details() or ""
    metadata: Any = error.trailing_metadata() or ()  # pairs of key and value, which the types say for grpc.aio only
    details = _read_details(metadata)
    # Only our own servers' texts are advice. Everything else is the transport's and gets words of ours.
    said = (details.message or text) if details.reason else ""
    about: dict[str, Any] = {"code": code, "reason": details.reason, "request_id": details.request_id or request_id}

    if _is_too_large(code, text) and not said:
        advice = "the request is larger than the server takes: send a smaller image"
        return InvalidRequest(advice, **about, fields=[FieldViolation("image.data", advice)])
    match code:
        case "INVALID_ARGUMENT" | "OUT_OF_RANGE":
            return InvalidRequest(said or f"the server refuses the request: {text}", **about, fields=details.fields)
        case "NOT_FOUND":
            return NotFound(_not_found(said or text, details.reason), **about)
        case "FAILED_PRECONDITION":
            return FailedPrecondition(said or f"the server at {address} is not set up for this call: {text}", **about)
        case "UNAUTHENTICATED":
            advice = "give the gateway's API key with api_key= or AXIA_API_KEY"
            return Unauthenticated(_with_advice(said or f"{address} refuses the call", advice, key="API_KEY"), **about)
        case "RESOURCE_EXHAUSTED":
            pause = f"{details.retry_after:g} s" if details.retry_after is not None else "a moment"
            busy = _with_advice(said or f"the server at {address} is busy", f"try again in {pause}", key="again")
            return Overloaded(busy, **about, retry_after=details.retry_after)
        case "UNAVAILABLE":
            if said:
                return Unavailable(said, **about, retry_after=details.retry_after)
            return ConnectionFailed(_no_connection(address, text), **about)
        case "DEADLINE_EXCEEDED":
            waited = f" within {timeout:g} s" if timeout is not None else " in time"
            late = said or f"no answer from {address}{waited}"
            advice = "give more time with timeout= or --timeout"
            return DeadlineExceeded(_with_advice(late, advice, key="more time"), **about)
        case "CANCELLED":
            return Cancelled(
                said or f"the call to {address} was cancelled before it had an answer: call again", **about
            )
        case "UNIMPLEMENTED":
            stranger = f"the server at {address} does not know this call: give the address of an axia gateway, "
            return ServerError(said or f"{stranger}or update it to this client's version", **about)
        case _:
            log = f"the server at {address} failed ({code}): look for request {about['request_id']} in its log"
            return ServerError(said or log, **about)


def _not_found(message: str, reason: str) -> str:
    if reason and not any(word in reason for word in ("MODEL", "PROMPT")):
        return message
    return _with_advice(message, "`axia models` lists the models and prompts", key="axia models")


def _is_too_large(code: str, text: str) -> bool:
    """Whether gRPC itself refused a message by its size, which it reports with the code of an overload."""
    return code == "RESOURCE_EXHAUSTED" and "larger than max" in text


_TLS_ADVICE = {
    "Hostname Verification": "the server's certificate is for another name; use that name as the address, or set "
    "AXIA_TLS_SERVER_NAME to it",
    "certificate has expired": "the server's certificate has expired; its operator has to renew it",
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not from an authority that this client trusts; set "
    "AXIA_TLS_ROOTS to the file of that authority",
    "WRONG_VERSION_NUMBER": "the server doesn't use TLS; unset AXIA_TLS_* and remove tls=",
}
"""What to do, by what gRPC's text has in it."""


def _no_connection(address: str, text: str) -> str:
    """Tells apart "no such host", "nobody there" and "broke in between" by the text of gRPC's core, which has no code
    for it."""
    if any(sign in text for sign in ("errors resolving", "lookup failed", "resolution", "resolve", "DNS")):
        return (
            f"the host name in {address} can't be resolved: check the name and the network, or give another address "
            "with --address or AXIA_ADDRESS"
        )
    if "unhealthy" in text:
        return (
            f"no gateway at {address} is ready: it may be starting or stopping, or no model is available; try again "
            "shortly"
        )
    if advice := next((advice for sign, advice in _TLS_ADVICE.items() if sign in text), ""):
        return f"no encrypted connection to {address}: {advice}"
    if "last error" in text and "Socket closed" in text:  # not in the middle of a call
        return (
            f"the server at {address} closed the connection: it may require TLS (set AXIA_TLS_ROOTS) or a client "
            "certificate (set AXIA_TLS_CERTIFICATE and AXIA_TLS_KEY)"
        )
    if "failed to connect" in text.lower():
        return (
            f"no server answers at {address}: start one with `axia up` or give another address with --address "
            "or AXIA_ADDRESS"
        )
    return (
        f"the connection to {address} was lost before the answer was complete: check that the server is running, then "
        "try again"
    )


def _with_advice(message: str, advice: str, *, key: str) -> str:
    """Adds what to do, unless the message says it already, which its having the key shows."""
    return message if key in message else f"{message}: {advice}"


def _read_details(metadata: Iterable[tuple[str, str | bytes]]) -> _Details:
    """Reads google.rpc.Status from trailing metadata; what can't be read counts as not sent."""
    data = next((value for key, value in metadata if key == _DETAILS_KEY and isinstance(value, bytes)), b"")
    found = _Details()
    try:
        status = status_pb2.Status.FromString(data)
        found = found._replace(message=status.message)
        for detail in status.details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo.FromString(detail.value)
                if info.domain == _DOMAIN:
                    found = found._replace(reason=info.reason, request_id=info.metadata.get("request_id", ""))
            elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                bad = error_details_pb2.BadRequest.FromString(detail.value)
                found = found._replace(fields=[FieldViolation(v.field, v.description) for v in bad.field_violations])
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                retry = error_details_pb2.RetryInfo.FromString(detail.value)
                found = found._replace(retry_after=retry.retry_delay.ToNanoseconds() / 1e9)
    except DecodeError:
        return _Details()
    return found
