"""The queue of an engine that has none of its own, and the error of a full one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.inference.engines.engine import EngineLoad
from services.serving.errors import ResourceExhausted


def queue_full() -> ResourceExhausted:
    """What a caller is told when a request would overfill the queue."""
    return ResourceExhausted(
        "the queue of this model is full; try again shortly", reason="QUEUE_FULL", retry_after_s=1.0
    )


class CompletionQueue:
    """Counts completions, lets some run at the same time and the others wait.

    Args:
        running: Completions that run at the same time.
        most: Completions that run or wait, together.
    """

    def __init__(self, running: int, most: int) -> None:
        self._most = most
        self._places = asyncio.Semaphore(running)
        self._load = EngineLoad(0, 0)

    @property
    def load(self) -> EngineLoad:
        """Running and waiting completions."""
        return self._load

    def admit(self, completions: int) -> None:
        """Raises ResourceExhausted if that many more would overfill the queue."""
        if sum(self._load) + completions > self._most:
            raise queue_full()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[float]:
        """A place for one completion; gives the seconds that it waited for it."""
        began = time.perf_counter()
        self._count(waiting=1)
        try:
            await self._places.acquire()
        finally:
            self._count(waiting=-1)
        self._count(running=1)
        try:
            yield time.perf_counter() - began
        finally:
            self._count(running=-1)
            self._places.release()

    def _count(self, *, running: int = 0, waiting: int = 0) -> None:
        self._load = EngineLoad(self._load.running + running, self._load.waiting + waiting)
