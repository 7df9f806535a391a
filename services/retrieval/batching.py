"""Calls that come together run together, one batch after another."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from services.serving.errors import ResourceExhausted, Unavailable

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Batcher(Generic[ItemT, ResultT]):
    """Gathers the calls that arrive while a batch runs into the next one; a lone call starts at once.

    Args:
        run: Computes a batch in the worker thread; returns one result an item, an exception for an item that failed.
        name: Of the thread.
        max_batch: Items of one batch.
        max_waiting: Items that wait at most; more are refused.
    """

    def __init__(
        self,
        run: Callable[[Sequence[ItemT]], Sequence[ResultT | Exception]],
        *,
        name: str,
        max_batch: int,
        max_waiting: int = 4_096,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._busy = False
        self._closed = False

    async def submit(self, item: ItemT) -> ResultT:
        """Waits for the item's result.

        Raises:
            ResourceExhausted: If too many wait.
            Unavailable: If the batcher is closed.
        """
        if self._closed:
            raise _closed()
        if len(self._waiting) >= self._max_waiting:
            raise _full(self._max_waiting)
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._busy:
            self._start_next()
        return await future

    async def alone(self, call: Callable[[], ResultT]) -> ResultT:
        """Runs a call in the batcher's thread, so that no batch runs meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """Waits for what was submitted; refuses more."""
        self._closed = True
        while self._busy:
            await self.alone(lambda: None)  # type: ignore[arg-type, return-value]  # waits for the thread, has no result
        await asyncio.to_thread(self._thread.shutdown)

    def _start_next(self) -> None:
        batch: list[tuple[ItemT, asyncio.Future[ResultT]]] = []
        while self._waiting and len(batch) < self._max_batch:
            item, future = self._waiting.popleft()
            if not future.done():  # its caller may have given up
                batch.append((item, future))
        self._busy = bool(batch)
        if not batch:
            return
        loop = asyncio.get_running_loop()

        def finished(done: "Future[Sequence[ResultT | Exception]]") -> None:
            # In the worker thread; a loop that was closed meanwhile has no one waiting.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._deliver, [future for _, future in batch], done)

        self._thread.submit(self._run, [item for item, _ in batch]).add_done_callback(finished)

    def _deliver(
        self, waiting: Sequence[asyncio.Future[ResultT]], done: "Future[Sequence[ResultT | Exception]]"
    ) -> None:
        failed = done.exception()
        results = [failed] * len(waiting) if failed is not None else done.result()
        for future, result in zip(waiting, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._start_next()


class LoopBatcher(Generic[ItemT, ResultT]):
    """Gathers the calls of one turn of the event loop and runs them there as one batch.

    For work that is short and holds the GIL: a thread of its own would win nothing and cost two switches a call.

    Args:
        run: Computes a batch; returns one result an item.
        max_batch: Items of one batch; the loop does other work between two.
        max_waiting: Items that wait at most; more are refused.
    """

    def __init__(
        self, run: Callable[[Sequence[ItemT]], Sequence[ResultT]], *, max_batch: int, max_waiting: int = 4_096
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._scheduled = False
        self._closed = False

    async def submit(self, item: ItemT) -> ResultT:
        """Waits for the item's result.

        Raises:
            ResourceExhausted: If too many wait.
            Unavailable: If the batcher is closed.
        """
        if self._closed:
            raise _closed()
        if len(self._waiting) >= self._max_waiting:
            raise _full(self._max_waiting)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ResultT] = loop.create_future()
        self._waiting.append((item, future))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._run_next)
        return await future

    def close(self) -> None:
        """Refuses what comes and what waits."""
        self._closed = True
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(_closed())
        self._waiting.clear()

    def _run_next(self) -> None:
        batch: list[tuple[ItemT, asyncio.Future[ResultT]]] = []
        while self._waiting and len(batch) < self._max_batch:
            item, future = self._waiting.popleft()
            if not future.done():  # its caller may have given up
                batch.append((item, future))
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._run_next)
        if not batch:
            return
        try:
            results = self._run([item for item, _ in batch])
        except Exception as error:  # handed to the calls that asked
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)


def _closed() -> Unavailable:
    return Unavailable("the index is closed; try again", reason="INDEX_CLOSED", retry_after_s=1.0)


def _full(most: int) -> ResourceExhausted:
    return ResourceExhausted(f"{most} calls wait for the index; try again", reason="INDEX_BUSY", retry_after_s=1.0)
