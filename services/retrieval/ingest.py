"""Indexes pictures: reads, decodes, encodes, stores, indexes, and acknowledges in the order of arrival.

A picture is acknowledged only once its bytes are in the picture store and its vector in the index, both durably, in
this order: what the index knows can always be fetched. Pictures run through these stages side by side, as many as the
window of their stream holds, and what waits for the index at the same time is added in one go.
"""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from services.retrieval import metrics
from services.retrieval.checks import check_platform, check_source
from services.retrieval.encoder.micro_batches import MicroBatcher
from services.retrieval.encoder.protocol import PreparedPicture
from services.retrieval.index import Entry, PictureRecord
from services.retrieval.pictures.protocol import PictureStore
from services.retrieval.settings import RetrievalSettings
from services.retrieval.spaces import IdLocks, Space, Spaces
from services.serving.errors import InvalidArgument

_MAX_BATCH = 256
"""Pictures that are added to the index, or looked up in it, in one go."""
_INLINE_BYTES = 2**18
"""Up to this size hashing takes less time than going to a thread for it."""


class Incoming(NamedTuple):
    """A picture as it arrives."""

    tag: int
    data: bytes
    platform: str = ""
    capture_time: float | None = None
    """Seconds since 1970 UTC."""
    source: str = ""
    update_metadata: bool = False
    """Whether what is known of it replaces that of one that is already stored."""
    fault: InvalidArgument | None = None
    """What is known to be wrong with it already."""


class Indexed(NamedTuple):
    """A picture that is stored."""

    tag: int
    record: PictureRecord
    duplicate: bool


class Rejected(NamedTuple):
    """A picture that was refused."""

    tag: int
    reason: str
    message: str


Acknowledgement = Indexed | Rejected


class _Addition(NamedTuple):
    space: Space
    entry: Entry


class Ingestor:
    """Indexes pictures, from any number of streams.

    Args:
        spaces: Holds the current space.
        pictures: Keeps the pictures' bytes.
        locks: One for each picture, shared with whoever deletes.
        settings: The bounds.
        shared: Whether other processes write to the same stores; see `sweep`.
    """

    def __init__(
        self, spaces: Spaces, pictures: PictureStore, locks: IdLocks, settings: RetrievalSettings, *, shared: bool
    ) -> None:
        self._shared = shared
        self._spaces = spaces
        self._pictures = pictures
        self._locks = locks
        self._window = settings.ingest_window
        self._places = asyncio.Semaphore(settings.max_ingesting)
        # Bounded by the places, so neither refuses anything.
        self._additions = MicroBatcher[_Addition, bool | None](self._add, max_batch=_MAX_BATCH, max_waiting=sys.maxsize)
        self._look_ups = MicroBatcher[str, PictureRecord | None](
            self._look_up, max_batch=_MAX_BATCH, max_waiting=sys.maxsize
        )

    async def close(self) -> None:
        """Fails what is under way with Unavailable."""
        await self._additions.close()
        await self._look_ups.close()

    async def ingest(self, pictures: AsyncIterator[Incoming]) -> AsyncGenerator[Acknowledgement, None]:
        """Acknowledges each picture of a stream, in order, once it is durable or refused.

        No further picture is read while a window of acknowledgements hasn't been taken. Closing the generator stops
        everything that is under way.

        Raises:
            ResourceExhausted: If a disk is full; everything before was acknowledged.
            Unavailable: If a store can't be reached.
        """
        window = asyncio.Semaphore(self._window)
        under_way: asyncio.Queue[asyncio.Task[Acknowledgement] | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(pictures, window, under_way))
        try:
            while (task := await under_way.get()) is not None:
                acknowledgement = await task
                yield acknowledgement
                window.release()
            await reader  # raises what ended the stream, if something did
        finally:
            reader.cancel()
            left = [task for task in _drain(under_way) if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(reader, *left, return_exceptions=True)

    async def _read(
        self,
        pictures: AsyncIterator[Incoming],
        window: asyncio.Semaphore,
        under_way: "asyncio.Queue[asyncio.Task[Acknowledgement] | None]",
    ) -> None:
        try:
            await window.acquire()
            async for picture in pictures:
                await self._places.acquire()
                metrics.INGESTING.inc()
                task = asyncio.create_task(self._acknowledge(picture))
                task.add_done_callback(self._leave)
                under_way.put_nowait(task)
                await window.acquire()
        finally:
            under_way.put_nowait(None)

    def _leave(self, task: "asyncio.Task[Acknowledgement]") -> None:
        metrics.INGESTING.dec()
        self._places.release()
        with suppress(asyncio.CancelledError):
            task.exception()  # one that comes after the failure which ended the stream is nobody's to raise

    async def _acknowledge(self, picture: Incoming) -> Acknowledgement:
        try:
            indexed = await self._store(picture)
        except InvalidArgument as error:
            metrics.INGESTED.labels("rejected").inc()
            metrics.REJECTED.labels(error.reason).inc()
            return Rejected(picture.tag, error.reason, error.message)
        metrics.INGESTED.labels("duplicate" if indexed.duplicate else "indexed").inc()
        return indexed

    async def _store(self, picture: Incoming) -> Indexed:
        if picture.fault is not None:
            raise picture.fault
        check_platform("metadata.platform", picture.platform)
        check_source("metadata.source", picture.source)
        if len(picture.data) <= _INLINE_BYTES:
            picture_id = hashlib.sha256(picture.data).hexdigest()
        else:
            picture_id = await asyncio.to_thread(lambda: hashlib.sha256(picture.data).hexdigest())
        async with self._locks.hold([picture_id]):
            while True:  # a second time only if the encoder was replaced meanwhile
                (known,) = await self._look_ups.submit([picture_id])
                if known is not None:
                    return Indexed(picture.tag, await self._renewed(picture, known), duplicate=True)
                indexed = await self._store_new(picture)
                if indexed is not None:
                    return indexed

    async def _renewed(self, picture: Incoming, known: PictureRecord) -> PictureRecord:
        """The record of a picture that is there, with what is said of it now if that is to replace it."""
        told = replace(known, platform=picture.platform, capture_time=picture.capture_time, source=picture.source)
        if not picture.update_metadata or told == known:
            return known
        async with self._spaces.writing([known.id]) as space:
            await space.index.update([told])
        return told

    async def _store_new(self, picture: Incoming) -> Indexed | None:
        """Stores a picture; None if the space that its vector belongs to was replaced before it could be added."""
        with self._spaces.borrow() as space:
            clock = _Clock()
            prepared = await space.encoder.prepare(picture.data)
            clock.lap("prepare")
            (vector,) = await space.encoder.encode_pictures([prepared])
            clock.lap("embed")
            record = _record(picture, prepared)
            await self._pictures.put(record.id, picture.data)
            clock.lap("store")
            (new,) = await self._additions.submit([_Addition(space, Entry(record, vector))])
            if self._shared:
                await self._pictures.put(record.id, picture.data)
            clock.lap("index")
        # Another process with the same store may have been first.
        return None if new is None else Indexed(picture.tag, record, duplicate=not new)

    async def _look_up(self, ids: list[str]) -> list[PictureRecord | None]:
        with self._spaces.borrow() as space:
            return await space.index.get(ids)

    async def _add(self, additions: list[_Addition]) -> Iterable[bool | None]:
        async with self._spaces.writing(addition.entry.record.id for addition in additions) as space:
            entries = [addition.entry for addition in additions if addition.space is space]
            added = await space.index.add(entries) if entries else []
            space.count(sum(added))
        new = iter(added)
        return [next(new) if addition.space is space else None for addition in additions]


class _Clock:
    """Measures stages that follow each other."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        metrics.STAGE_SECONDS.labels(stage).observe(now - self._last)
        self._last = now


def _record(picture: Incoming, prepared: PreparedPicture) -> PictureRecord:
    header = prepared.header
    return PictureRecord(
        header.sha256,
        header.format,
        header.width,
        header.height,
        prepared.perceptual_hash,
        picture.platform,
        picture.capture_time,
        picture.source,
    )


def _drain(
    queue: "asyncio.Queue[asyncio.Task[Acknowledgement] | None]",
) -> Iterable["asyncio.Task[Acknowledgement] | None"]:
    while not queue.empty():
        yield queue.get_nowait()
