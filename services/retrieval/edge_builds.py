"""The builds of an open index: when one begins, the child process that does it, and what becomes of one that fails.

Edge's calls hold the GIL and building an HNSW index takes minutes, so that happens in a child process
(`edge_build`), from the logs on disk, while searches go on with what was there before.
"""

import asyncio
import contextlib
import functools
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from services.retrieval.edge_build import DISK_FULL, BuildJob
from services.retrieval.edge_files import DamagedPartError
from services.retrieval.edge_shard import ShardError
from services.retrieval.edge_store import EdgeStore
from services.serving.errors import ServiceError

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 600.0
"""Before a build that failed is tried again; doubles."""


class _Outcome(Enum):
    """How a build ended."""

    BUILT = "built"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class EdgeBuilds:
    """Builds what is due, one build at a time, and everything into one part once nothing is written for a while.

    The latter may take minutes. When so much is added meanwhile that another build is due, it makes way for that, for
    what is in no part is compared one by one; it comes again when it is quiet again.

    Args:
        store: What is built.
        in_turn: Runs a call in the thread that writes to the store, between two writes.
        settle_s: Seconds without an addition or a deletion after which everything is built into one part.
    """

    def __init__(
        self, store: EdgeStore, in_turn: Callable[[Callable[[], Any]], Awaitable[Any]], settle_s: float
    ) -> None:
        self._store = store
        self._in_turn = in_turn
        self._settle_s = settle_s
        self._task: asyncio.Task[None] | None = None
        self._settling = False
        self._interrupted = False
        self._child: asyncio.subprocess.Process | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._settle: asyncio.TimerHandle | None = None
        self._written = time.monotonic()
        self._pause_s = _FIRST_PAUSE_S
        self._not_before = 0.0
        self._settle_pause_s = 0.0
        self._settle_not_before = 0.0
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether something is being built."""
        return self._task is not None

    def begin(self) -> None:
        """Builds what was left when the index was closed."""
        self._start()
        self._settle_later()

    def after_write(self) -> None:
        """Builds what is due now that something was added or deleted."""
        self._written = time.monotonic()
        if self._settling and self._store.outgrown():
            self._interrupted = True
            if self._child is not None:
                _kill(self._child)
        self._start()
        self._settle_later()

    async def close(self) -> None:
        """Ends a build and begins no other."""
        self._closed = True
        for timer in (self._retry, self._settle):
            if timer is not None:
                timer.cancel()
        if self._task is not None:
            task = self._task
            task.cancel()
            await asyncio.wait([task])  # raises nothing: whatever it ended with, the index must still be let go
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.warning("a build did not end as it should", exc_info=error)

    def _start(self) -> None:
        if self._may_start() and self._store.to_build():
            self._task = asyncio.create_task(self._build_all(settling=False), name="index-build")

    def _may_start(self) -> bool:
        return self._task is None and not self._closed and time.monotonic() >= self._not_before

    def _settle_later(self) -> None:
        # While something is built nothing can begin; its end comes here again.
        if self._settle is None and self._task is None and not self._closed and self._store.to_settle():
            left_s = self._settle_at() - time.monotonic()
            self._settle = asyncio.get_running_loop().call_later(max(left_s, 0.0), self._settle_if_quiet)

    def _settle_at(self) -> float:
        return max(self._written + self._settle_s, self._settle_not_before, self._not_before)

    def _settle_if_quiet(self) -> None:
        self._settle = None
        if self._may_start() and time.monotonic() >= self._settle_at() and self._store.to_settle():
            self._task = asyncio.create_task(self._build_all(settling=True), name="index-build")
        else:
            self._settle_later()  # something was written since; only what is left is waited for

    async def _build_all(self, *, settling: bool) -> None:
        self._settling, self._interrupted = settling, False
        try:
            while True:
                begin = functools.partial(self._store.begin_build, settling=self._settling)
                job: BuildJob | None = await self._in_turn(begin)
                if job is None:
                    return
                if not await self._build(job):
                    self._retry_later()
                    return
                # What was added meanwhile is built now if it is due; if not, it waits until it is quiet again.
                self._settling = self._interrupted = False
        except (OSError, ShardError, DamagedPartError, ServiceError) as error:
            _log.warning("a built index can't be put in place; it is tried again", extra={"error": str(error)})
            self._retry_later()
        except Exception:  # Edge raises nothing more specific; and a mistake here must not end builds for good
            _log.exception("a build ended unexpectedly; it is tried again")
            self._retry_later()
        finally:
            self._task = None
            self._settling = False
            self._settle_later()

    async def _build(self, job: BuildJob) -> bool:
        """Builds one part; returns whether builds go on."""
        began = time.monotonic()
        outcome = _Outcome.FAILED
        try:
            outcome = await self._run(job)
        finally:
            # Also when the index closes meanwhile: it removes what was half-built.
            end = functools.partial(self._store.end_build, job, built=outcome is _Outcome.BUILT)
            await self._in_turn(end)
        if outcome is _Outcome.BUILT:
            self._pause_s = _FIRST_PAUSE_S
            if self._settling:
                self._settle_pause_s = 0.0
            _log.info("built an index", extra={"seconds": round(time.monotonic() - began, 1)})
        return outcome is not _Outcome.FAILED

    def _retry_later(self) -> None:
        pause_s = self._pause_s
        if self._settling:
            # Only settling waits: smaller builds need less room, and what it sealed is one of them.
            self._settle_pause_s = min(max(2 * self._settle_pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            self._settle_not_before = time.monotonic() + self._settle_pause_s
            pause_s = 0.0
        else:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + pause_s
        if not self._closed:
            self._retry = asyncio.get_running_loop().call_later(pause_s, self._start)

    async def _run(self, job: BuildJob) -> _Outcome:
        if not await asyncio.to_thread(self._store.enough_space, job):
            _log.warning("too little disk space to build an index; searches go on without one")
            return _Outcome.FAILED
        # A program of its own rather than a fork: gRPC's threads don't survive one.
        child = self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.retrieval.edge_build", str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            process_group=0,  # signals to the server's group are for the server, which ends the child itself
        )
        try:
            if self._interrupted:  # before there was a child that could be ended
                _kill(child)
            await child.communicate(job.to_json())
        finally:
            self._child = None
            if child.returncode is None:
                _kill(child)
                await child.wait()
        if child.returncode == 0:
            return _Outcome.BUILT
        if self._interrupted:
            _log.info("an index is built in parts first, for much was added while everything was built into one")
            return _Outcome.INTERRUPTED
        if child.returncode == DISK_FULL:
            _log.warning("the disk is too full to build an index; searches go on without one")
        else:
            _log.warning("building an index failed", extra={"returncode": child.returncode})
        return _Outcome.FAILED


def _kill(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.kill()
