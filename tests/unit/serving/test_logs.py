"""Log lines: JSON, one object a line, with the service and the request they belong to."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from grpc._cython import cygrpc

from services.serving.logs import configure_logs, request_id


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []  # configure_logs closes those that it replaces; pytest's own must live on
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    written = capsys.readouterr()
    assert written.out == ""
    return [json.loads(line) for line in written.err.splitlines()]


def test_a_record_is_one_json_object_with_time_level_logger_message_and_service(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("inference", "INFO")
    logging.getLogger("engine").info("loaded %s\nin %d s", "a model", 3)
    (line,) = lines(capsys)
    assert line.pop("time")
    assert line == {"level": "INFO", "logger": "engine", "message": "loaded a model\nin 3 s", "service": "inference"}


def test_a_record_within_a_request_has_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "INFO")
    token = request_id.set('id with "quotes"')
    logging.getLogger("a").warning("within")
    request_id.reset(token)
    logging.getLogger("a").warning("after")
    within, after = lines(capsys)
    assert within["request_id"] == 'id with "quotes"'
    assert "request_id" not in after


async def test_requests_at_the_same_time_keep_their_own_ids(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "INFO")

    async def work(number: int) -> None:
        request_id.set(f"request-{number}")
        await asyncio.sleep(0)
        logging.getLogger("a").info("%d", number)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert {line["message"]: line["request_id"] for line in lines(capsys)} == {
        str(number): f"request-{number}" for number in range(5)
    }


def test_a_traceback_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "INFO")
    try:
        int("what went wrong")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (line,) = lines(capsys)
    assert line["message"] == "failed"
    assert "ValueError: invalid literal for int() with base 10: 'what went wrong'" in line["exc_info"]


@pytest.mark.parametrize(
    ("logger", "error", "written"),
    [
        ("grpc._cython.cygrpc", asyncio.CancelledError(), 0),
        ("grpc._cython.cygrpc", cygrpc.ExecuteBatchError("the answer"), 0),
        ("grpc._cython.cygrpc", RuntimeError(), 1),
        ("gateway", asyncio.CancelledError(), 1),
    ],
)
def test_calls_that_end_with_the_server_are_no_errors(
    capsys: pytest.CaptureFixture[str], logger: str, error: BaseException, written: int
) -> None:
    configure_logs("gateway", "INFO")
    logging.getLogger(logger).error("Exception not handled in servicer method", exc_info=error)
    assert len(lines(capsys)) == written


def test_records_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "WARNING")
    logging.getLogger("a").info("left out")
    logging.getLogger("a").warning("written")
    assert [line["message"] for line in lines(capsys)] == ["written"]


def test_further_fields_of_a_record_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "INFO")
    logging.getLogger("a").info("done", extra={"tokens": 12})
    assert lines(capsys)[0]["tokens"] == 12


def test_configuring_again_replaces_the_handler(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("first", "INFO")
    configure_logs("second", "INFO")
    logging.getLogger("a").info("once")
    assert [line["service"] for line in lines(capsys)] == ["second"]


def failing(secret: str) -> Exception:
    """An exception whose text, cause and group hold something that a request said."""
    try:
        try:
            {}[secret]
        except KeyError as error:
            raise ExceptionGroup(secret, [ValueError(secret), OSError(28, secret)]) from error
    except ExceptionGroup as error:
        return error


def test_exceptions_within_a_request_are_logged_without_their_texts(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "INFO")
    token = request_id.set("a request")
    logging.getLogger("services.a").error("it failed", exc_info=failing("my diary"))
    request_id.reset(token)
    (line,) = lines(capsys)
    assert "my diary" not in str(line)
    assert line["message"] == "it failed"
    for part in (
        "KeyError",
        "ValueError",
        "[Errno 28] No space left on device",
        "test_logs.py",
        "AXIA_…_LOG_CONTENT=1",
    ):
        assert part in line["exc_info"]


def test_what_libraries_say_of_an_exception_is_cut_before_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("gateway", "INFO")
    error = failing("my diary")
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %r", error, exc_info=error)
    logging.getLogger("grpc._cython.cygrpc").error("Unexpected [KeyError('my diary')] raised", exc_info=error)
    assert "my diary" not in str(lines(capsys))


def test_libraries_do_not_log_at_the_level_of_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("http", "DEBUG")
    logging.getLogger("sse_starlette.sse").debug("chunk: my diary")
    logging.getLogger("services.serving.app").debug("of ours")
    assert [line["message"] for line in lines(capsys)] == ["of ours"]


def test_a_setting_brings_the_texts_back(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("http", "DEBUG", content=True)
    token = request_id.set("a request")
    logging.getLogger("sse_starlette.sse").debug("chunk: my diary")
    logging.getLogger("services.a").error("it failed", exc_info=failing("my diary"))
    request_id.reset(token)
    chunk, failed = lines(capsys)
    assert chunk["message"] == "chunk: my diary"
    assert "ValueError: my diary" in failed["exc_info"]


def test_failures_outside_of_requests_keep_their_texts(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("inference", "INFO")
    logging.getLogger("services.inference.server").error("it can't load", exc_info=ValueError("model.bin is no model"))
    assert "ValueError: model.bin is no model" in lines(capsys)[0]["exc_info"]
