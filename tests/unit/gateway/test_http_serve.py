"""What BentoML's process manager logs while it ends."""

import logging

import pytest

pytest.importorskip("circus", reason="needs axia's extra serving")

from circus.exc import ConflictError

from gateway.http.serve import is_told


def _record(error: Exception) -> logging.LogRecord:
    told = (type(error), error, None)
    return logging.LogRecord("tornado.application", logging.ERROR, "", 0, "Exception in callback", (), told)


def test_circus_refusing_its_own_look_is_no_error_to_tell() -> None:
    assert not is_told(_record(ConflictError("arbiter is already running arbiter_stop command")))


def test_all_else_is_told() -> None:
    assert is_told(_record(RuntimeError("no memory")))
    assert is_told(logging.LogRecord("tornado.application", logging.ERROR, "", 0, "without an exception", (), None))
