"""Works on many items side by side and gives the results in the items' order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


async def in_order(
    items: Iterable[ItemT], work: Callable[[ItemT], Awaitable[ResultT]], width: int
) -> AsyncGenerator[ResultT, None]:
    """Yields work(item) for each item, in order.

    At most `width` items are worked on or wait for their turn, so a result that came early is kept within that bound,
    and a reader who is slow slows the work. Closing the generator, or an error of one item, cancels the rest.
    """

    async def run(item: ItemT) -> ResultT:
        return await work(item)

    waiting = iter(items)
    window: deque[asyncio.Task[ResultT]] = deque()
    try:
        while True:
            while len(window) < width and (item := next(waiting, _END)) is not _END:
                window.append(asyncio.create_task(run(item)))  # type: ignore[arg-type] # not the end, so an item
            if not window:
                return
            result = await window[0]
            window.popleft()
            yield result
    finally:
        for task in window:
            task.cancel()
        await asyncio.gather(*window, return_exceptions=True)


_END = object()
