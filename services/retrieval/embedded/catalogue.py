"""The indexes of the embedded store, one an encoder, all in one database."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from services.retrieval.embedded.children import HnswOptions
from services.retrieval.embedded.database import Database
from services.retrieval.embedded.earlier import migrate
from services.retrieval.embedded.errors import translated
from services.retrieval.embedded.index import EmbeddedIndex
from services.retrieval.embedded.rows import read_points, reader
from services.retrieval.embedded.segments import SegmentOptions, remove_others
from services.retrieval.embedded.table import Table
from services.retrieval.index import EncoderId
from services.serving.errors import FailedPrecondition, Unavailable

ResultT = TypeVar("ResultT")


class EmbeddedCatalogue:
    """The indexes in a folder; the database is opened when it is first asked for.

    Args:
        root: Folder of the database; made if there is none.
        build_threshold: Pictures outside an HNSW index from which one is built for them.
        hnsw_m: Edges of a node of the HNSW graph.
        hnsw_ef_construct: Candidates looked at for each node when the graph is built.
        quantization: Whether the graph is searched by vectors of 8-bit integers.
        settle_s: Seconds without an addition or a deletion after which everything is built into one HNSW index.
    """

    def __init__(
        self,
        root: Path,
        *,
        build_threshold: int = 4_000,
        hnsw_m: int = 16,
        hnsw_ef_construct: int = 100,
        quantization: bool = True,
        settle_s: float = 30.0,
    ) -> None:
        self._root = root
        self._options = SegmentOptions(build_threshold, HnswOptions(hnsw_m, hnsw_ef_construct, quantization), settle_s)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="index-write")
        self._database: Database | None = None
        self._indexes: dict[int, EmbeddedIndex] = {}

    @property
    def store(self) -> str:
        """ "qdrant-edge"."""
        return "qdrant-edge"

    async def current(self) -> EncoderId | None:
        """The encoder whose index is current; None if nothing was ever indexed here."""
        return await self._in_turn(lambda: self._opened().current)

    async def open(self, encoder: EncoderId) -> EmbeddedIndex:
        """Opens the index of an encoder, and makes it if there is none.

        Raises:
            FailedPrecondition: If the database holds another dimension of the encoder, or is damaged.
            Unavailable: If another process has it open, or it is open already.
            ResourceExhausted: If the disk is full.
        """
        number = await self._in_turn(lambda: self._opened().number(encoder))
        if number in self._indexes:
            raise Unavailable(f"the index of {encoder.name} is open already", reason="INDEX_LOCKED", retry_after_s=5.0)
        table = await self._in_turn(lambda: self._load(number, encoder.dimension))
        index = EmbeddedIndex(encoder, number, self._opened(), self._writer, table, self._options, self._closed)
        self._indexes[number] = index
        return index

    def _load(self, number: int, dimension: int) -> Table:
        table = Table(dimension)
        path = self._opened().path
        with contextlib.closing(reader(path)) as connection:
            for points in read_points(connection, path, number):
                table.append(*points)
        return table

    async def switch(self, encoder: EncoderId) -> None:
        """Makes an encoder's index the current one, durably and at once.

        Raises:
            FailedPrecondition: If there is no index of this encoder.
            ResourceExhausted: If the disk is full.
        """
        await self._in_turn(lambda: self._opened().switch(self._number(encoder)))

    def _number(self, encoder: EncoderId) -> int:
        for number, known in self._opened().encoders.items():
            if known == encoder:
                return number
        raise FailedPrecondition(
            f"there is no index of the encoder {encoder.name}; ingest or re-index first", reason="NO_INDEX"
        )

    async def drop(self, encoder: EncoderId) -> None:
        """Deletes an encoder's index.

        Raises:
            FailedPrecondition: If it is the current one, or open.
        """
        if await self.current() == encoder:
            raise FailedPrecondition(
                f"the index of {encoder.name} is the current one; switch to another before it is dropped",
                reason="INDEX_IS_CURRENT",
            )
        if encoder in self._opened().encoders.values():
            await self._drop(self._number(encoder), encoder)

    async def _drop(self, number: int, encoder: EncoderId) -> None:
        if number in self._indexes:
            raise FailedPrecondition(
                f"the index of {encoder.name} is open; close it before it is dropped", reason="INDEX_OPEN"
            )
        steps = self._opened().drop(number)
        while await self._in_turn(lambda: next(steps, False)) is None:
            pass
        await asyncio.to_thread(remove_others, self._root, number, [])

    async def close(self) -> None:
        """Closes every index that was opened here, and the database."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._writer.shutdown)
            if self._database is not None:
                stack.push_async_callback(self._in_turn, self._let_go)
            for index in list(self._indexes.values()):
                stack.push_async_callback(index.close)

    def _closed(self, index: EmbeddedIndex) -> None:
        self._indexes.pop(index.number, None)
        if not self._indexes:
            self._let_go()

    def _opened(self) -> Database:
        if self._database is None:
            migrate(self._root)
            self._database = Database(self._root)
        return self._database

    def _let_go(self) -> None:
        if self._database is not None:
            database, self._database = self._database, None
            database.close()

    async def _in_turn(self, call: Callable[[], ResultT]) -> ResultT:
        with translated():
            return await asyncio.get_running_loop().run_in_executor(self._writer, call)
