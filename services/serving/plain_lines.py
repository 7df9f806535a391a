"""Turns what libraries and child processes write to standard error and output into JSON lines like all others.

Loggers can be told how to write; native code, warnings of C++ libraries and the traceback of a child process can't.
"""

import faulthandler
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TextIO

_STDOUT, _STDERR = 1, 2
_LAST_LINES_S = 2.0
"""Time for the last lines at the end; a child that lives on keeps the pipe open."""

logger = logging.getLogger("stderr")


@contextmanager
def plain_lines_as_records() -> Iterator[None]:
    """Gives this process and the children that it starts a pipe for standard error and output, and logs what comes out.

    Lines that are JSON pass as they are. This process's own records go where they went before, so that none is lost if
    it dies.
    """
    reading, writing = os.pipe()
    originals = {number: os.dup(number) for number in (_STDOUT, _STDERR)}
    stream = os.fdopen(os.dup(_STDERR), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    for number in originals:
        os.dup2(writing, number)
    os.close(writing)
    handlers = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    before = [handler.setStream(stream) for handler in handlers]
    faulthandler.enable(stream)
    reader = threading.Thread(target=_log_all, args=(reading, stream), name="plain-lines", daemon=True)
    reader.start()
    with ExitStack() as stack:
        stack.callback(stream.close)
        stack.callback(reader.join, _LAST_LINES_S)
        stack.callback(_restore, originals, list(zip(handlers, before, strict=True)))
        stack.callback(faulthandler.disable)
        yield


def _restore(originals: dict[int, int], handlers: list[tuple["logging.StreamHandler[TextIO]", TextIO | None]]) -> None:
    for number, original in originals.items():
        os.dup2(original, number)
        os.close(original)
    for handler, stream in handlers:
        if stream is not None:
            handler.setStream(stream)


def _log_all(reading: int, stream: TextIO) -> None:
    with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            # A full disk may not end the reading: whoever writes next would block or fail.
            with suppress(OSError):
                if _is_record(line):
                    stream.write(line)
                elif line.strip():
                    # Whatever the level is: it may be why a child has died.
                    logger.log(max(logging.INFO, logging.getLogger().level), "%s", line.rstrip())


def _is_record(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
