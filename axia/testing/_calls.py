"""Calls of the fake: noted, let take their time, and failed as a test says; and errors as axia's servers send them."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from axia.errors import (
    AxiaError,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unauthenticated,
    Unavailable,
)

_CODES = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    Cancelled: grpc.StatusCode.CANCELLED,
}
"""What becomes which error; the others are ServerError."""


class Received(NamedTuple):
    """A call that the fake got."""

    method: str
    """Such as ``DetectValues``."""
    request: Message
    """The request; of a stream, its first."""
    metadata: Mapping[str, str]
    """What came with it, such as ``x-request-id`` and ``authorization``."""


@dataclass
class _Failure:
    code: grpc.StatusCode
    message: str
    reason: str
    retry_after: float | None
    method: str
    times: int | None
    field: str


class Calls:
    """What happens to every call of the fake, whichever of its services answers."""

    def __init__(self, latency: float, api_key: str | None) -> None:
        self.address = ""
        """Host and port, once it runs."""
        self.received: list[Received] = []
        """The calls so far."""
        self.latency = latency
        """Seconds that each answer takes; may be changed."""
        self._api_key = api_key
        self._failures: list[_Failure] = []
        self._lock = threading.Lock()

    def fail(
        self,
        code: str,
        message: str = "",
        *,
        reason: str = "FAKE_FAILURE",
        retry_after: float | None = None,
        method: str = "",
        times: int | None = None,
        field: str = "",
    ) -> None:
        """Lets calls fail from now on.

        Args:
            code: Canonical status code, such as ``RESOURCE_EXHAUSTED``; ``OK`` ends all failures.
            message: What the error says.
            reason: The stable cause; empty for an error that is not the gateway's own.
            retry_after: Seconds after which to try again.
            method: Only calls of this method, such as ``DetectValues``. Default: all.
            times: Only so many calls. Default: all.
            field: With ``INVALID_ARGUMENT``: the field of the request that is wrong.
        """
        with self._lock:
            if code == "OK":
                self._failures.clear()
            else:
                self._failures.append(
                    _Failure(grpc.StatusCode[code], message, reason, retry_after, method, times, field)
                )

    def begin(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        """Every call passes here: it is noted, waits, and may fail."""
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        with self._lock:
            self.received.append(Received(method, request, metadata))
            failure = next((f for f in self._failures if f.method in {"", method} and f.times != 0), None)
            if failure is not None and failure.times is not None:
                failure.times -= 1
        if self._api_key is not None and metadata.get("authorization") != f"Bearer {self._api_key}":
            abort(context, grpc.StatusCode.UNAUTHENTICATED, "the API key is missing or wrong", "API_KEY")
        self.wait(context)
        if failure is not None:
            said = failure.message or "as the test asked"
            abort(context, failure.code, said, failure.reason, failure.retry_after, failure.field)

    def wait(self, context: grpc.ServicerContext) -> None:
        """Lets an answer take its time."""
        end = time.monotonic() + self.latency
        while context.is_active() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.01))


def code_of(error: AxiaError) -> grpc.StatusCode:
    """The status that a client makes an error of this class of."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def abort_with(context: grpc.ServicerContext, error: AxiaError) -> NoReturn:
    """Ends a call so that the client raises this error."""
    # A connection that fails has no reason, because no server said anything.
    reason = "" if isinstance(error, ConnectionFailed) else error.reason or "FAKE_FAILURE"
    field = error.fields[0].field if isinstance(error, InvalidRequest) and error.fields else ""
    pause = error.retry_after if isinstance(error, Overloaded | Unavailable) else None
    abort(context, code_of(error), str(error), reason, pause, field)


def abort(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    message: str,
    reason: str,
    retry_after: float | None = None,
    field: str = "",
) -> NoReturn:
    """Ends a call with an error as axia's servers send it."""
    details: list[Any] = []
    if reason:
        details.append(error_details_pb2.ErrorInfo(reason=reason, domain="axia"))
    if retry_after is not None:
        pause = duration_pb2.Duration()
        pause.FromNanoseconds(int(retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=pause))
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=field, description=message.removeprefix(f"{field}: ")
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)
    raise AssertionError("abort raises")
