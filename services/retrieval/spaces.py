"""The encoder and the index that belong together, and changing both at once under running calls.

A vector means something only among vectors of the same encoder. So nothing ever takes the encoder and the index one
by one: a call borrows the current pair and keeps it to its end, and a pair that was replaced is closed after its last
call.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from services.retrieval.encoder.protocol import Encoder
from services.retrieval.index import EncoderId, VectorIndex
from services.serving.errors import Unavailable


class Space:
    """An encoder and the index of its vectors.

    Args:
        spec: How the encoder was named: an open_clip name or a folder.
        encoder: Started.
        index: Opened for this encoder.
        images: Pictures in the index.
    """

    def __init__(self, spec: str, encoder: Encoder, index: VectorIndex, images: int) -> None:
        self.spec = spec
        self.encoder = encoder
        self.index = index
        self.images = images
        self.writes = 0
        """Writes so far, so that who counts pictures can tell whether the count is still right."""
        self.users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def id(self) -> EncoderId:
        """Which encoder it is."""
        return self.index.encoder

    @contextmanager
    def borrow(self) -> Iterator["Space"]:
        """Keeps it open meanwhile."""
        self.users += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self.users -= 1
            if not self.users:
                self._idle.set()

    def count(self, change: int) -> None:
        """Notes a write that added (or, negative, deleted) so many pictures."""
        self.images += change
        self.writes += 1

    async def refresh(self) -> None:
        """Counts the pictures anew: another process may write to the same store."""
        writes = self.writes
        images = (await self.index.stats()).images
        if writes == self.writes:
            self.images = images

    async def idle(self) -> None:
        """Waits until nobody uses it."""
        await self._idle.wait()

    async def close(self) -> None:
        """Lets the index and the encoder go."""
        await self.index.close()
        await self.encoder.close()


class Spaces:
    """Which space is current, and who writes to it."""

    def __init__(self) -> None:
        self._current: Space | None = None
        self._turnstile = asyncio.Lock()
        self._writers = 0
        self._no_writers = asyncio.Event()
        self._no_writers.set()
        self._journal: set[str] | None = None

    @property
    def current(self) -> Space:
        """The current space.

        Raises:
            Unavailable: Before there is one.
        """
        if self._current is None:
            raise Unavailable(
                "the encoder and the index are loading; try again when health says SERVING",
                reason="STARTING",
                retry_after_s=2.0,
            )
        return self._current

    @contextmanager
    def borrow(self) -> Iterator[Space]:
        """The current space, kept open meanwhile."""
        with self.current.borrow() as space:
            yield space

    @asynccontextmanager
    async def writing(self, ids: Iterable[str]) -> AsyncIterator[Space]:
        """The space to write to; it stays the current one meanwhile, and the ids go into the journal if one is kept."""
        async with self._turnstile:  # closed while a space is being replaced
            self._writers += 1
            self._no_writers.clear()
        try:
            with self.borrow() as space:
                yield space
        finally:
            if self._journal is not None:
                self._journal.update(ids)
            self._writers -= 1
            if not self._writers:
                self._no_writers.set()

    @asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[None]:
        """Lets nobody write meanwhile; searches continue."""
        async with self._turnstile:
            await self._no_writers.wait()
            yield

    def replace(self, space: Space) -> None:
        """Makes a space the current one; calls that run keep theirs."""
        self._current = space

    @contextmanager
    def journal(self) -> Iterator[None]:
        """Notes the ids of pictures that are added or deleted meanwhile."""
        self._journal = set()
        try:
            yield
        finally:
            self._journal = None

    def take_journal(self) -> list[str]:
        """The ids noted since the last time."""
        ids = sorted(self._journal or ())
        if self._journal:
            self._journal.clear()
        return ids

    def has_noted(self, picture_id: str) -> bool:
        """Whether an id is in the journal."""
        return picture_id in (self._journal or ())

    @property
    def noted(self) -> int:
        """How many ids are in the journal."""
        return len(self._journal or ())


class IdLocks:
    """A lock for each picture, so that the same one is never stored and deleted, or stored twice, at the same time."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: Counter[str] = Counter()

    @asynccontextmanager
    async def hold(self, ids: Sequence[str]) -> AsyncIterator[None]:
        """Holds the locks of pictures. Everybody takes them in one order, so no two callers wait for each other."""
        ordered = sorted(set(ids))
        self._wanted.update(ordered)
        try:
            async with AsyncExitStack() as stack:
                for picture_id in ordered:
                    await stack.enter_async_context(self._locks.setdefault(picture_id, asyncio.Lock()))
                yield
        finally:
            for picture_id in ordered:
                self._wanted[picture_id] -= 1
                if not self._wanted[picture_id]:
                    del self._wanted[picture_id]
                    self._locks.pop(picture_id, None)
