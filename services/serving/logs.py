"""JSON log lines on standard error, each with the id of the request that it belongs to."""

import asyncio
import logging
import os
import sys
import traceback
import uuid
from contextvars import ContextVar
from types import TracebackType

from pythonjsonlogger.json import JsonFormatter

from services.serving.errors import ServiceError
from services.serving.identity.principal import principal
from services.serving.tracing import NO_SPAN, Span, trace_headers, trace_ids

REQUEST_ID_KEY = "x-request-id"
"""Metadata key in which the id of a request travels from client to gateway to services."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that the current task works on; empty outside a request."""

_MAX_REQUEST_ID_LENGTH = 128


def accept_request_id(given: object) -> str:
    """Takes the id that came with a request, or makes one where it can't be used; returns the one that holds now."""
    usable = isinstance(given, str) and 0 < len(given) <= _MAX_REQUEST_ID_LENGTH
    accepted = str(given) if usable and str(given).isascii() and str(given).isprintable() else uuid.uuid4().hex
    request_id.set(accepted)
    return accepted


def request_metadata(span: Span = NO_SPAN) -> tuple[tuple[str, str], ...]:
    """Metadata of a call to another server of the suite, which works on the current request as well.

    Args:
        span: What the call belongs to in a trace, where that isn't the current span.
    """
    return ((REQUEST_ID_KEY, request_id.get()), *trace_headers(span))


_ACCESS = logging.getLogger("access")


def log_access(method: str, code: str, seconds: float, error: ServiceError | None = None) -> None:
    """Writes the one line that each call has, with its method, code and duration, and with what was wrong.

    Args:
        method: Of gRPC, or method and route of HTTP.
        code: Status code by its name, or HTTP's number.
        seconds: At the server.
        error: What the caller was told, if it was an error.
    """
    fields: dict[str, object] = {"method": method, "code": code, "duration_ms": round(1000 * seconds, 1)}
    caller = principal.get()
    if caller is not None and caller.credential != "none":
        fields["principal"] = caller.name
    if error is not None:
        fields["reason"] = error.reason
        if error.violations:
            fields["field"] = error.violations[0].field
    _ACCESS.info("%s %s", method, code, extra=fields)


class _AddContext(logging.Filter):
    """Adds the service's name, the current request's id and the ids of its trace to each record."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.service = self._service
        if current := request_id.get():
            record.request_id = current
        if ids := trace_ids():
            record.trace_id, record.span_id = ids
        return True


_OWN = ("services.", "gateway.", "axia.", "access", "uncaught", "stderr", "py.warnings")
"""How the names of the suite's own loggers begin."""
_OF_ANY_TASK = ("asyncio", "grpc.")
"""Loggers that report the exceptions of tasks which nobody waited for, those of requests among them."""
_LEFT_OUT = "its text may repeat the request and is left out; AXIA_…_LOG_CONTENT=1 writes it"


class _WithoutContent(logging.Filter):
    """Keeps images, prompts and answers out of the log.

    The suite's own records have none. Those of libraries at the level of debugging do: what goes over a WebSocket, say.
    So do the texts of exceptions: what a template or a parser refuses is often repeated there.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG and not record.name.startswith(_OWN):
            return False
        of_any_task = record.name.startswith(_OF_ANY_TASK)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and (request_id.get() or of_any_task):
            record.exc_info, record.exc_text = None, "".join(without_texts(error)).rstrip()
            if of_any_task:  # they write the exception into the message as well
                record.msg, record.args = record.getMessage().partition("\n")[0].partition("(")[0], ()
        return True


def without_texts(error: BaseException, seen: frozenset[int] = frozenset()) -> list[str]:
    """The traceback of an exception and its causes, with their types and places, without their texts.

    What the operating system said stays, such as that the disk is full, and so does the reason of a ServiceError.
    """
    seen |= {id(error)}
    lines: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in seen:
        lines += [*without_texts(cause, seen), "\nThe exception above led to this one:\n\n"]
    if error.__traceback__ is not None:
        lines += ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
    kind = type(error)
    lines.append(f"{kind.__qualname__}: {_sayable(error)}\n")
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            lines += ["\nPart of this group:\n\n", *without_texts(part, seen)]
    return lines


def _sayable(error: BaseException) -> str:
    if isinstance(error, ServiceError):
        return error.reason
    if isinstance(error, OSError) and error.errno is not None:
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return _LEFT_OUT


class _LeaveOutEndedCalls(logging.Filter):
    """Leaves out what gRPC says of calls that end with the server, those that watch its health above all, and of
    answers whose caller has gone: not a fault, and several lines below the one that says how the call ended."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info is None or not record.name.startswith("grpc."):
            return True
        error = record.exc_info[1]
        # A class of grpcio's own, without a public name: an answer that can't be sent.
        return not isinstance(error, asyncio.CancelledError) and type(error).__name__ != "ExecuteBatchError"


def _formatter() -> JsonFormatter:
    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",  # ISO 8601 in UTC
    )


def tell(service: str, level: int, message: str) -> None:
    """Writes one record before logs are configured, as those that follow will look."""
    record = logging.LogRecord(__name__, level, __file__, 0, message, None, None)
    record.service = service
    sys.stderr.write(_formatter().format(record) + "\n")


def configure_logs(service: str, level: str, *, content: bool = False) -> None:
    """Sends all log records of this process to standard error as JSON, one object a line.

    Args:
        service: Whose they are.
        level: The lowest that is written.
        content: Whether they may hold what can repeat images, prompts and answers.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    handler.addFilter(_LeaveOutEndedCalls())
    handler.addFilter(_AddContext(service))
    if not content:
        handler.addFilter(_WithoutContent())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("uncaught").critical("the process ends after an error", exc_info=(kind, error, trace))
