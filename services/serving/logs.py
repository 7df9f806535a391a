"""JSON log lines on standard error, each with the id of the request that it belongs to."""

import asyncio
import logging
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

REQUEST_ID_KEY = "x-request-id"
"""Metadata key in which the id of a request travels from client to gateway to services."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that the current task works on; empty outside a request."""


class _AddContext(logging.Filter):
    """Adds the service's name and the current request's id to each record."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.service = self._service
        if current := request_id.get():
            record.request_id = current
        return True


class _LeaveOutCancelledCalls(logging.Filter):
    """Leaves out what gRPC says of calls that end with the server, those that watch its health above all: not a fault,
    and several lines below the one that says why the server ends."""

    def filter(self, record: logging.LogRecord) -> bool:
        cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not (cancelled and record.name.startswith("grpc."))


def configure_logs(service: str, level: str) -> None:
    """Sends all log records of this process to standard error as JSON, one object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",  # ISO 8601 in UTC
        )
    )
    handler.addFilter(_LeaveOutCancelledCalls())
    handler.addFilter(_AddContext(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
