"""What is known of Qdrant Edge: how a shard is configured, what its points look like, how it is searched.

Nothing else imports qdrant_edge. All of its calls hold the GIL, so those of a server are kept short, and a shard is
only ever written by a child process: searches in the server read it, and deletions are kept beside it.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import qdrant_edge as edge

from services.retrieval.edge_log import Added
from services.retrieval.index import Filter, Hit, PictureRecord, Query, Vector
from services.retrieval.points import (
    SLACK,
    candidates,
    is_enough,
    loosened,
    oversampling,
    passes,
    payload_of,
    point_id,
    ranked,
    record_of,
    rounded,
)

_FULL_SCAN_KB = 10_000
"""Below this size of the points that pass a filter, they are compared one by one instead of by the graph: 5,000 of 512
dimensions in half a millisecond."""
_UNLIMITED_KB = 1 << 40
_MOST_RECORDS = 8_192
"""Of pictures found lately that are kept of a shard, under 10 MiB unless their sources are long texts: reading those of
a search anew takes a quarter of its time."""
_READ_BYTES = 1 << 20
_FILTERED = edge.AcornSearchParams(enable=True, max_selectivity=1.0)
"""How the graph is searched under a filter: past points that fail it, to their neighbours. Of 50,191 vectors it found
99.8% or more of the five nearest, whether 33% passed or 1%, in about a millisecond; a plain search of the same graph
found 38% of them where 10% passed."""

_PointId = int | uuid.UUID | str
"""As Edge gives it."""


class HnswOptions(NamedTuple):
    """How an HNSW index is made."""

    m: int
    """Edges of a node."""
    ef_construct: int
    """Candidates looked at for each node."""
    quantization: bool
    """Whether the graph is searched by vectors of 8-bit integers."""


class ShardError(Exception):
    """Edge failed; `disk_full` says whether for lack of space."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.disk_full = "No space left" in str(error) or getattr(error, "errno", None) == errno.ENOSPC


class ShardWriter:
    """Makes a shard with an HNSW index, in a process of its own.

    Args:
        path: A folder that isn't there yet.
        dimension: Of the vectors.
        options: Of the HNSW index.
    """

    def __init__(self, path: Path, dimension: int, options: HnswOptions) -> None:
        # Cold, for all else is read into memory when a shard is opened, under the GIL: half a second for the integers
        # of 50,191 pictures, 50 ms for their vectors. It is mapped instead, and searched as fast once `ShardReader` has
        # had it read.
        cold = edge.Memory.Cold
        quantization = edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99, memory=cold)
        self._shard = edge.EdgeShard.create(
            str(path),
            edge.EdgeConfig(
                vectors=edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Dot, memory=cold),
                hnsw_config=edge.HnswIndexConfig(
                    m=options.m, ef_construct=options.ef_construct, full_scan_threshold=_FULL_SCAN_KB
                ),
                quantization_config=quantization if options.quantization else None,
                optimizers=edge.EdgeOptimizersConfig(
                    indexing_threshold=1, default_segment_number=1, max_segment_size=_UNLIMITED_KB
                ),
                wal_enabled=False,  # the log is the truth
                # Also for the reader. All is one segment, so more threads have nothing to search. They only wake up,
                # and by default there are eight: half of a search's processor time.
                max_search_threads=1,
            ),
        )
        # Without edges of the graph for each platform and source: with them every search takes twice as long, those
        # without a filter too, and `_FILTERED` finds as well.
        for field in ("platform", "source"):
            keywords = edge.KeywordIndexParams(memory=cold, enable_hnsw=False)
            self._shard.update(edge.UpdateOperation.create_field_index(field, keywords))
        times = edge.FloatIndexParams(memory=cold, enable_hnsw=False)
        self._shard.update(edge.UpdateOperation.create_field_index("capture_time", times))

    def add(self, pictures: Sequence[Added]) -> None:
        """Adds pictures."""
        points = [
            edge.Point(point_id(added.key), added.vector.tolist(), payload_of(added.record)) for added in pictures
        ]
        self._shard.update(edge.UpdateOperation.upsert_points(points))

    def finish(self, path: Path) -> None:
        """Builds the HNSW index, writes everything and closes the shard at `path`.

        Raises:
            OSError: If the disk is full.
        """
        self._shard.optimize()
        self._shard.flush()
        self._shard.close()
        for file in path.rglob("*"):
            if file.is_file() and file.stat().st_size:
                # Edge's files have holes and are memory-mapped: filling a hole on a full disk would kill the server.
                with file.open("r+b") as opened:
                    os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
                    os.fsync(opened.fileno())


class ShardReader:
    """A shard that is only read.

    Args:
        path: Of the shard.

    Raises:
        ShardError: If it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._shard = edge.EdgeShard.load(str(path))
        except Exception as error:  # Edge raises nothing more specific
            raise ShardError(error) from error
        self._records: dict[_PointId, PictureRecord] = {}
        try:
            self._points: int = self._shard.info().points_count  # never changes, and asking takes as long as a search
            # Edge has the kernel drop from its cache what is to stay on disk. Each of the first searches would then
            # read hundreds of pages one by one, under the GIL: 50 ms, and 700 while the disk is busy.
            _read_files(path)
        except BaseException:  # whatever it is, nobody else can close it
            self.close()
            raise

    def close(self) -> None:
        """Lets its files and memory go; nothing may be asked of it any more.

        Edge writes when a shard is closed, and so it does when one is merely forgotten: only who holds the index may.
        """
        with contextlib.suppress(Exception):  # a full disk: the shard has not changed, so nothing is lost
            self._shard.close()

    def search(self, queries: Sequence[Query], excluded: set[str]) -> list[list[Hit]]:
        """The best `k` of each query that aren't excluded, and all with the last one's score, best first.

        Args:
            queries: What to search for.
            excluded: Ids of pictures that were deleted.
        """
        limits = [query.k + SLACK + min(len(excluded), 64) for query in queries]
        pending = list(range(len(queries)))
        results: list[list[Hit]] = [[] for _ in queries]
        while pending:
            request = edge.QueryBatchRequest([_request(queries[row], limits[row]) for row in pending])
            again = []
            batch = self._shard.query_batch(request)
            ids = [[point.id for point in points] for points in batch]  # each is made anew when it is asked for
            records = self._records_of(list(chain.from_iterable(ids)))
            for row, points, own in zip(pending, batch, ids, strict=True):
                least = queries[row].score_threshold
                hits = [
                    Hit(records[picture], rounded(point.score))
                    for picture, point in zip(own, points, strict=True)
                    if passes(point.score, least)
                ]
                results[row] = [hit for hit in hits if hit.record.id not in excluded] if excluded else hits
                more = len(points) == limits[row] < self._points and len(hits) == len(points)
                if more and not is_enough(queries[row], results[row], hits[-1].score):
                    limits[row] *= 2
                    again.append(row)
            pending = again
        return [ranked(hits) for hits in results]

    def _records_of(self, points: Sequence[_PointId]) -> dict[_PointId, PictureRecord]:
        """The records of points, at least; those found lately are kept."""
        new = [point for point in points if point not in self._records]
        if not new:
            return self._records
        read = {point.id: record_of(point.payload) for point in self._shard.retrieve(new, True, False)}
        if len(self._records) + len(read) <= _MOST_RECORDS:
            self._records.update(read)
            return self._records
        found = {point: self._records[point] for point in points if point in self._records} | read
        self._records = found if len(found) <= _MOST_RECORDS else {}  # one search may find many times as many
        return found

    def get(self, keys: Sequence[bytes]) -> dict[bytes, PictureRecord]:
        """The records of those that are here."""
        points = self._shard.retrieve([point_id(key) for key in keys], True, False)
        records = (record_of(point.payload) for point in points)
        return {bytes.fromhex(record.id): record for record in records}

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors of those that are here."""
        points = self._shard.retrieve([point_id(key) for key in keys], True, True)
        return {bytes.fromhex(record_of(point.payload).id): np.asarray(point.vector, np.float32) for point in points}

    def page(self, after: str | None, count: int) -> tuple[list[PictureRecord], str | None]:
        """Some records and where to go on; None after the last."""
        points, following = self._shard.scroll(edge.ScrollRequest(offset=after, limit=count, with_payload=True))
        return [record_of(point.payload) for point in points], None if following is None else str(following)


def _request(query: Query, limit: int) -> edge.QueryRequest:
    condition = _filter(query.filter)
    return edge.QueryRequest(
        query=edge.Query.Nearest(query.vector.tolist()),
        filter=condition,
        limit=limit,
        with_payload=False,  # see `_records_of`
        score_threshold=loosened(query.score_threshold),
        params=edge.SearchParams(
            # A graph of vectors is searched as widely as one of integers, which takes no notice of the rest.
            hnsw_ef=candidates(limit),
            quantization=edge.QuantizationSearchParams(rescore=True, oversampling=oversampling(limit)),
            acorn=_FILTERED if condition else None,
        ),
    )


def _filter(condition: Filter) -> edge.Filter | None:
    must: list[Any] = [
        edge.FieldCondition(key, match=edge.MatchAny(list(names)))
        for key, names in (("platform", condition.platforms), ("source", condition.sources))
        if names
    ]
    if condition.captured_from is not None or condition.captured_before is not None:
        interval = edge.RangeFloat(gte=condition.captured_from, lt=condition.captured_before)
        must.append(edge.FieldCondition("capture_time", range=interval))
    return edge.Filter(must=must) if must else None


def _read_files(path: Path) -> None:
    """Reads every file of a folder into the kernel's cache; lets other threads run meanwhile.

    Raises:
        ShardError: If one can't be read.
    """
    into = bytearray(_READ_BYTES)
    try:
        for file in path.rglob("*"):
            if file.is_file():
                with file.open("rb", buffering=0) as opened:
                    while opened.readinto(into):
                        pass
    except OSError as error:
        raise ShardError(error) from error
