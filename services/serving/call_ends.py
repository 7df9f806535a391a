"""How a call ended: the name of its status, for metrics and the log, and the end of its span."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from services.serving.errors import ServiceError
from services.serving.tracing import Span

if TYPE_CHECKING:  # generic in its type stubs alone
    Context = grpc.aio.ServicerContext[Any, Any]

# By code and by number: releases of grpcio differ in which of them a context gives.
_STATUS_NAMES: dict[object, str] = {key: code.name for code in grpc.StatusCode for key in (code, code.value[0])}
_SERVER_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""Codes with which a server's span counts as failed, by OpenTelemetry's conventions for RPC."""


def end_span(traced: Span, code: str, reason: str = "") -> None:
    """Ends the span of a call. It failed only where the server is at fault; the span of a caller may say otherwise."""
    if traced.recording:
        traced.set({"rpc.response.status_code": code})
        if code in _SERVER_FAULTS:
            traced.fail(reason)
        elif reason:
            traced.set({"error.type": reason})
    traced.end()


def code_name(failure: BaseException, context: Context) -> str:
    """The name of the status with which a call that failed has ended."""
    if isinstance(failure, ServiceError):
        return failure.code.name
    if isinstance(failure, (asyncio.CancelledError, GeneratorExit)):
        return "DEADLINE_EXCEEDED" if context.time_remaining() == 0 else "CANCELLED"
    if isinstance(failure, grpc.aio.AbortError):
        return _STATUS_NAMES.get(context.code(), "UNKNOWN")
    return "INTERNAL"
