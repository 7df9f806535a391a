"""The retrieval service with large indexes, and other ways to search the same vectors."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from axia.lexicon import load_lexicon
from loadtests.benchmark import rows
from loadtests.benchmark.axias import TextSearch
from loadtests.benchmark.retrieval_index_speed import DIMENSION, K
from loadtests.benchmark.retrieval_speed import SPEC, around, fill, keyword_vectors, local_mode, raw_shard
from loadtests.benchmark.rivals import InProcess
from loadtests.benchmark.setups.base import Setup
from loadtests.benchmark.sides import Side
from loadtests.servers import Server

IMAGES = {rows.SEARCH_50K: 50_191, rows.SEARCH_500K: 502_000}
"""Images of each index."""
_IN_PROCESS = (rows.EDGE, rows.LOCAL_MODE, rows.NUMPY, rows.SQLITE)

Vectors = NDArray[np.float32]


class KeywordSearch(TextSearch):
    """SearchByText of the lexicon's keywords, whose embeddings the service remembers."""

    async def awake(self) -> None:
        """Searches every keyword once as well; see the base."""
        self._queries = load_lexicon().keywords
        await super().awake()
        for number in range(len(self._queries)):
            await self.call(number)


class Searching(Setup):
    """Synthetic vectors around the keywords' and around random centres, searched by the service and in this process."""

    async def open(self, names: Sequence[str]) -> dict[str, Side]:
        """Fills the indexes first; see the base."""
        self._keywords = await keyword_vectors()
        noise = np.random.default_rng(0).standard_normal((IMAGES[rows.SEARCH_50K] // 100, DIMENSION), dtype=np.float32)
        self._centres = np.concatenate([self._keywords, noise / np.linalg.norm(noise, axis=1, keepdims=True)])
        for name in IMAGES.keys() & set(names):
            await fill(self._servers.folder / f"index-{IMAGES[name]}", self._vectors(name))
        return await super().open(names)

    def _vectors(self, name: str) -> Vectors:
        return around(self._centres, IMAGES[name], seed=1)

    def _service(self, name: str) -> Server:
        return self._start("retrieval", encoder=SPEC, data=self._servers.folder / f"index-{IMAGES[name]}")

    @cached_property
    def _small(self) -> Vectors:
        return self._vectors(rows.SEARCH_50K)

    @cached_property
    def makers(self) -> Mapping[str, Callable[[], Side]]:
        """See the base."""

        def service(name: str) -> Callable[[], Side]:
            def made() -> Side:
                server = self._service(name)
                return KeywordSearch(name, [server], server.address)

            return made

        def in_process(name: str, make: Callable[[Vectors], Callable[[Vectors], Any]]) -> Callable[[], Side]:
            return lambda: InProcess(name, list(self._keywords), make(self._small), images=K)

        searches = (self._edge, _local_mode, _exact, self._sqlite)
        return {
            **{name: service(name) for name in IMAGES},
            **{name: in_process(name, make) for name, make in zip(_IN_PROCESS, searches, strict=True)},
        }

    def _edge(self, vectors: Vectors) -> Callable[[Vectors], Any]:
        shard = raw_shard(self._servers.folder / "edge", vectors)
        return lambda query: shard.query(
            edge.QueryRequest(query=edge.Query.Nearest(query.tolist()), limit=K, with_payload=True)
        )

    def _sqlite(self, vectors: Vectors) -> Callable[[Vectors], Any]:
        """A table of vectors that is read as a whole for each search."""
        database = sqlite3.connect(self._servers.folder / "vectors.sqlite")
        database.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, vector BLOB)")
        database.executemany("INSERT INTO images (vector) VALUES (?)", ((vector.tobytes(),) for vector in vectors))
        database.commit()

        def search(query: Vectors) -> Any:
            read = b"".join(vector for (vector,) in database.execute("SELECT vector FROM images ORDER BY id"))
            return _nearest(np.frombuffer(read, np.float32).reshape(-1, DIMENSION), query)

        return search


def _local_mode(vectors: Vectors) -> Callable[[Vectors], Any]:
    client = local_mode(vectors)
    return lambda query: client.query_points("speed", query=query.tolist(), limit=K)


def _exact(vectors: Vectors) -> Callable[[Vectors], Any]:
    return lambda query: _nearest(vectors, query)


def _nearest(vectors: Vectors, query: Vectors) -> Any:
    """Rows of the nearest vectors, in no order."""
    return np.argpartition(-(vectors @ query), K)[:K]
