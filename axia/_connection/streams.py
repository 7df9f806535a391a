"""Feeds the requests of a stream from what a caller iterates over, so that neither side runs ahead of the other."""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
_END = object()


class Feed(Iterator[ItemT], Generic[ItemT]):
    """The requests of one call, which gRPC reads in a thread of its own.

    At most `window` requests are without an answer. An error of the caller's iterator ends the requests, so that what
    was sent is still answered, and is kept in `error` for the caller's own thread.
    """

    def __init__(self, requests: Iterable[ItemT], *, window: int) -> None:
        self.error: Exception | None = None
        self._requests = iter(requests)
        self._room = threading.Semaphore(window)
        self._closed = False

    def __next__(self) -> ItemT:
        self._room.acquire()
        if self._closed:
            raise StopIteration
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except Exception as error:  # the user's own, kept for the caller: gRPC would only print it
            self.error = error
            raise StopIteration from None

    def answered(self) -> None:
        """One request has its answer."""
        self._room.release()

    def close(self) -> None:
        """The call is over: lets gRPC's thread end."""
        self._closed = True
        self._room.release()


class AsyncFeed(Generic[ItemT]):
    """The same for asyncio."""

    def __init__(self, requests: AsyncIterable[ItemT], *, window: int) -> None:
        self.error: Exception | None = None
        self._source = requests
        self._room = asyncio.Semaphore(window)

    async def requests(self) -> AsyncIterator[ItemT]:
        """What gRPC reads."""
        try:
            async for request in self._source:
                await self._room.acquire()
                yield request
        except Exception as error:  # the user's own, kept for the caller: gRPC would only print it
            self.error = error

    def answered(self) -> None:
        """One request has its answer."""
        self._room.release()


async def each(items: "Iterable[ItemT] | AsyncIterable[ItemT]") -> AsyncIterator[ItemT]:
    """The items of either kind of iterable; one that may block, such as a camera, is read in a thread."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    source = iter(items)
    while (item := await asyncio.to_thread(next, source, _END)) is not _END:  # type: ignore[arg-type]  # _END ends it
        yield item
