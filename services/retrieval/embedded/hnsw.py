"""HNSW indexes by Qdrant Edge, in processes of their own, and what is known of Edge.

    python -m services.retrieval.embedded.hnsw PARENT build < job.json
    python -m services.retrieval.embedded.hnsw PARENT search FD SEGMENT...

Edge's calls hold the GIL: building an index takes minutes, opening one 15 to 80 ms, a search for a thousand pictures a
few. So this module runs in child processes alone (`children`), and nothing else imports qdrant_edge. A segment is an
index over the changes of a range, made once from the database and never changed; what was deleted since is left out by
who searches.
"""

import ctypes
import errno
import json
import os
import signal
import socket
import struct
import sys
import zlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge

from services.retrieval.embedded.children import DISK_FULL, MANIFEST, MESSAGE_BYTES, HnswOptions, Job
from services.retrieval.embedded.rows import Points, read_points, reader
from services.retrieval.files import replace_file, sync_folder
from services.retrieval.index import Vector
from services.retrieval.points import candidates, oversampling

_CONFIG = "edge_config.json"
"""Of Edge, which writes it anew whenever it opens a shard."""
_BATCH = 256
_NICENESS = 15
_PR_SET_PDEATHSIG = 1
_FULL_SCAN_KB = 16_000
"""Below this size of the points that pass a filter, they are compared one by one instead of by the graph: 8,000 of 512
dimensions in a millisecond. Of 50,191 vectors the graph found 98 to 99.5% of the five nearest where 10% passed, and all
where 15% or more did."""
_UNLIMITED_KB = 1 << 40


def build(job: Job) -> None:
    """Builds a segment from the database.

    Raises:
        OSError: If the disk is full.
    """
    target = Path(job.target)
    (target / "shard").mkdir(parents=True)
    shard = _create(target / "shard", job.dimension, HnswOptions(*job.hnsw))
    count = 0
    connection = reader(Path(job.database))
    for points in read_points(connection, Path(job.database), job.encoder, job.after, job.last):
        for start in range(0, len(points.seqs), _BATCH):
            batch = slice(start, start + _BATCH)
            made = _points(Points(points.seqs[batch], points.records[batch], points.vectors[batch]))
            shard.update(edge.UpdateOperation.upsert_points(made))
        count += len(points.seqs)
    connection.close()
    shard.optimize()
    shard.flush()
    shard.close()
    for file in _files(target / "shard"):
        if file.stat().st_size:
            # Edge's files have holes and are memory-mapped: filling a hole on a full disk would kill who searches.
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
                os.fsync(opened.fileno())
    manifest = {"points": count, "config": (target / "shard" / _CONFIG).read_text(), "files": checksums(target)}
    replace_file(target / MANIFEST, json.dumps(manifest).encode())
    for folder in [*(path for path in target.rglob("*") if path.is_dir()), target, target.parent]:
        sync_folder(folder)


def _create(path: Path, dimension: int, options: HnswOptions) -> Any:
    # Cold: mapped rather than read when a shard is opened; `checksums` has had all of it read by then.
    cold = edge.Memory.Cold
    quantization = edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99, memory=cold)
    shard = edge.EdgeShard.create(
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
            wal_enabled=False,  # the database is the truth
            # All is one segment of Edge's, so more threads have nothing to search.
            max_search_threads=1,
        ),
    )
    # Without edges of the graph for each platform and source: with them every search takes twice as long, those
    # without a filter too, and `_FILTERED` finds as well.
    for field in ("platform", "source"):
        keywords = edge.KeywordIndexParams(memory=cold, enable_hnsw=False)
        shard.update(edge.UpdateOperation.create_field_index(field, keywords))
    times = edge.FloatIndexParams(memory=cold, enable_hnsw=False)
    shard.update(edge.UpdateOperation.create_field_index("capture_time", times))
    return shard


def _points(points: Points) -> list[Any]:
    made = []
    for seq, record, vector in zip(*points, strict=True):
        payload: dict[str, Any] = {"platform": record.platform, "source": record.source}
        if record.capture_time is not None:
            payload["capture_time"] = record.capture_time
        made.append(edge.Point(seq, vector.tolist(), payload))
    return made


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def checksums(segment: Path) -> dict[str, int]:
    """The CRC-32 of each file that Edge doesn't write anew, by its name; and so all is in the kernel's cache."""
    found = {}
    for file in _files(segment / "shard"):
        if file.name != _CONFIG:
            with file.open("rb", buffering=0) as opened:
                checksum = 0
                while data := opened.read(MESSAGE_BYTES):
                    checksum = zlib.crc32(data, checksum)
            found[str(file.relative_to(segment))] = checksum
    return found


def _answer(message: bytes, shards: Sequence[Any]) -> bytes:
    head, _, data = message.partition(b"\n")
    asked = json.loads(head)
    vectors = np.frombuffer(data, "<f4").reshape(len(asked), -1)
    queries = [_edge_query(vector, *each) for vector, each in zip(vectors, asked, strict=True)]
    by_shard = [shard.query_batch(edge.QueryBatchRequest(queries)) for shard in shards]
    found = [by_shard[shard][query] for query in range(len(asked)) for shard in range(len(shards))]
    points = list(chain.from_iterable(found))
    seqs = np.array([point.id for point in points], "<i8")
    scores = np.array([point.score for point in points], "<f4")
    return struct.pack(f"<{len(found)}I", *map(len, found)) + seqs.tobytes() + scores.tobytes()


def _edge_query(
    vector: Vector, limit: int, threshold: float | None, platforms: list[str], sources: list[str], *times: float | None
) -> Any:
    must: list[Any] = [
        edge.FieldCondition(key, match=edge.MatchAny(names))
        for key, names in (("platform", platforms), ("source", sources))
        if names
    ]
    if times != (None, None):
        must.append(edge.FieldCondition("capture_time", range=edge.RangeFloat(gte=times[0], lt=times[1])))
    return edge.QueryRequest(
        query=edge.Query.Nearest(vector.tolist()),
        filter=edge.Filter(must=must) if must else None,
        limit=limit,
        with_payload=False,
        score_threshold=None if threshold is None else threshold - 0.05,  # compared with scores by 8-bit integers
        params=edge.SearchParams(
            # A graph of vectors is searched as widely as one of integers, which takes no notice of the rest.
            hnsw_ef=candidates(limit),
            quantization=edge.QuantizationSearchParams(rescore=True, oversampling=oversampling(limit)),
            # Past points that fail the filter, to their neighbours: of 50,191 vectors it found 99.8% or more of the
            # five nearest, whether 33% passed or 1%; a plain search found 38% of them where 10% passed.
            acorn=edge.AcornSearchParams(enable=True, max_selectivity=1.0) if must else None,
        ),
    )


def _open(segment: Path) -> Any:
    manifest = json.loads((segment / MANIFEST).read_text(encoding="utf-8"))
    if checksums(segment) != manifest["files"]:
        raise ValueError("files don't match their checksums")
    config = segment / "shard" / _CONFIG
    if config.read_text(encoding="utf-8") != manifest["config"]:
        config.write_text(manifest["config"], encoding="utf-8")
    shard = edge.EdgeShard.load(str(segment / "shard"))
    if shard.info().points_count != manifest["points"]:
        raise ValueError("it doesn't hold the points that it was made with")
    return shard


def serve(connection: socket.socket, segments: Sequence[str]) -> None:
    """Answers searches of segments until the connection ends.

    The first message that it sends is empty JSON, or names the segment that is damaged.
    """
    shards = []
    for name in segments:
        try:
            shards.append(_open(Path(name)))
        except Exception as error:  # Edge raises nothing more specific
            connection.send(json.dumps({"segment": name, "error": repr(error)}).encode())
            return
    connection.send(b"{}")
    while message := connection.recv(MESSAGE_BYTES):
        connection.send(_answer(message, shards))


def main() -> int:
    """Runs a child until its work is done or its parent ends."""
    # A parent that is killed can't end its children, which would continue writing where the next one cleans up.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent, kind, *rest = sys.argv[1:]
    if os.getppid() != int(parent):
        return 1
    if kind == "search":
        serve(socket.socket(fileno=int(rest[0])), rest[1:])
        return 0
    os.nice(_NICENESS)
    try:
        build(Job(**json.loads(sys.stdin.buffer.read())))
    except Exception as error:  # Edge raises nothing more specific
        if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error):
            return DISK_FULL
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
