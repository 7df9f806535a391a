"""Measures the vector index on disk: recall, latency, throughput, memory, and how calm the server stays meanwhile.

    python -m loadtests.benchmark.retrieval_index_speed                     # 50,191 pictures of 512 dimensions
    python -m loadtests.benchmark.retrieval_index_speed --larger 502000     # and how much slower that is with more

The vectors are synthetic: directions around as many random centres as one in a hundred pictures (noise 0.7 of the
centre's length), each query another direction around one of them. Real embeddings cluster too; uniformly random ones
don't, and no graph searches those well.
"""

import argparse
import asyncio
import contextlib
import hashlib
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import qdrant_edge as edge
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.embedded.index import EmbeddedIndex
from services.retrieval.index import FRONT, EncoderId, Entry, Filter, PictureRecord, Place, Query

DIMENSION = 512
K = 5
QUERIES = 1_000
MIB = 1 << 20


def clustered(count: int, centres: int, seed: int) -> NDArray[np.float32]:
    """Shape (count, DIMENSION), unit length."""
    middle = np.random.default_rng(0).standard_normal((centres, DIMENSION), dtype=np.float32)
    random = np.random.default_rng(seed)
    vectors = np.empty((count, DIMENSION), np.float32)
    for start in range(0, count, 10_000):
        part = vectors[start : start + 10_000]
        part[:] = middle[random.integers(centres, size=len(part))]
        part += 0.7 * random.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


FIRST_CAPTURE = 1.7e9
"""Seconds since 1970; each picture is a second younger than the one before."""


def entry(number: int, vector: NDArray[np.float32]) -> Entry:
    """A picture with a record of the usual size."""
    identity = hashlib.sha256(str(number).encode()).hexdigest()
    platform, source = ("tiktok", "instagram", "youtube")[number % 3], f"session {number // 500}"
    record = PictureRecord(identity, "JPEG", 1080, 1920, f"{number:016x}", platform, FIRST_CAPTURE + number, source)
    return Entry(record, vector)


class Probe:
    """Asks again and again whether the event loop answers; keeps the longest delay in seconds.

    Args:
        period_s: Between two looks, in seconds.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self.longest = 0.0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            due = time.perf_counter() + self._period_s
            await asyncio.sleep(self._period_s)
            self.longest = max(self.longest, time.perf_counter() - due)


class Memory:
    """Peak resident memory of this process and of its children, in bytes."""

    def __init__(self) -> None:
        self.parent = self.child = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        process = psutil.Process()
        while True:
            self.parent = max(self.parent, process.memory_info().rss)
            with contextlib.suppress(psutil.Error):
                self.child = max([self.child, *(child.memory_info().rss for child in process.children())])
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def _beside(*jobs: Callable[[], Awaitable[None]]) -> Any:
    tasks = [asyncio.ensure_future(job()) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def fill(
    index: EmbeddedIndex, vectors: NDArray[np.float32], memory: Memory, probe_s: float, batch: int = 64
) -> dict[str, float]:
    """Adds everything, waits until nothing is built; seconds of both, and the longest delays."""
    ingest, build = Probe(probe_s), Probe(probe_s)
    began = time.perf_counter()
    async with _beside(memory.run):
        async with _beside(ingest.run):
            for start in range(0, len(vectors), batch):
                await index.add(
                    [entry(start + row, vector) for row, vector in enumerate(vectors[start : start + batch])]
                )
        added = time.perf_counter() - began
        async with _beside(build.run):
            while (await index.stats()).building:  # noqa: ASYNC110  # an index tells nobody when it is built
                await asyncio.sleep(0.05)
    return {
        "added": added,
        "built": time.perf_counter() - began,
        "ingest stall": ingest.longest,
        "build stall": build.longest,
    }


async def latencies(index: EmbeddedIndex, queries: NDArray[np.float32]) -> list[float]:
    """Seconds of searches one after another."""
    seconds = []
    for vector in queries:
        began = time.perf_counter()
        await index.search(Query(vector, K))
        seconds.append(time.perf_counter() - began)
    return seconds


async def interleaved(index: EmbeddedIndex, queries: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Seconds of our searches and of Edge's own queries of the same shard, in turns."""
    largest = max(index.segments.segments, key=lambda segment: segment.points)
    shard = edge.EdgeShard.load(str(largest.path / "shard"))
    ours: list[float] = []
    raw: list[float] = []
    for vector in queries:
        ours += await latencies(index, vector[np.newaxis])
        began = time.perf_counter()
        shard.query(edge.QueryRequest(query=edge.Query.Nearest(vector.tolist()), limit=K, with_payload=True))
        raw.append(time.perf_counter() - began)
    return ours, raw


async def throughput(index: EmbeddedIndex, queries: NDArray[np.float32], searchers: int) -> float:
    """Searches a second."""
    waiting: Iterator[NDArray[np.float32]] = iter(queries)

    async def search() -> None:
        for vector in waiting:
            await index.search(Query(vector, K))

    began = time.perf_counter()
    await asyncio.gather(*(search() for _ in range(searchers)))
    return len(queries) / (time.perf_counter() - began)


async def recall(
    index: EmbeddedIndex, vectors: NDArray[np.float32], queries: NDArray[np.float32], *, newest: float = 1.0
) -> float:
    """The share of the exact five nearest that is found, among this share of the pictures by capture time."""
    found = 0
    first = round((1 - newest) * len(vectors))
    condition = Filter() if newest == 1 else Filter(captured_from=FIRST_CAPTURE + first)
    for vector in queries:
        nearest = np.argpartition(-(vectors[first:] @ vector), K)[:K] + first
        wanted = {hashlib.sha256(str(number).encode()).hexdigest() for number in nearest}
        found += sum(hit.record.id in wanted for hit in await index.search(Query(vector, K, condition)))
    return found / (K * len(queries))


async def recall_under_filters(
    index: EmbeddedIndex, vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> tuple[str, str, str]:
    """A row of the table."""
    shares = (0.5, 0.2, 0.1, 0.02)
    found = [await recall(index, vectors, queries, newest=share) for share in shares]
    passing = ", ".join(f"{share:.0%}" for share in shares)
    return f"under filters that {passing} pass", ", ".join(f"{share:.4f}" for share in found), ">= 0.99"


async def large_searches(index: EmbeddedIndex, queries: NDArray[np.float32]) -> str:
    """The longest stalls of the event loop, looked for every millisecond, for a row of the table."""
    stalls: list[float] = []
    for deep in (False, True):
        probe = Probe(0.001)
        async with _beside(probe.run):
            for vector in queries:
                place = FRONT
                for _ in range(10 if deep else 1):
                    hits = await index.search(Query(vector, 1000, after=place))
                    place = Place(place.offset + len(hits), hits[-1].score, hits[-1].record.id)
        stalls.append(probe.longest)
    return f"{1e3 * stalls[0]:.0f} and {1e3 * stalls[1]:.0f} ms"


async def under_ingest(index: EmbeddedIndex, queries: NDArray[np.float32], first: int, rate: float) -> list[float]:
    """Seconds of searches while pictures are added at a rate a second, and built when there are enough."""
    extra = clustered(20_000, 500, seed=9)

    async def add() -> None:
        began = time.perf_counter()
        for start in range(0, len(extra), 8):
            await index.add([entry(first + start + row, vector) for row, vector in enumerate(extra[start : start + 8])])
            await asyncio.sleep(max(0.0, began + start / rate - time.perf_counter()))

    async with _beside(add):
        seconds: list[float] = []
        while len(seconds) < 4 * len(queries):
            seconds += await latencies(index, queries)
    return seconds


def local_mode(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    """Median seconds of a query of qdrant-client's local mode, which compares all vectors in Python."""
    from qdrant_client import QdrantClient, models

    warnings.simplefilter("ignore", UserWarning)  # it advises against this size, which is the point
    client = QdrantClient(":memory:")
    client.create_collection("speed", models.VectorParams(size=DIMENSION, distance=models.Distance.DOT))
    for start in range(0, len(vectors), 1_000):
        points = [
            models.PointStruct(id=start + row, vector=vector.tolist(), payload={"source": "speed"})
            for row, vector in enumerate(vectors[start : start + 1_000])
        ]
        client.upsert("speed", points)
    seconds = []
    for vector in queries:
        began = time.perf_counter()
        client.query_points("speed", query=vector.tolist(), limit=K)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


async def measure(arguments: argparse.Namespace, root: Path) -> Table:
    """Everything, as a table."""
    table = Table("what", "measured", "goal", title=f"{arguments.images:,} images x {DIMENSION}, clustered vectors")
    vectors = clustered(arguments.images, max(arguments.images // 100, 1), seed=1)
    queries = clustered(QUERIES, max(arguments.images // 100, 1), seed=2)
    encoder = EncoderId("speed", "1", DIMENSION)
    process, memory = psutil.Process(), Memory()
    before = process.memory_info().rss

    index = await EmbeddedCatalogue(root / "small", build_threshold=arguments.build_threshold).open(encoder)
    times = await fill(index, vectors, memory, arguments.probe)
    parts = ", ".join(f"{segment.points:,}" for segment in index.segments.segments)
    table.add_row("ingest", f"{arguments.images / times['added']:,.0f} images/s", "")
    table.add_row("ingest and build", f"{times['built']:.0f} s; segments of {parts}", "")
    table.add_row("longest stall of the event loop, adding and building", f"{1e3 * times['ingest stall']:.0f} ms", "50")
    table.add_row("longest stall of the event loop, only building", f"{1e3 * times['build stall']:.0f} ms", "50")
    await latencies(index, queries[:100])
    await asyncio.sleep(1)
    used = process.memory_info().rss - before
    peak = memory.parent - before
    table.add_row(
        "memory beyond the vectors given; while adding and building",
        f"{used / MIB:.0f} MiB; {peak / MIB:.0f} MiB at most",
        "700 MB",
    )
    table.add_row("peak memory of the building child", f"{memory.child / MIB:.0f} MiB", "")
    table.add_row("recall@5 against exact search", f"{await recall(index, vectors, queries[:300]):.4f}", ">= 0.99")
    table.add_row(*await recall_under_filters(index, vectors, queries[:100]))
    ours, raw = await interleaved(index, queries)
    table.add_row(
        "search p50", f"{1e3 * statistics.median(ours):.2f} ms; Edge alone {1e3 * statistics.median(raw):.2f}", ""
    )
    await large_searches(index, queries[:2])  # what is allocated once
    table.add_row(
        "longest stall while searching with k = 1,000; while reading 10 such pages",
        await large_searches(index, queries[:10]),
        "< 20 ms",
    )
    one, many = await throughput(index, queries, 1), await throughput(index, np.tile(queries, (3, 1)), 32)
    # Without gRPC a lone searcher already keeps the GIL busy; retrieval_speed has the figure that has a goal.
    table.add_row("searches/s of 1 and 32 searchers", f"{one:,.0f} and {many:,.0f}, x {many / one:.2f}", "")
    idle = await latencies(index, np.tile(queries, (2, 1)))
    busy = await under_ingest(index, queries, arguments.images, arguments.rate)
    p99, p99_busy = (float(np.percentile(seconds, 99)) for seconds in (idle, busy))
    table.add_row(
        f"search p99 idle and while {arguments.rate:.0f} images/s come",
        f"{1e3 * p99:.2f} and {1e3 * p99_busy:.2f} ms, x {p99_busy / p99:.1f}",
        "<= 5",
    )
    await index.close()
    began = time.perf_counter()
    await (await EmbeddedCatalogue(root / "small").open(encoder)).close()
    table.add_row("open and close", f"{time.perf_counter() - began:.2f} s", "< 5")
    if not arguments.no_local_mode:
        local = local_mode(vectors, queries[:40])
        ratio = local / statistics.median(ours)
        table.add_row("qdrant-client's local mode p50", f"{1e3 * local:.1f} ms, x {ratio:.0f}", ">= 30")
    if arguments.larger:
        await measure_larger(table, arguments, root, queries, statistics.median(ours))
    return table


async def measure_larger(
    table: Table, arguments: argparse.Namespace, root: Path, queries: NDArray[np.float32], smaller_p50: float
) -> None:
    """Adds the rows of a second size."""
    catalogue = EmbeddedCatalogue(root / "large", build_threshold=arguments.build_threshold)
    index = await catalogue.open(EncoderId("speed", "1", DIMENSION))
    vectors = clustered(arguments.larger, arguments.images // 100, seed=3)
    times = await fill(index, vectors, Memory(), arguments.probe)
    await latencies(index, queries[:200])
    large = statistics.median(await latencies(index, queries))
    parts = ", ".join(f"{segment.points:,}" for segment in index.segments.segments)
    table.add_row(
        f"p50 at {arguments.larger:,}",
        f"{1e3 * large:.2f} ms, x {large / smaller_p50:.2f}; segments of {parts}",
        "<= 2.5",
    )
    table.add_row("recall@5 there", f"{await recall(index, vectors, queries[:100]):.4f}", ">= 0.99")
    table.add_row("ingest and build there", f"{times['built']:.0f} s", "")
    table.add_row("longest stall there, only building", f"{1e3 * times['build stall']:.0f} ms", "")
    await index.close()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_191)
    parser.add_argument("--larger", type=int, default=0, help="a second size to compare with")
    parser.add_argument("--build-threshold", type=int, default=4_000)
    parser.add_argument("--rate", type=float, default=200.0, help="images per second while searches are timed")
    parser.add_argument("--probe", type=float, default=0.1, help="seconds between two looks for stalls")
    parser.add_argument("--no-local-mode", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        table = asyncio.run(measure(arguments, Path(root)))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
