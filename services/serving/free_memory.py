"""Gives memory that is free back to the system.

glibc keeps what was freed, in a heap for each of several threads: a server whose largest calls took 50 MiB would keep
that, and what lies between, for as long as it lives. `malloc_trim` gives back all pages that hold nothing.
"""

import asyncio
import ctypes
import logging
import os
import sys
import time
from pathlib import Path

logger = logging.getLogger(__name__)

_LOOK_S = 10.0
"""How often resident memory is looked at."""
_GROWN_BYTES = 4 * 2**20
"""Growth since the last time after which memory is given back. That takes some milliseconds, in a thread."""
_STATM = Path("/proc/self/statm")


async def give_back() -> None:
    """Gives memory back whenever the process has grown; never ends by itself. Does nothing without glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None or sys.platform != "linux":
        return
    resident = _resident()
    while True:
        await asyncio.sleep(_LOOK_S)
        before = _resident()
        if before - resident < _GROWN_BYTES:
            resident = min(resident, before)
            continue
        began = time.perf_counter()
        await asyncio.to_thread(trim, 0)  # ctypes lets other threads run meanwhile
        resident = _resident()
        logger.debug(
            "%.0f of %.0f MiB given back in %.1f ms",
            (before - resident) / 2**20, before / 2**20, 1000 * (time.perf_counter() - began),
        )  # fmt: skip


def _resident() -> int:
    """Resident memory of this process, in bytes."""
    return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
