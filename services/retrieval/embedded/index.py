"""One encoder's pictures in this process: rows in memory, HNSW indexes searched by a process of their own.

A change is committed to the database by the one thread that writes, then made in memory. What no segment holds yet is
compared one by one, as is everything while segments are missing or damaged.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from services.retrieval.embedded.children import MOST_FOUND, Found, SearcherLostError
from services.retrieval.embedded.database import Database
from services.retrieval.embedded.errors import translated
from services.retrieval.embedded.segments import SegmentOptions, Segments
from services.retrieval.embedded.table import Rows, Scores, Table
from services.retrieval.index import EncoderId, Entry, Filter, Hit, IndexStats, PictureRecord, Query, Vector
from services.retrieval.points import SLACK, key_of, unknown_page
from services.serving.errors import Unavailable

_WRITE_ROWS = 256
"""Pictures of one commit."""
_INLINE_ROWS = 4_096
"""Rows of 512 dimensions that are compared on the event loop: half a millisecond."""
_INLINE_HITS = 100
"""Hits that take as long to be made."""
_LONGEST_SEQ = 18
_MASKED = 64
"""Deleted pictures that a search makes room for at first."""

ResultT = TypeVar("ResultT")


class EmbeddedIndex:
    """An open index; see `services.retrieval.index.VectorIndex`.

    Args:
        encoder: Which made the vectors.
        number: Its number in the database.
        database: Where the pictures are.
        writer: The one thread that may touch the database.
        table: All that the database holds of this encoder.
        options: Of the segments.
        closed: Called in that thread when it is closed.
    """

    def __init__(
        self,
        encoder: EncoderId,
        number: int,
        database: Database,
        writer: ThreadPoolExecutor,
        table: Table,
        options: SegmentOptions,
        closed: "Callable[[EmbeddedIndex], None]",
    ) -> None:
        self._encoder = encoder
        self.number = number
        self._database = database
        self._writer = writer
        self.table = table
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="index-search")
        self.segments = Segments(self, database.path, options)
        self._tell_closed = closed
        self._closing: asyncio.Task[None] | None = None

    @property
    def encoder(self) -> EncoderId:
        """Which encoder made the vectors."""
        return self._encoder

    @property
    def last(self) -> int:
        """Number of the last change that is in memory."""
        return self._database.state.seq

    async def add(self, entries: Sequence[Entry]) -> list[bool]:
        """Adds pictures; returns for each whether it is new."""
        new: list[bool] = []
        for start in range(0, len(entries), _WRITE_ROWS):
            new += await self._write(self._add, entries[start : start + _WRITE_ROWS])
        return new

    def _add(self, entries: Sequence[Entry]) -> list[bool]:
        if any(entry.vector.shape != (self._encoder.dimension,) for entry in entries):
            raise ValueError(f"vectors of this index have {self._encoder.dimension} dimensions")
        fresh = {entry.record.id: entry for entry in reversed(entries)}
        fresh = {picture: entry for picture, entry in fresh.items() if bytes.fromhex(picture) not in self.table.rows}
        records = [entry.record for entry in entries if fresh.get(entry.record.id) is entry]
        if records:
            vectors = np.stack([fresh[record.id].vector for record in records])
            self.table.append(self._database.insert(self.number, records, vectors), records, vectors)
        return [fresh.get(entry.record.id) is entry for entry in entries]

    async def update(self, records: Sequence[PictureRecord]) -> int:
        """Puts records in the place of those of the same ids; returns how many were there."""
        updated = 0
        for start in range(0, len(records), _WRITE_ROWS):
            updated += await self._write(self._update, records[start : start + _WRITE_ROWS])
        return updated

    def _update(self, records: Sequence[PictureRecord]) -> int:
        distinct = {bytes.fromhex(record.id): record for record in records}
        here = [(self.table.rows[key], record) for key, record in distinct.items() if key in self.table.rows]
        if here:
            rows, found = np.array([row for row, _ in here]), [record for _, record in here]
            vectors = self.table.vectors(rows)
            seqs = self._database.replace(self.number, self.table.seqs(rows), found, vectors)
            self.table.append(seqs, found, vectors)
        return len(here)

    async def delete(self, ids: Sequence[str]) -> int:
        """Deletes pictures by id; returns how many were there."""
        deleted = 0
        for start in range(0, len(ids), _WRITE_ROWS):
            deleted += await self._write(self._delete, ids[start : start + _WRITE_ROWS])
        return deleted

    def _delete(self, ids: Sequence[str]) -> int:
        keys = [key for key in {key_of(picture) for picture in ids} if key is not None and key in self.table.rows]
        if keys:
            rows = np.array([self.table.rows[key] for key in keys])
            self._database.delete(self.number, self.table.seqs(rows), keys)
            self.table.delete(keys)
        return len(keys)

    async def _write(self, call: Callable[..., ResultT], *arguments: object) -> ResultT:
        result = await self.in_turn(call, *arguments)
        self.segments.after_write()
        return result

    async def in_turn(self, call: Callable[..., ResultT], *arguments: object) -> ResultT:
        """Runs a call in the thread that writes, between two writes."""
        self._check_open()
        with translated():
            return await asyncio.get_running_loop().run_in_executor(self._writer, call, *arguments)

    async def search(self, query: Query) -> list[Hit]:
        """The nearest pictures, the nearest first; among equals by id."""
        self._check_open()
        table, searcher = self.table, self.segments.searcher
        if searcher is not None:
            first = table.row_after(self.segments.last)
            limit = query.after.offset + query.k + SLACK + min(self.segments.deleted(table), _MASKED)
            parts: list[tuple[Rows, Scores]] = []
            while limit * len(searcher.segments) <= MOST_FOUND:
                try:
                    asked = searcher.ask(query, limit)
                    if first < table.count and not parts:  # while the other process searches
                        parts = [await self._run(table.count - first, lambda: table.compare(query, first))]
                    found = await asked
                except SearcherLostError:
                    self.segments.lost(searcher)
                    break
                hits = await self._best(table, query, found, parts)
                least = max((float(scores[-1]) for _, scores in found if len(scores) == limit), default=-math.inf)
                if least == -math.inf or (len(hits) == query.k and round(least, 5) < hits[-1].score):
                    return hits
                limit *= 2
        return await self._in_thread(lambda: table.best(query, *table.compare(query)))

    async def _best(self, table: Table, query: Query, found: Found, parts: Sequence[tuple[Rows, Scores]]) -> list[Hit]:
        def best() -> list[Hit]:
            rows, scores = zip(*parts, *(table.found(*part) for part in found), strict=True)
            return table.best(query, np.concatenate(rows), np.concatenate(scores))

        return await self._run(_INLINE_ROWS * query.k // _INLINE_HITS, best)

    async def _run(self, rows: int, call: Callable[[], ResultT]) -> ResultT:
        """Runs a call that looks at so many rows here or, if that takes longer, in a thread."""
        return call() if rows <= _INLINE_ROWS else await self._in_thread(call)

    async def _in_thread(self, call: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def get(self, ids: Sequence[str]) -> list[PictureRecord | None]:
        """The records by id, None where there is none."""
        return await self._look_up(ids, self.table.record)

    async def vectors(self, ids: Sequence[str]) -> list[Vector | None]:
        """The vectors by id, None where there is none."""
        return await self._look_up(ids, self.table.vector)

    async def _look_up(self, ids: Sequence[str], read: Callable[[int], ResultT]) -> list[ResultT | None]:
        self._check_open()
        rows = [None if key is None else self.table.rows.get(key) for key in map(key_of, ids)]
        return await self._run(len(ids), lambda: [None if row is None else read(row) for row in rows])

    async def page(self, condition: Filter, after: str, count: int) -> tuple[list[PictureRecord], str]:
        """Some of the records that pass a filter, in the order of their changes."""
        self._check_open()
        if after and not (after.isascii() and after.isdecimal() and len(after) <= _LONGEST_SEQ):
            raise unknown_page()

        def read() -> tuple[list[PictureRecord], str]:
            table = self.table
            rows = table.passing(condition, table.row_after(int(after or 0)))
            following = str(table.seqs(rows[count - 1 : count])[0]) if len(rows) > count else ""
            return [table.record(row) for row in rows[:count].tolist()], following

        return await self._in_thread(read)

    async def records(self) -> AsyncIterator[PictureRecord]:
        """Every record, in no particular order."""
        after = "0"
        while after:
            page, after = await self.page(Filter(), after, _WRITE_ROWS)
            for record in page:
                yield record

    async def stats(self) -> IndexStats:
        """What is in it."""
        self._check_open()
        table = self.table
        indexed = table.alive(0, table.row_after(self.segments.last)) if self.segments.searcher is not None else 0
        platforms = await self._in_thread(table.platforms)
        return IndexStats(len(table.rows), indexed, platforms, self.segments.building)

    async def purge(self) -> None:
        """Leaves nothing on disk of what was deleted before."""
        self._check_open()
        await self.segments.purge()
        await self.in_turn(self._erase)

    def _erase(self) -> None:
        self._database.erase()
        self.table = self.table.compacted()

    async def check(self) -> None:
        """Raises `Unavailable` if the database can't be reached."""
        await self.in_turn(self._database.path.stat)

    async def close(self) -> None:
        """Waits for writes, ends the children and frees the memory; closing twice is fine."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="index-close")
        # It continues where a caller gives up waiting: half closed, the database would stay locked.
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self.segments.close()
            self._readers.shutdown(wait=False)
        finally:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._tell_closed, self)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise Unavailable("the index is closed; try again", reason="INDEX_CLOSED", retry_after_s=1.0)
