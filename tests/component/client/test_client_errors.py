"""Every status of a server becomes one error of the tree, and none stays gRPC's."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2

from axia import (
    AsyncClient,
    AxiaError,
    Cancelled,
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServerError,
    Unavailable,
)
from axia.testing import FakeGateway

NOBODY = "127.0.0.1:1"
BAD_N = error_details_pb2.BadRequest(
    field_violations=[error_details_pb2.BadRequest.FieldViolation(field="n", description="must be 1 to 16, is 99")]
)
PAUSE = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1, nanos=500_000_000))


class Case(NamedTuple):
    code: str
    sent: str
    reason: str
    details: tuple[Any, ...]
    error: type[AxiaError]
    said: str


# What axia's servers say is passed on, with advice where it has none. Of what others say only the code counts.
CASES = [
    Case(
        "INVALID_ARGUMENT", "n: must be 1 to 16, is 99", "INVALID_FIELD", (BAD_N,), InvalidRequest, "^n: must be 1 to"
    ),
    Case("INVALID_ARGUMENT", "odd", "", (), InvalidRequest, "refuses the request: odd"),
    Case("OUT_OF_RANGE", "too far", "", (), InvalidRequest, "refuses the request: too far"),
    Case("NOT_FOUND", "no model x", "UNKNOWN_MODEL", (), NotFound, "^no model x: `axia models` lists the models"),
    Case("RESOURCE_EXHAUSTED", "full", "QUEUE_FULL", (PAUSE,), Overloaded, r"^full: try again in 1\.5 s$"),
    Case("RESOURCE_EXHAUSTED", "", "", (), Overloaded, r"^the server at .* is busy: try again in a moment$"),
    Case("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (9 vs. 4)", "", (), InvalidRequest, "smaller"),
    Case("UNAVAILABLE", "the model's server is away", "MODEL_AWAY", (), Unavailable, "^the model's server is away$"),
    Case("UNAVAILABLE", "Socket closed", "", (), ConnectionFailed, "was lost before the answer was complete"),
    Case("DEADLINE_EXCEEDED", "none done", "NONE_DONE", (), DeadlineExceeded, "^none done: give more time with"),
    Case("DEADLINE_EXCEEDED", "", "", (), DeadlineExceeded, r"^no answer from .* within 30 s: give more time"),
    Case("CANCELLED", "", "", (), Cancelled, "was cancelled before it had an answer: call again$"),
    Case("UNIMPLEMENTED", "", "", (), ServerError, "does not know this call: give the address of an axia gateway"),
    Case("INTERNAL", "the server failed", "UNEXPECTED_FAILURE", (), ServerError, "^the server failed$"),
    Case("INTERNAL", "secret", "", (), ServerError, r"failed \(INTERNAL\): look for request \w{32} in its log$"),
    Case("UNKNOWN", "secret", "", (), ServerError, r"failed \(UNKNOWN\): look for request \w{32} in its log$"),
    Case("FAILED_PRECONDITION", "set X", "NOT_SET_UP", (), FailedPrecondition, "^set X$"),
    Case("FAILED_PRECONDITION", "odd", "", (), FailedPrecondition, "is not set up for this call: odd$"),
    Case("PERMISSION_DENIED", "", "", (), ServerError, r"failed \(PERMISSION_DENIED\)"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.reason or case.sent}")
async def test_a_status_becomes_its_error(gateway: Any, fail: Callable[..., None], picture: Path, case: Case) -> None:
    fail(case.code, case.sent, case.reason, *case.details)
    raised: list[AxiaError] = []

    with Client(timeout=30) as client:
        with pytest.raises(case.error, match=case.said) as caught:
            client.detect(picture)
        raised.append(caught.value)
        with pytest.raises(case.error, match=case.said) as caught:
            list(client.stream(picture))
        raised.append(caught.value)
    async with AsyncClient(timeout=30) as client:
        with pytest.raises(case.error, match=case.said) as caught:
            await client.detect(picture)
        raised.append(caught.value)
        with pytest.raises(case.error, match=case.said) as caught:
            _ = [event async for event in client.stream(picture)]
        raised.append(caught.value)

    for error, sent_id in zip(raised, gateway.request_ids, strict=True):
        assert type(error) is case.error
        assert (error.code, error.reason) == (case.code, case.reason)
        assert error.request_id == ("as-the-server-has-it" if case.reason else sent_id)


def test_a_refused_field_is_named(fake: FakeGateway, picture: Path) -> None:
    fake.fail("INVALID_ARGUMENT", "n: must be 1 to 16, is 99", reason="INVALID_FIELD", field="n")
    with Client() as client, pytest.raises(InvalidRequest) as caught:
        client.detect(picture, n=99)
    assert caught.value.fields == [FieldViolation("n", "must be 1 to 16, is 99")]


def test_an_overload_says_when_to_try_again(fake: FakeGateway, picture: Path) -> None:
    fake.fail("RESOURCE_EXHAUSTED", "full", reason="QUEUE_FULL", retry_after=1.5)
    with Client() as client, pytest.raises(Overloaded) as caught:
        client.detect(picture)
    assert caught.value.retry_after == 1.5


def test_details_that_cannot_be_read_do_not_hide_the_error(gateway: Any, picture: Path) -> None:
    import grpc

    gateway.failure = (grpc.StatusCode.NOT_FOUND, "no", (("grpc-status-details-bin", b"\xff\xff"),))
    with Client() as client, pytest.raises(NotFound):
        client.detect(picture)


async def test_nobody_at_the_address_says_how_to_start_somebody(picture: Path) -> None:
    advice = f"^no server answers at {NOBODY}: start one with `axia up` or give another address with --address"
    with Client(NOBODY) as client:
        with pytest.raises(ConnectionFailed, match=advice) as caught:
            client.detect(picture)
        with pytest.raises(ConnectionFailed, match=advice):
            client.models()
    assert caught.value.code == "UNAVAILABLE"
    async with AsyncClient(NOBODY) as client:
        with pytest.raises(ConnectionFailed, match=advice):
            await client.models()


def test_a_host_that_does_not_exist_is_named(picture: Path) -> None:
    nobody = "no..host:50050"  # no name server has to be asked to know that nobody is called so
    with (
        Client(nobody) as client,
        pytest.raises(
            ConnectionFailed, match=rf"^the host name in {re.escape(nobody)} can't be resolved: check the name"
        ),
    ):
        client.detect(picture)


def test_errors_survive_pickling_as_worker_pools_need() -> None:
    error = Overloaded("full", reason="QUEUE_FULL", request_id="1", retry_after=2.0)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), copy.code, copy.reason, copy.request_id, copy.retry_after) == (
        "full", "RESOURCE_EXHAUSTED", "QUEUE_FULL", "1", 2.0
    )  # fmt: skip
