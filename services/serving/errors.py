"""Errors that a server tells its callers, without gRPC or HTTP.

    ServiceError
      + InvalidArgument      a field of the request is wrong; the caller must change it
      + NotFound             the request names something that is not there
      + Unauthenticated      who calls is not known
      + PermissionDenied     the caller is known and may not do this
      + FailedPrecondition   something must be set up first
      + ResourceExhausted    a bound is reached; try again after a pause
      + Unavailable          the server can't answer now; try again, elsewhere if there is an elsewhere
      + DeadlineExceeded     the caller's time ran out
      + Internal             a fault of ours; the log has the details, the caller has the request id

Domain code raises these. One interceptor (`services.serving.interceptors`) turns them into gRPC status with
google.rpc details; the HTTP API uses the same `Code` table.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class _Status(NamedTuple):
    grpc: int
    http: int


class Code(Enum):
    """Canonical status codes that axia uses, each with its gRPC number and its HTTP status (google.rpc.Code)."""

    CANCELLED = _Status(1, 499)
    """The caller gave up."""
    INVALID_ARGUMENT = _Status(3, 400)
    """The request is wrong whatever the state of the server."""
    DEADLINE_EXCEEDED = _Status(4, 504)
    """The deadline passed before there was a result."""
    NOT_FOUND = _Status(5, 404)
    """A named model, prompt or picture does not exist."""
    PERMISSION_DENIED = _Status(7, 403)
    """The caller is known and may not do this."""
    RESOURCE_EXHAUSTED = _Status(8, 429)
    """A queue, a quota or a size bound is full."""
    FAILED_PRECONDITION = _Status(9, 400)
    """The server lacks something that an operator must install or set."""
    UNIMPLEMENTED = _Status(12, 501)
    """The server doesn't know the method, by being of an older release, say."""
    INTERNAL = _Status(13, 500)
    """A fault of the server."""
    UNAVAILABLE = _Status(14, 503)
    """The server is starting, draining or has lost what it depends on."""
    UNAUTHENTICATED = _Status(16, 401)
    """Who calls is not known."""


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that is wrong."""

    field: str
    """Path in the request message, such as ``image.data`` or ``samples[2].temperature``."""
    description: str
    """What is wrong and what would be right."""


ENGINE_DIED = "ENGINE_DIED"
"""Reason of a call that was in an engine when it died, and is not tried again."""
DEATHS = frozenset({"ENGINE_DEAD", "ENGINE_FAILED"})
"""Reasons by which a server says that its engine died, or failed at a request."""

ENDPOINT_FAILURES = frozenset(
    {"ENDPOINT_FAILED", "ENDPOINT_UNREACHABLE", "ENDPOINT_TIMEOUT", "ENDPOINT_ANSWER_MALFORMED"}
)
"""Reasons by which a server says that the endpoint behind it failed, asked as often as that server's settings say. Only
another server, which may have another endpoint, is worth a try."""


class ServiceError(Exception):
    """What a server tells its caller when it can't do what was asked.

    Args:
        message: What happened and what to do, for a person. Never a library's exception text.
        reason: The same for a program: UPPER_SNAKE_CASE, stable; metrics count rejections by it.
        repeatable: Whether a client may repeat the call within its deadline. Not where the call's time is used up: a
            retry would end with DEADLINE_EXCEEDED, and the caller would not learn the cause.
    """

    code: Code = Code.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_s: float | None = None,
        metadata: dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.violations = violations
        self.retry_after_s = retry_after_s
        self.metadata = metadata or {}
        self.repeatable = repeatable

    def renamed(self, rename: Callable[[str], str]) -> "ServiceError":
        """The same error, of the same class, with other field names, for a caller who knows the fields by those."""
        message = self.message
        for violation in self.violations:
            if message.startswith(f"{violation.field}: "):
                message = rename(violation.field) + message.removeprefix(violation.field)
                break
        other = type(self).__new__(type(self), message)  # not __init__: classes differ in what they take
        other.__dict__.update(self.__dict__)
        other.message = message
        other.violations = tuple(FieldViolation(rename(v.field), v.description) for v in self.violations)
        return other


class InvalidArgument(ServiceError):
    """A field of the request is wrong."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, field: str, description: str, *, reason: str = "INVALID_FIELD") -> None:
        super().__init__(f"{field}: {description}", reason=reason, violations=(FieldViolation(field, description),))


class NotFound(ServiceError):
    """The request names something that is not there."""

    code = Code.NOT_FOUND

    def __init__(self, field: str, description: str, *, reason: str) -> None:
        super().__init__(description, reason=reason, violations=(FieldViolation(field, description),))


class Unauthenticated(ServiceError):
    """Who calls is not known."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(ServiceError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED


class FailedPrecondition(ServiceError):
    """Something must be set up first."""

    code = Code.FAILED_PRECONDITION


class ResourceExhausted(ServiceError):
    """A bound is reached; `retry_after_s` says when to try again, in seconds."""

    code = Code.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """The server can't answer now."""

    code = Code.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The caller's time ran out."""

    code = Code.DEADLINE_EXCEEDED


class Internal(ServiceError):
    """A fault of ours."""

    code = Code.INTERNAL


@contextmanager
def renaming(rename: Callable[[str], str]) -> Iterator[None]:
    """Raises the errors of what is inside under the caller's names of their fields."""
    try:
        yield
    except ServiceError as error:
        raise error.renamed(rename) from error
