"""One table of errors: what a caller gets over a real connection, what another server reads from it, and HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from axia._connection.transport import service_config
from services.serving.errors import (
    Code,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from services.serving.status import DETAILS_KEY, end_call, from_rpc_error, to_status
from tests.support import wire

HTTP = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
CLASSES = {
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.RESOURCE_EXHAUSTED: ResourceExhausted,
    Code.FAILED_PRECONDITION: FailedPrecondition,
    Code.INTERNAL: Internal,
    Code.UNAVAILABLE: Unavailable,
}


def error_of(code: Code) -> ServiceError:
    """An error of a code with everything that such an error may carry."""
    if code is Code.INVALID_ARGUMENT:
        return InvalidArgument("samples[2].temperature", "must be from 0 to 2, and is 3", reason="OUT_OF_RANGE")
    if code is Code.NOT_FOUND:
        return NotFound("model", "there is no model 'llava' – «ничего»", reason="MODEL_UNKNOWN")
    options: dict[str, Any] = {"reason": "A_REASON", "retry_after_s": 2.3, "metadata": {"queue": "full"}}
    if code in CLASSES:
        return CLASSES[code]("what happened; what to do", **options)
    made = ServiceError("what happened; what to do", **options)
    made.code = code
    return made


def details_of(error: grpc.aio.AioRpcError) -> list[Any]:
    """The google.rpc details of an error, unpacked."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata[DETAILS_KEY])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    return [kind.FromString(each.value) for each in status.details for kind in kinds if each.Is(kind.DESCRIPTOR)]


def same(one: ServiceError, other: ServiceError) -> bool:
    """Whether two errors tell the same."""
    fields = ("code", "message", "reason", "violations", "retry_after_s", "metadata")
    return all(getattr(one, field) == getattr(other, field) for field in fields)


async def fail(request: str, context: grpc.aio.ServicerContext[Any, Any]) -> str:
    raise error_of(Code[request])


async def fail_at_once(request: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[str]:
    raise error_of(Code[request])
    yield ""


async def fail_later(request: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[str]:
    yield "first"
    raise error_of(Code[request])


METHODS: dict[str, Any] = {"unary": {"Fail": fail}, "stream": {"FailAtOnce": fail_at_once, "FailLater": fail_later}}


@pytest.mark.parametrize("method", ["Fail", "FailAtOnce", "FailLater"])
async def test_every_code_arrives_with_its_details_and_reads_back_as_it_was(method: str) -> None:
    async with wire.serve(**METHODS) as server:
        for code in Code:
            sent = error_of(code)
            call = server.unary if method == "Fail" else server.stream
            error = await wire.failure(call(method, code.name, metadata=(("x-request-id", f"id-{code.name}"),)))
            assert error.code() is grpc.StatusCode[code.name]
            assert error.details() == sent.message
            info, *others = details_of(error)
            assert (info.domain, info.reason) == ("axia", sent.reason)
            assert dict(info.metadata) == {**sent.metadata, "request_id": f"id-{code.name}"}
            expected: list[Any] = []
            if sent.violations:
                violations = [{"field": v.field, "description": v.description} for v in sent.violations]
                expected.append(error_details_pb2.BadRequest(field_violations=violations))  # type: ignore[arg-type]
            if sent.retry_after_s:
                delay = duration_pb2.Duration(seconds=2, nanos=300_000_000)
                expected.append(error_details_pb2.RetryInfo(retry_delay=delay))
            assert others == expected
            assert same(from_rpc_error(error), sent)


async def test_responses_before_the_error_arrive() -> None:
    async with wire.serve(**METHODS) as server:
        arrived: list[str] = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await wire.collect(server.stream("FailLater", "NOT_FOUND"), arrived)
    assert arrived == ["first"]
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("code", Code)
def test_each_code_has_the_number_and_the_name_of_googles_table_and_one_http_status(code: Code) -> None:
    assert code_pb2.Code.Value(code.name) == code.value.grpc
    assert grpc.StatusCode[code.name].value[0] == code.value.grpc
    assert code.value.http == HTTP[code]


async def test_an_error_passed_on_through_another_server_stays_the_same() -> None:
    async with wire.serve(**METHODS) as behind:

        async def forward(request: str, context: grpc.aio.ServicerContext[Any, Any]) -> str:
            raise from_rpc_error(await wire.failure(behind.unary("Fail", request)))

        async with wire.serve({"PassOn": forward}) as front:
            for code in Code:
                error = await wire.failure(front.unary("PassOn", code.name, metadata=(("x-request-id", "front"),)))
                assert same(from_rpc_error(error), error_of(code))
                assert details_of(error)[0].metadata["request_id"] == "front"


# Errors that are nobody's intention.


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_unexpected_exception_is_internal_without_its_text_and_with_a_log_record(
    streaming: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(request: str, context: object) -> str:
        raise RuntimeError("password=hunter2 in /etc/secret")

    async def crash_later(request: str, context: object) -> AsyncIterator[str]:
        yield "first"
        raise RuntimeError("password=hunter2 in /etc/secret")

    async with wire.serve({"Crash": crash}, {"CrashLater": crash_later}) as server:
        call = server.stream("CrashLater") if streaming else server.unary("Crash")
        error = await wire.failure(call)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in repr(error)
    assert "hunter2" not in str(dict(error.trailing_metadata() or ()))
    assert details_of(error)[0].reason == "UNEXPECTED_FAILURE"
    (record,) = wire.errors(caplog)
    assert record.exc_info
    assert "hunter2" in str(record.exc_info[1])


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_abort_of_the_servicer_itself_passes_untouched(
    streaming: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def abort(request: str, context: grpc.aio.ServicerContext[Any, Any]) -> str:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "as the servicer said", (("key", "value"),))
        return ""

    async def abort_later(request: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[str]:
        yield "first"
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "as the servicer said", (("key", "value"),))

    async with wire.serve({"Abort": abort}, {"AbortLater": abort_later}) as server:
        method = "AbortLater" if streaming else "Abort"
        error = await wire.failure(server.stream(method) if streaming else server.unary(method))
        await server.until_idle()
        assert server.counted(method, "OUT_OF_RANGE") == 1
    assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "as the servicer said")
    assert dict(error.trailing_metadata() or ()) == {"key": "value"}
    assert not wire.errors(caplog)


@pytest.mark.parametrize("text", ["x" * 100_000, "価" * 30_000, "\n" * 10_000])
async def test_a_long_text_is_cut_so_that_the_callers_code_stays_what_it_is(text: str) -> None:
    async def unknown(request: str, context: object) -> str:
        raise InvalidArgument("model", text, reason="MODEL_UNKNOWN")

    async with wire.serve({"Unknown": unknown}) as server:
        error = await wire.failure(server.unary("Unknown"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    read = from_rpc_error(error)
    assert read.reason == "MODEL_UNKNOWN"
    assert read.message.startswith(f"model: {text[:200]}")
    assert read.message.endswith("…")
    assert read.violations[0].field == "model"


async def test_many_violations_with_long_texts_arrive_together() -> None:
    async def wrong(request: str, context: object) -> str:
        violations = tuple(FieldViolation(f"samples[{n}].seed", "価" * 500) for n in range(16))
        error = ServiceError("all are wrong", reason="WRONG", violations=violations)
        error.code = Code.INVALID_ARGUMENT
        raise error

    async with wire.serve({"Wrong": wrong}) as server:
        read = from_rpc_error(await wire.failure(server.unary("Wrong")))
    assert read.code is Code.INVALID_ARGUMENT
    assert [violation.field for violation in read.violations] == [f"samples[{n}].seed" for n in range(16)]


# Statuses that axia did not write.


def rpc_error(code: grpc.StatusCode, details: str = "text of a stranger", *trailers: tuple[str, str | bytes]) -> Any:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_a_status_without_details_keeps_its_code_if_axia_has_it_and_loses_its_text(code: grpc.StatusCode) -> None:
    read = from_rpc_error(rpc_error(code))
    assert read.code is (Code[code.name] if code.name in Code.__members__ else Code.INTERNAL)
    assert read.reason == code.name
    assert "stranger" not in read.message
    assert code.name in read.message


def test_a_strangers_details_are_not_passed_on_but_its_pause_is() -> None:
    packed = []
    for detail in (
        error_details_pb2.ErrorInfo(reason="THEIRS", domain="example.com", metadata={"host": "10.0.0.1"}),
        error_details_pb2.BadRequest(field_violations=[{"field": "secret", "description": "secret"}]),  # type: ignore[list-item]
        error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=7)),
    ):
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=14, message="secret", details=packed)
    read = from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "secret", (DETAILS_KEY, status.SerializeToString())))
    assert (read.code, read.reason, read.retry_after_s) == (Code.UNAVAILABLE, "UNAVAILABLE", 7)
    assert (read.violations, read.metadata) == ((), {})
    assert "secret" not in read.message


def test_details_that_can_not_be_read_are_as_good_as_none() -> None:
    broken_inside = status_pb2.Status(
        code=14,
        details=[any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")],
    ).SerializeToString()
    for value in (b"\xff\xff\xff", broken_inside):
        read = from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "x", (DETAILS_KEY, value)))
        assert (read.code, read.reason) == (Code.UNAVAILABLE, "UNAVAILABLE")


async def test_a_server_that_is_not_there_reads_as_unavailable() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        read = from_rpc_error(await wire.failure(channel.unary_unary("/a/B")(b"")))
    assert (read.code, read.reason) == (Code.UNAVAILABLE, "UNAVAILABLE")
    assert "127.0.0.1" not in read.message


# Renaming.


def test_renaming_changes_the_violations_and_the_beginning_of_the_message() -> None:
    error = InvalidArgument("messages[1].text", "must not be empty", reason="TEXT_EMPTY")
    renamed = error.renamed({"messages[1].text": "prompt_text"}.__getitem__)
    assert renamed.violations == (FieldViolation("prompt_text", "must not be empty"),)
    assert renamed.message == str(renamed) == "prompt_text: must not be empty"
    assert (renamed.code, renamed.reason) == (Code.INVALID_ARGUMENT, "TEXT_EMPTY")
    assert error.message == "messages[1].text: must not be empty"


def test_renaming_leaves_a_message_that_names_no_field() -> None:
    error = NotFound("model", "there is no model: 'x'", reason="MODEL_UNKNOWN")
    renamed = error.renamed(str.upper)
    assert renamed.message == "there is no model: 'x'"
    assert renamed.violations[0].field == "MODEL"


def test_renaming_keeps_everything_else() -> None:
    error = ResourceExhausted("full", reason="QUEUE_FULL", retry_after_s=2.0, metadata={"model": "m"})
    assert same(error.renamed(str.upper), error)


def test_fields_that_swap_their_names_are_renamed_once() -> None:
    violations = (FieldViolation("a", "x"), FieldViolation("b", "y"))
    error = ServiceError("a: x", reason="R", violations=violations)
    assert error.renamed({"a": "b", "b": "a"}.__getitem__).message == "b: x"


def test_a_status_needs_no_running_server() -> None:
    status = to_status(Internal("broken", reason="BROKEN"), "an id")
    assert (status.code, status.details) == (grpc.StatusCode.INTERNAL, "broken")
    assert [key for key, _ in status.trailing_metadata] == [DETAILS_KEY]


async def test_a_status_that_nobody_can_hear_counts_as_a_cancelled_call_and_no_fault() -> None:
    class Gone:
        async def abort(self, *status: object) -> None:
            raise RuntimeError("as gRPC raises where the caller is gone")

    class There:
        async def abort(self, *status: object) -> None:
            raise grpc.aio.AbortError

    status = to_status(NotFound("name", "no such thing", reason="UNKNOWN_THING"), "r")
    with pytest.raises(asyncio.CancelledError):
        await end_call(Gone(), status)  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AbortError):
        await end_call(There(), status)  # type: ignore[arg-type]


@pytest.mark.parametrize(("repeatable", "calls"), [(False, 1), (True, 3)])
async def test_a_client_repeats_no_call_whose_error_says_so(*, repeatable: bool, calls: int) -> None:
    seen = 0

    async def silent(_: str, context: grpc.aio.ServicerContext[str, str]) -> str:
        nonlocal seen
        seen += 1
        raise Unavailable("the store doesn't answer", reason="STORE_SILENT", repeatable=repeatable)

    policy = json.loads(service_config())["methodConfig"][0]["retryPolicy"]
    async with wire.serve({"Silent": silent}) as server:
        config = {"methodConfig": [{"name": [{"service": server.service}], "retryPolicy": policy}]}
        options = [("grpc.service_config", json.dumps(config))]
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            method: Any = channel.unary_unary(f"/{server.service}/Silent", wire.encode, bytes.decode)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method("", timeout=5.0)
    assert (seen, caught.value.code()) == (calls, grpc.StatusCode.UNAVAILABLE)
    assert details_of(caught.value)[0].reason == "STORE_SILENT"
