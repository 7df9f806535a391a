"""Forks of this process while a call is in flight: two processes then share connections that only one can use.

gRPC takes care of a fork where no thread is in a call. Otherwise it does nothing, and calls of the child on a
connection of the parent hang, abort the process, or break the parent's connection. Its part for asyncio, once it was
used, never works in a child: calls hang beyond their time limits.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Forks:
    def __init__(self) -> None:
        self.unsafe = 0
        """Forks between this process and its first ancestor that came while a call was in flight."""
        self.asyncio_used = False
        """Whether this process or one that it was forked from has used gRPC's part for asyncio."""
        self._asyncio_lost = False
        self._in_flight = 0
        self._forks = 0
        # Calls may end in a generator that the garbage collector closes, anywhere.
        self._lock = threading.RLock()
        if hasattr(os, "register_at_fork"):
            # Held during the fork, so that the child's copy of the count is whole.
            os.register_at_fork(
                before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._forked
            )

    def _forked(self) -> None:
        self.unsafe += self._in_flight > 0
        self._asyncio_lost = self.asyncio_used
        self._in_flight = 0
        self._forks += 1
        self._lock.release()

    def use_asyncio(self) -> None:
        if self._asyncio_lost:
            raise RuntimeError(
                "this process was forked after an AsyncClient had been used, and asyncio's part of gRPC works in one "
                "process only: use axia.Client here, or start processes by multiprocessing's spawn method"
            )
        self.asyncio_used = True

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Around a call."""
        with self._lock:
            self._in_flight += 1
            forks = self._forks
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= forks == self._forks  # one that a child inherits isn't the child's


_FORKS = _Forks()


def unsafe_forks() -> int:
    """How often this process came of a fork during a call; another number than before means that one has happened."""
    return _FORKS.unsafe


calling = _FORKS.calling


def use_asyncio() -> None:
    """Notes that gRPC's part for asyncio is used.

    Raises:
        RuntimeError: With what to do, if it was used before a fork that this process comes from.
    """
    _FORKS.use_asyncio()


def check(unsafe_before: int) -> None:
    """Refuses a call on a connection that two processes share.

    Args:
        unsafe_before: As it was when the connection was made.

    Raises:
        RuntimeError: With what to do.
    """
    if _FORKS.unsafe != unsafe_before:
        raise RuntimeError(
            "this client was made before the process forked, and a call was in flight then, so its connection can't be "
            "used here: make a new client in the child process, or start processes by multiprocessing's spawn method"
        )
