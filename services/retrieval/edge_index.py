"""One encoder's index in this process: Qdrant Edge for the bulk, exact search for what came last.

Searches and lookups read what `edge_store` shows; what is added goes there, and `edge_builds` builds it beside them.
"""

import asyncio
import contextlib
import errno
import functools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from services.retrieval.batching import Batcher, LoopBatcher
from services.retrieval.edge_builds import EdgeBuilds
from services.retrieval.edge_shard import ShardError
from services.retrieval.edge_store import EdgeStore, StoreOptions, View
from services.retrieval.index import EncoderId, Entry, Hit, IndexStats, PictureRecord, Query, Vector
from services.retrieval.points import key_of, ranked
from services.serving.errors import ResourceExhausted, Unavailable

_log = logging.getLogger(__name__)

_SEARCH_BATCH = 16
"""Searches run together: more of them would hold the GIL for longer than others should wait."""
_EXACT_ALONE = 1_000
"""Pictures without a graph up to which a search runs at once. Comparing many queries with more of them at once takes
hardly longer than one; a graph is searched as fast for each alone, and waiting for others takes a fifth as long."""
_WRITE_SLICE = 256
"""Pictures written at a time."""
_WRITE_BATCH = 16
_PAGE = 256

ResultT = TypeVar("ResultT")


class EdgeIndex:
    """An open index; see `services.retrieval.index.VectorIndex`.

    Args:
        encoder: Which made the vectors.
        store: Its files.
        settle_s: Seconds without an addition or a deletion after which everything is built into one part.
        closed: Told when it is closed.
    """

    def __init__(
        self, encoder: EncoderId, store: EdgeStore, settle_s: float, closed: Callable[["EdgeIndex"], None]
    ) -> None:
        self._encoder = encoder
        self._store = store
        self._tell_closed = closed
        # Edge's queries hold the GIL wherever they run.
        self._searches: LoopBatcher[Query, list[Hit]] = LoopBatcher(self._search, max_batch=_SEARCH_BATCH)
        self._writes: Batcher[Callable[[], Any], Any] = Batcher(_run_all, name="index-write", max_batch=_WRITE_BATCH)
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="index-read")
        self._builds = EdgeBuilds(store, self._writes.submit, settle_s)
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        encoder: EncoderId,
        path: Path,
        options: StoreOptions,
        settle_s: float,
        closed: Callable[["EdgeIndex"], None],
    ) -> "EdgeIndex":
        """Opens an index, and makes it if there is none; see the class for what else it takes.

        Raises:
            Unavailable: If another process has it open.
            FailedPrecondition: If its files are damaged.
            ResourceExhausted: If the disk is full.
        """
        with translated():
            index = cls(encoder, await asyncio.to_thread(EdgeStore, path, options), settle_s, closed)
        index._builds.begin()
        return index

    @property
    def encoder(self) -> EncoderId:
        """Which encoder made the vectors."""
        return self._encoder

    @property
    def view(self) -> View:
        """Its parts, for measurements."""
        return self._store.view

    async def add(self, entries: Sequence[Entry]) -> list[bool]:
        """Adds pictures; returns for each whether it is new."""
        new: list[bool] = []
        for start in range(0, len(entries), _WRITE_SLICE):
            call = functools.partial(self._store.add, entries[start : start + _WRITE_SLICE])
            new += await self._write(call)
        return new

    async def delete(self, ids: Sequence[str]) -> int:
        """Deletes pictures by id; returns how many were there."""
        deleted = 0
        for start in range(0, len(ids), _WRITE_SLICE):
            deleted += await self._write(functools.partial(self._store.delete, ids[start : start + _WRITE_SLICE]))
        return deleted

    async def _write(self, call: Callable[[], ResultT]) -> ResultT:
        with translated():
            result: ResultT = await self._writes.submit(call)
        self._builds.after_write()
        return result

    async def search(self, query: Query) -> list[Hit]:
        """The nearest pictures, the nearest first; among equals by id."""
        with translated():
            if self._closed or self._store.view.exact > _EXACT_ALONE:
                return await self._searches.submit(query)  # which refuses once it is closed
            return self._search([query])[0]

    def _search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        found = [segment.search(queries) for segment in self._store.view.segments if len(segment)]
        if len(found) == 1:
            return [hits[: query.k] for query, hits in zip(queries, found[0], strict=True)]
        return [ranked([hit for own in found for hit in own[row]])[: query.k] for row, query in enumerate(queries)]

    async def get(self, ids: Sequence[str]) -> list[PictureRecord | None]:
        """The records by id, None where there is none."""
        return await self._lookup(ids, lambda segment, keys: segment.get(keys))

    async def vectors(self, ids: Sequence[str]) -> list[Vector | None]:
        """The vectors by id, None where there is none."""
        return await self._lookup(ids, lambda segment, keys: segment.vectors(keys))

    async def _lookup(
        self, ids: Sequence[str], look: Callable[[Any, list[bytes]], dict[bytes, ResultT]]
    ) -> list[ResultT | None]:
        def find(page: Sequence[str]) -> list[ResultT | None]:
            keys = [key_of(picture) for picture in page]
            wanted = [key for key in keys if key is not None]
            found: dict[bytes, ResultT] = {}
            for segment in self._store.view.segments:
                found |= look(segment, wanted)
            return [found.get(key) if key is not None else None for key in keys]

        results: list[ResultT | None] = []
        for start in range(0, len(ids), _PAGE):
            results += await self._read(functools.partial(find, ids[start : start + _PAGE]))
        return results

    async def records(self) -> AsyncIterator[PictureRecord]:
        """Every record, in no particular order."""
        view: View = self._store.view
        records: Iterator[PictureRecord] = (record for segment in view.segments for record in segment.records())
        while page := await self._read(lambda: list(islice(records, _PAGE))):
            for record in page:
                yield record

    async def stats(self) -> IndexStats:
        """What is in it."""
        return await self._read(self._stats)

    def _stats(self) -> IndexStats:
        view = self._store.view
        platforms = Counter[str]()
        for segment in view.segments:
            platforms.update(segment.platforms())
        return IndexStats(
            images=sum(map(len, view.segments)),
            indexed_images=sum(len(segment) for segment in view.indexed),
            platforms={name: count for name, count in platforms.items() if count},
            building=self._builds.running,
        )

    async def check(self) -> None:
        """Raises `Unavailable` if the folder is gone or can't be read."""
        await self._read((self._store.path / "manifest.json").read_bytes)

    async def _read(self, call: Callable[[], ResultT]) -> ResultT:
        if self._closed:
            raise Unavailable("the index is closed; try again", reason="INDEX_CLOSED", retry_after_s=1.0)
        with translated():
            return await asyncio.get_running_loop().run_in_executor(self._reads, call)

    async def close(self) -> None:
        """Waits for writes, ends a build and lets go of files and memory; closing twice is fine."""
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.create_task(self._close(), name="index-close")
        # It goes on where a caller gives up waiting: half closed, the index would stay locked until the process ends.
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self._builds.close()
            self._searches.close()
            await self._writes.close()
            await asyncio.to_thread(self._reads.shutdown)
            await asyncio.to_thread(self._store.close)
        finally:
            self._tell_closed(self)


def _run_all(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = []
    for call in calls:
        try:
            results.append(call())
        except Exception as error:  # handed to the one who asked for this call
            results.append(error)
    return results


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Says a full or failing disk in our own words.

    Raises:
        ResourceExhausted: If the disk is full.
        Unavailable: If it fails otherwise.
    """
    try:
        yield
    except (OSError, ShardError) as error:
        full = error.disk_full if isinstance(error, ShardError) else error.errno in {errno.ENOSPC, errno.EDQUOT}
        if full:
            raise ResourceExhausted(
                "the disk of the index is full; free some space, or move its folder to a larger disk and set "
                "AXIA_RETRIEVAL_DATA to that",
                reason="DISK_FULL",
                retry_after_s=30.0,
            ) from error
        _log.exception("the index's disk failed")
        raise Unavailable(
            "the index's files can't be read or written; the log says why", reason="INDEX_UNREADABLE", retry_after_s=5.0
        ) from error
