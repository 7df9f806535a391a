"""What a process tells the kernel about itself. Imports nothing heavy, because spawned processes run it first."""

import ctypes
import resource
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_NO_CORE = 1
"""Bytes of a core dump. With 0, Linux would still start a program that `core_pattern` names; for 1 it starts none, and
a file would have no room for the first page."""


def end_with_parent(how: signal.Signals) -> None:
    """Has Linux send this process a signal once its parent has ended, however it ended; nothing on other systems.

    For Linux the parent is the thread that spawned the process, so that thread has to last.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how)


def forbid_core_dumps() -> None:
    """Keeps the memory of this process, with the images and texts in it, from being written to disk when it crashes,
    and from being read by other processes of the same user.

    Processes that it starts write none either; their memory can be read unless they call this too.
    """
    with suppress(ValueError):  # the limit is 0 already, and only a privileged process may raise it
        resource.setrlimit(resource.RLIMIT_CORE, (_NO_CORE, _NO_CORE))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0)
