"""Errors as problem details (RFC 9457), from the same table of codes as the gRPC status."""

import difflib
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from services.serving.errors import Code, FieldViolation, Internal, InvalidArgument, NotFound, ServiceError

MEDIA_TYPE = "application/problem+json"

_MAX_VIOLATIONS = 20
"""Violations that one answer lists at most."""


class HttpError(HTTPException):
    """An error that only HTTP knows: a body that is too large, a media type, a method.

    FastAPI lets an HTTPException through where it would replace any other while it reads a body.
    """

    def __init__(self, status: HTTPStatus, error: ServiceError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, error.message, dict(headers or {}))
        self.error = error


class CallerGone(ServiceError):
    """The caller closed the connection.

    It is answered like any other error although nobody reads that: BentoML's server holds on to a request in which
    nothing is sent, until its time for it is over.
    """

    code = Code.CANCELLED

    def __init__(self) -> None:
        super().__init__("the caller closed the connection", reason="CALLER_GONE")


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """A name of the kind of error: "urn:axia:error:" and the reason."""
    title: str
    """The reason in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened and what to do."""
    code: str
    """Name of the canonical status code (google.rpc.Code)."""
    reason: str
    """The reason for a program, such as "IMAGE_UNREADABLE"."""
    violations: list["Violation"]
    """Fields of the request that are wrong."""
    request_id: str
    """Id of the request, as in the logs of all services."""
    retry_after_s: float | None = None
    """When to try again, in seconds; also in the header Retry-After, rounded up."""
    metadata: dict[str, str] | None = None
    """More about the error, by name."""


class Violation(BaseModel):
    """A field that is wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Path of the field, such as "image.data"."""
    description: str
    """What is wrong and what would be right."""


RATE_HEADERS = {
    "limit": "X-RateLimit-Limit", "remaining": "X-RateLimit-Remaining", "reset_s": "X-RateLimit-Reset",
}  # fmt: skip
"""Headers of an answer to a caller who asks too much, by the name in the error's metadata."""


def problem(error: ServiceError, request_id: str, status: int | None = None) -> dict[str, Any]:
    """The problem details of an error."""
    found = Problem(
        type=f"urn:axia:error:{error.reason}",
        title=error.reason.replace("_", " ").capitalize(),
        status=status or error.code.value.http,
        detail=error.message,
        code=error.code.name,
        reason=error.reason,
        violations=[Violation(field=v.field, description=v.description) for v in error.violations],
        request_id=request_id,
        retry_after_s=error.retry_after_s,
        metadata=error.metadata or None,
    )
    return found.model_dump(exclude_none=True)


def problem_response(
    error: ServiceError,
    request_id: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    extension: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """The answer to a request that failed."""
    content = problem(error, request_id, status) | dict(extension or {})
    sent = dict(headers or {})
    if content["status"] == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        sent["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    sent |= {header: error.metadata[name] for name, header in RATE_HEADERS.items() if name in error.metadata}
    return JSONResponse(content, content["status"], sent, MEDIA_TYPE)


def from_http_exception(error: HTTPException) -> tuple[ServiceError, int]:
    """The error and status of what the framework refused by itself."""
    if isinstance(error, HttpError):
        return error.error, error.status_code
    status = error.status_code
    if status == HTTPStatus.NOT_FOUND:
        return NotFound("path", "not found; /docs lists the paths", reason="NO_ROUTE"), status
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        wrong = InvalidArgument(
            "method", "method not allowed; /docs lists the methods of this path", reason="WRONG_METHOD"
        )
        return wrong, status
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidArgument(
            "body", "the request can't be read; /docs shows the format of each call", reason="UNREADABLE_REQUEST"
        ), status
    return unexpected(), status


def unexpected() -> ServiceError:
    """A fault of ours, without what it was: the log says that."""
    return Internal("the server failed; its log has the details under this request id", reason="UNEXPECTED_FAILURE")


def from_validation(error: ValidationError, model: type[BaseModel]) -> ServiceError:
    """What is wrong with a request's fields, in our words."""
    violations = tuple(
        FieldViolation(_path(problem["loc"]), _description(problem, model))
        for problem in error.errors(include_url=False, include_input=False)[:_MAX_VIOLATIONS]
    )
    first = violations[0]
    wrong = ServiceError(f"{first.field}: {first.description}", reason="INVALID_FIELD", violations=violations)
    wrong.code = Code.INVALID_ARGUMENT
    return wrong


def _path(loc: Sequence[int | str]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return re.sub(r"^\.", "", path) or "body"


LONE_SURROGATE = "contains half of a surrogate pair, such as \\ud83d; write both halves, or the character itself"
"""What is said of a text that can't be written as UTF-8."""
_EXPECTED = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "timezone_aware": "must have a time zone, such as 2024-07-31T12:00:00Z",
    "missing": "is missing",
}
_OWN = {"one_of", "int64", "base64", "time", "text"}


def _description(problem: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _OWN:
        return problem["msg"]
    if kind == "extra_forbidden":
        name = str(problem["loc"][-1])
        near = difflib.get_close_matches(name, _known_fields(model), n=1)
        return "there is no such field" + (f"; did you mean {near[0]}?" if near else "; /docs lists the fields")
    if kind == "literal_error":
        return f"must be one of {context.get('expected')}".replace("'", "")
    if kind in {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}:
        bound = {"greater": ("above", "at least"), "less": ("below", "at most")}[kind.partition("_")[0]]
        word = bound[kind.endswith("equal")]
        return f"must be {word} {next(iter(context.values()))}"
    return _EXPECTED.get(kind, "has an invalid value; /docs lists the allowed ones")


def _known_fields(model: type[BaseModel]) -> list[str]:
    """Names of the fields of a model and of the models in it."""
    names: dict[str, None] = {}
    pending, seen = [model], set[type[BaseModel]]()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        names |= dict.fromkeys(current.model_fields)
        pending += [part for field in current.model_fields.values() for part in _models_in(field.annotation)]
    return list(names)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
