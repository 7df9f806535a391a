"""Computes in batches what callers ask for one by one."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from services.serving.errors import ResourceExhausted, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_RETRY_S = 60.0


class _Waiting(NamedTuple, Generic[Item, Result]):
    item: Item
    result: asyncio.Future[Result]


class MicroBatcher(Generic[Item, Result]):
    """Gathers items of many callers into batches and computes one batch at a time.

    While a batch is computed, the next one gathers by itself. Only where more is known to come does a batch that isn't
    full wait, for `max_wait_s` at most; a lone caller's never waits.

    Args:
        compute: Maps a batch to as many results, in order.
        max_batch: Items in a batch at most.
        max_waiting: Items that may wait, those of the batch being computed not counted.
        max_wait_s: How long a batch that isn't full waits for what is coming, seconds.
        coming: Whether more items are known to come soon.
    """

    def __init__(
        self,
        compute: Callable[[list[Item]], Awaitable[Iterable[Result]]],
        *,
        max_batch: int,
        max_waiting: int,
        max_wait_s: float = 0.0,
        coming: Callable[[], bool] = lambda: False,
    ) -> None:
        self._compute = compute
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._max_wait_s = max_wait_s
        self._coming = coming
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._arrived = asyncio.Event()
        self._seconds_each = 0.0
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, items: Sequence[Item]) -> list[Result]:
        """Results of items, in order. More items than may wait are let in where nothing else waits.

        Raises:
            ResourceExhausted: If too many wait already; says when to try again.
            Unavailable: If it is closed.
        """
        if self._closed:
            raise _closing()
        self.admit(len(items))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        loop = asyncio.get_running_loop()
        added = [_Waiting[Item, Result](item, loop.create_future()) for item in items]
        self._waiting.extend(added)
        self._arrived.set()
        return await asyncio.gather(*(waiting.result for waiting in added))

    def admit(self, items: int) -> None:
        """Raises ResourceExhausted if that many more items may not wait now."""
        if len(self._waiting) + items <= self._max_waiting:
            return
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.result.done())  # callers gave up
        if self._waiting and len(self._waiting) + items > self._max_waiting:
            raise queue_full(len(self._waiting), self._seconds_each)

    async def close(self) -> None:
        """Fails what waits with Unavailable; a batch that is being computed is abandoned."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        self._fail(self._waiting, _closing())
        self._waiting.clear()

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            await self._gather()
            # Nothing of a batch stays here while the next one is waited for: an item may hold a whole index.
            await self._run(self._take())

    async def _run(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        if not batch:
            return
        began = time.perf_counter()
        try:
            results = await self._compute([waiting.item for waiting in batch])
            pairs = list(zip(batch, results, strict=True))
        except asyncio.CancelledError:
            self._fail(batch, _closing())
            raise
        except Exception as error:  # whatever it is, the calls that wait for this batch must get it
            self._fail(batch, error)
            return
        self._seconds_each = (time.perf_counter() - began) / len(batch)
        for waiting, result in pairs:
            if not waiting.result.done():
                waiting.result.set_result(result)

    async def _gather(self) -> None:
        """Waits for a full batch as long as more is coming and it is worth it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._max_wait_s):
                while len(self._waiting) < self._max_batch and self._coming():
                    self._arrived.clear()
                    await self._arrived.wait()

    def _take(self) -> list[_Waiting[Item, Result]]:
        batch: list[_Waiting[Item, Result]] = []
        while self._waiting and len(batch) < self._max_batch:
            waiting = self._waiting.popleft()
            if not waiting.result.done():
                batch.append(waiting)
        if self._waiting:
            self._arrived.set()
        else:
            self._arrived.clear()
        return batch

    @staticmethod
    def _fail(waiting: Sequence[_Waiting[Item, Result]], error: Exception) -> None:
        for one in waiting:
            if not one.result.done():
                one.result.set_exception(error)


def queue_full(waiting: int, seconds_each: float) -> ResourceExhausted:
    """What a caller is told who comes when `waiting` items wait that take about `seconds_each` seconds each."""
    retry_after_s = min(max(waiting * seconds_each, 0.1), _MAX_RETRY_S)
    return ResourceExhausted(
        f"{waiting:,} images or texts already wait for the encoder; try again in {retry_after_s:.1f} s",
        reason="ENCODER_QUEUE_FULL",
        retry_after_s=retry_after_s,
    )


def _closing() -> Unavailable:
    return Unavailable("the encoder is closing; try another replica, or try again later", reason="ENCODER_CLOSED")
