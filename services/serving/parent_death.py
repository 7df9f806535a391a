"""Ends a process when the one that started it ends. Imports nothing heavy, because spawned processes run it first."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(how: signal.Signals) -> None:
    """Has Linux send this process a signal once its parent has ended, however it ended; nothing on other systems.

    For Linux the parent is the thread that spawned the process, so that thread has to last.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how)
