"""A server that counts what its memory holds: python -m tests.support.chaos.counted REPORT [--trace] [--trim] MODULE

Runs a server's module. On SIGUSR1 it adds a line to the report, a JSON object: resident memory and the number of
objects, with --trace what Python's own objects hold (tracemalloc), and with --trim what is left of resident memory when
the collector has run and the allocator has given back all that is free.
"""

from __future__ import annotations

import ctypes
import gc
import json
import runpy
import signal
import sys
import tracemalloc
from pathlib import Path
from types import FrameType

import psutil

_MIB = 2**20


def _report(path: Path, *, trim: bool) -> None:
    process = psutil.Process()
    if trim:
        gc.collect()
    line = {"resident": process.memory_info().rss / _MIB, "objects": len(gc.get_objects())}
    if tracemalloc.is_tracing():
        line["traced"] = tracemalloc.get_traced_memory()[0] / _MIB
    if trim:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # glibc's own way to give back what is free
        line["trimmed"] = process.memory_info().rss / _MIB
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Runs the module as `python -m` does."""
    path, *words = sys.argv[1:]
    options = {word for word in words if word.startswith("--")}
    words = [word for word in words if word not in options]
    if "--trace" in options:
        tracemalloc.start(1)

    def on_signal(number: int, frame: FrameType | None) -> None:
        _report(Path(path), trim="--trim" in options)

    signal.signal(signal.SIGUSR1, on_signal)
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
