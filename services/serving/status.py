"""Turns a ServiceError into the status that gRPC sends, with google.rpc details, and back."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from services.serving.errors import Code, FieldViolation, ServiceError

DOMAIN = "axia"
"""The ErrorInfo domain of every error that axia raises."""

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata in which gRPC carries a google.rpc.Status."""

PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""Trailing metadata by which a server tells gRPC's clients when to repeat a call; they don't if it is negative."""

_MAX_TEXT_BYTES = 800
"""UTF-8 bytes of a message, and of all descriptions of violations together. gRPC takes 8 KiB of metadata at most, in
which a message comes twice, once with up to three characters a byte; beyond it the caller gets another status."""

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_CODES = {code.value.grpc: code for code in Code}


class CallStatus(NamedTuple):
    """A gRPC status with trailing metadata, as `ServicerContext.abort` takes it."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def to_status(error: ServiceError, request_id: str) -> CallStatus:
    """Builds the status of an error: ErrorInfo always, BadRequest and RetryInfo where they apply."""
    message = _clipped(error.message, _MAX_TEXT_BYTES)
    metadata = {**error.metadata, "request_id": request_id}
    details = [_pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))]
    if error.violations:
        share = _MAX_TEXT_BYTES // len(error.violations)
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=_clipped(v.description, share))
            for v in error.violations
        ]
        details.append(_pack(error_details_pb2.BadRequest(field_violations=violations)))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=error.code.value.grpc, message=message, details=details)
    sent: tuple[tuple[str, str | bytes], ...] = ((DETAILS_KEY, status.SerializeToString()),)
    if not error.repeatable:
        sent = (*sent, (PUSHBACK_KEY, "-1"))
    return CallStatus(_GRPC_CODES[error.code.value.grpc], message, sent)


async def end_call(context: "grpc.aio.ServicerContext[Any, Any]", status: CallStatus) -> NoReturn:
    """Ends a call with a status.

    Raises:
        grpc.aio.AbortError: As gRPC ends calls.
        asyncio.CancelledError: If the caller is gone, so that nobody hears the status. That is no fault of a server's.
    """
    try:
        await context.abort(status.code, status.details, status.trailing_metadata)
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # of gRPC's own types
        raise asyncio.CancelledError from error
    finally:
        del context  # it keeps the AbortError, whose traceback holds this frame


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Reads the error that another server of the suite sent, so that it can be passed on.

    A status without axia's details (the transport's own, say) keeps its code and pause; its texts are not passed on.
    """
    try:
        message, info, bad_request, retry = _sent_details(error.trailing_metadata() or ())
    except DecodeError:  # written by something between the servers, or by none of ours
        message, info, bad_request, retry = _SentDetails()
    metadata = {key: value for key, value in info.metadata.items() if key != "request_id"}
    violations = tuple(FieldViolation(v.field, v.description) for v in bad_request.field_violations)
    ours = info.domain == DOMAIN
    failure = ServiceError(
        (message if ours else "")
        or f"an upstream service failed with {error.code().name}; check the services' logs for this request id",
        reason=(info.reason if ours else "") or error.code().name,
        violations=violations if ours else (),
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if retry else None,
        metadata=metadata if ours else {},
    )
    failure.code = _CODES.get(error.code().value[0], Code.INTERNAL)
    return failure


class _SentDetails(NamedTuple):
    """What a google.rpc.Status holds, as far as axia reads it."""

    message: str = ""
    info: error_details_pb2.ErrorInfo = error_details_pb2.ErrorInfo()
    bad_request: error_details_pb2.BadRequest = error_details_pb2.BadRequest()
    retry: error_details_pb2.RetryInfo | None = None


def _sent_details(metadata: Iterable[tuple[str, str | bytes]]) -> _SentDetails:
    sent = next((value for key, value in metadata if key == DETAILS_KEY and isinstance(value, bytes)), b"")
    status = status_pb2.Status.FromString(sent)
    found = _SentDetails(status.message)
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            found = found._replace(info=error_details_pb2.ErrorInfo.FromString(detail.value))
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            found = found._replace(bad_request=error_details_pb2.BadRequest.FromString(detail.value))
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            found = found._replace(retry=error_details_pb2.RetryInfo.FromString(detail.value))
    return found


def _clipped(text: str, max_bytes: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= max_bytes else encoded[:max_bytes].decode(errors="ignore") + "…"


def _pack(message: error_details_pb2.ErrorInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
