"""Vector indexes on disk in this process, by Qdrant Edge."""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
from pathlib import Path

from services.retrieval.edge_index import EdgeIndex, translated
from services.retrieval.edge_log import replace_file
from services.retrieval.edge_shard import HnswOptions
from services.retrieval.edge_store import StoreOptions
from services.retrieval.index import EncoderId
from services.retrieval.points import slug
from services.serving.errors import FailedPrecondition

_CURRENT = "current.json"
_ENCODER = "encoder.json"
_DROPPED = ".dropped-"


class EdgeCatalogue:
    """The indexes under a folder, one an encoder; `current.json` names the current one.

    Args:
        root: Folder of the indexes; made if there is none.
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
        self._build_threshold = build_threshold
        self._hnsw = HnswOptions(hnsw_m, hnsw_ef_construct, quantization)
        self._settle_s = settle_s
        self._open: set[EdgeIndex] = set()

    @property
    def store(self) -> str:
        """ "qdrant-edge"."""
        return "qdrant-edge"

    async def current(self) -> EncoderId | None:
        """The encoder whose index is current; None if nothing was ever indexed here."""
        with translated():
            return await asyncio.to_thread(_read_encoder, self._root / _CURRENT)

    async def open(self, encoder: EncoderId) -> EdgeIndex:
        """Opens the index of an encoder, and makes it if there is none.

        Raises:
            FailedPrecondition: If the index on disk has another dimension than the encoder, or is damaged.
            Unavailable: If another process has it open.
            ResourceExhausted: If the disk is full.
        """
        path = self._root / slug(encoder)
        with translated():
            await asyncio.to_thread(self._prepare, path, encoder)
        options = StoreOptions(encoder.dimension, self._build_threshold, self._hnsw)
        index = await EdgeIndex.open(encoder, path, options, self._settle_s, self._open.discard)
        self._open.add(index)
        return index

    def _prepare(self, path: Path, encoder: EncoderId) -> None:
        path.mkdir(parents=True, exist_ok=True)
        for dropped in self._root.glob(f"{_DROPPED}*"):
            shutil.rmtree(dropped, ignore_errors=True)
        stored = _read_encoder(path / _ENCODER)
        if stored is None:
            replace_file(path / _ENCODER, _to_json(encoder))
        elif stored.dimension != encoder.dimension:
            raise FailedPrecondition(
                f"the index in {path} holds vectors of {stored.dimension} dimensions but the encoder {encoder.name} "
                f"makes {encoder.dimension}: set AXIA_RETRIEVAL_ENCODER to the encoder that it was made with, re-index "
                "the pictures under another encoder, or set AXIA_RETRIEVAL_DATA to another folder",
                reason="INDEX_DIMENSION_MISMATCH",
            )

    async def switch(self, encoder: EncoderId) -> None:
        """Makes an encoder's index the current one, durably and at once.

        Raises:
            FailedPrecondition: If there is no index of this encoder.
            ResourceExhausted: If the disk is full.
        """
        with translated():
            if await asyncio.to_thread(_read_encoder, self._root / slug(encoder) / _ENCODER) is None:
                raise FailedPrecondition(
                    f"there is no index of the encoder {encoder.name}; ingest or re-index first", reason="NO_INDEX"
                )
            await asyncio.to_thread(replace_file, self._root / _CURRENT, _to_json(encoder))

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
        with translated():
            await asyncio.to_thread(self._remove, self._root / slug(encoder), encoder)

    def _remove(self, path: Path, encoder: EncoderId) -> None:
        if not path.exists():
            return
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed first: whatever happens now, no half of an index is taken for one.
            dropped = path.with_name(_DROPPED + path.name)
            shutil.rmtree(dropped, ignore_errors=True)
            path.rename(dropped)
            shutil.rmtree(dropped, ignore_errors=True)
        except BlockingIOError as error:
            raise FailedPrecondition(
                f"the index of {encoder.name} is open; close it before it is dropped", reason="INDEX_OPEN"
            ) from error
        finally:
            os.close(lock)

    async def close(self) -> None:
        """Closes every index that was opened here, each whatever becomes of the others."""
        async with contextlib.AsyncExitStack() as stack:
            for index in self._open:
                stack.push_async_callback(index.close)


def _read_encoder(path: Path) -> EncoderId | None:
    try:
        return EncoderId(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _to_json(encoder: EncoderId) -> bytes:
    return json.dumps(dataclasses.asdict(encoder)).encode()
