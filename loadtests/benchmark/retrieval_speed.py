"""Measures searches through the retrieval service.

    python -m loadtests.benchmark.retrieval_speed [--images 50191] [--larger 502000]

The index is filled with synthetic vectors around random centres and around the keywords, and given to a retrieval
service with a ViT-B/32 of random weights, a process of its own. Cached keywords are searched through gRPC, in turns
with the raw query of an Edge shard of the same vectors and with qdrant-client's local mode, both in the client's
process and with the same keywords' vectors, so that whatever else the machine does meets all. One at a time all of them
are blocking calls; searchers that run together use gRPC's asyncio client. Prints a table.
"""

import argparse
import asyncio
import hashlib
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import qdrant_edge as edge
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from axia.lexicon import load_lexicon
from axia.v1 import retrieval_pb2, retrieval_pb2_grpc
from loadtests.benchmark.retrieval_index_speed import DIMENSION, K, entry
from loadtests.servers import Servers, wait_until_serving
from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.encoder.openclip import OpenClipEncoder
from services.retrieval.index import EncoderId

SPEC = "ViT-B-32/"
ENCODER = EncoderId("ViT-B-32", "random-0", DIMENSION)
SERVICE = "axia.v1.RetrievalService"
TURNS = 300
SEARCHERS = 32
MIB = 2**20

Search = Callable[[int], Any]


async def keyword_vectors() -> NDArray[np.float32]:
    """What the service searches for, shape (100, DIMENSION)."""
    encoder = OpenClipEncoder(SPEC, dtype="float32")
    await encoder.start()
    vectors = await encoder.encode_texts(load_lexicon().keywords)
    await encoder.close()
    return vectors


def around(centres: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Vectors of unit length around centres, noise 0.7 of the centre's length; shape (count, DIMENSION)."""
    random = np.random.default_rng(seed)
    vectors = np.empty((count, DIMENSION), np.float32)
    for first in range(0, count, 10_000):
        part = vectors[first : first + 10_000]
        part[:] = random.standard_normal(part.shape, dtype=np.float32) * (0.7 / DIMENSION**0.5)
        part += centres[random.integers(len(centres), size=len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


async def fill(data: Path, vectors: NDArray[np.float32]) -> None:
    """Writes an index of these vectors and waits until it has settled, as one does that is only searched."""
    catalogue = EmbeddedCatalogue(data / "index", settle_s=1)
    index = await catalogue.open(ENCODER)
    for first in range(0, len(vectors), 500):
        await index.add([entry(first + row, vector) for row, vector in enumerate(vectors[first : first + 500])])
    stats = await index.stats()
    while stats.building or stats.indexed_images < len(vectors) * 31 // 32:
        await asyncio.sleep(0.2)  # it tells nobody when it has settled
        stats = await index.stats()
    await index.close()
    await catalogue.switch(ENCODER)
    await catalogue.close()


def raw_shard(folder: Path, vectors: NDArray[np.float32]) -> Any:
    """An Edge shard with the same points in one HNSW index, as a program would make it for itself."""
    folder.mkdir()
    vector = edge.EdgeVectorParams(size=DIMENSION, distance=edge.Distance.Dot)
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=vector))
    for first in range(0, len(vectors), 1000):
        points = [
            edge.Point(id=first + row, vector=vector.tolist(), payload={"sha256": hashlib.sha256(b"x").hexdigest()})
            for row, vector in enumerate(vectors[first : first + 1000])
        ]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    return shard


def local_mode(vectors: NDArray[np.float32]) -> Any:
    """qdrant-client's local mode with the same points."""
    from qdrant_client import QdrantClient, models

    warnings.simplefilter("ignore", UserWarning)  # it advises against this size, which is the point
    client = QdrantClient(":memory:")
    client.create_collection("speed", models.VectorParams(size=DIMENSION, distance=models.Distance.DOT))
    for first in range(0, len(vectors), 1000):
        part = vectors[first : first + 1000]
        points = [models.PointStruct(id=first + row, vector=vector.tolist()) for row, vector in enumerate(part)]
        client.upsert("speed", points)
    return client


def medians_ms(searches: Sequence[Search], count: int) -> list[float]:
    """Median milliseconds of each search, `count` of each, called in turns: one of the first, one of the second, …"""
    taken: list[list[float]] = [[] for _ in searches]
    for number in range(count):
        for search, times_ms in zip(searches, taken, strict=True):
            began = time.perf_counter()
            search(number)
            times_ms.append((time.perf_counter() - began) * 1000)
    return list(map(statistics.median, taken))


def compared(rounds: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The medians of two columns, and the median of the first one's ratio to the second in each round."""
    first, second = (statistics.median(column) for column in zip(*rounds, strict=True))
    return first, second, statistics.median(one / other for one, other in rounds)


async def rate(search: Callable[[int], Awaitable[Any]], searchers: int, count: int) -> float:
    """Searches a second of several searchers at once."""
    numbers = iter(range(count))

    async def searcher() -> None:
        for number in numbers:
            await search(number)

    began = time.perf_counter()
    await asyncio.gather(*[searcher() for _ in range(searchers)])
    return count / (time.perf_counter() - began)


class Served:
    """A retrieval service over an index, and searches of cached keywords through gRPC."""

    def __init__(self, servers: Servers, data: Path) -> None:
        self._began = time.monotonic()
        self._server = servers.start("retrieval", encoder=SPEC, data=data)
        self.address, self.pid = self._server.address, self._server.pid
        self._keywords = load_lexicon().keywords

    async def ready(self) -> float:
        """Waits for SERVING; returns the seconds from the start."""
        await wait_until_serving(self._server)
        took = time.monotonic() - self._began
        channel = grpc.insecure_channel(self.address)
        self._blocking: Any = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        self._health: Any = health_pb2_grpc.HealthStub(channel)
        self._asyncio: Any = retrieval_pb2_grpc.RetrievalServiceStub(grpc.aio.insecure_channel(self.address))
        return took

    def _request(self, number: int) -> retrieval_pb2.SearchByTextRequest:
        return retrieval_pb2.SearchByTextRequest(query=self._keywords[number % len(self._keywords)], k=K)

    def search(self, number: int) -> Any:
        """SearchByText with one of the lexicon's keywords."""
        return self._blocking.SearchByText(self._request(number))

    async def search_asyncio(self, number: int) -> Any:
        """The same, among others at once."""
        return await self._asyncio.SearchByText(self._request(number))

    def nothing(self, number: int) -> Any:
        """A call that does nothing: what gRPC takes by itself."""
        return self._health.Check(health_pb2.HealthCheckRequest())

    @property
    def resident_mib(self) -> float:
        """The process's resident memory."""
        return psutil.Process(self.pid).memory_info().rss / MIB


async def measure(images: int, larger: int, root: Path) -> Table:
    """Everything, as a table."""
    table = Table("what", "measured", "goal", title=f"{images:,} images x {DIMENSION}, through gRPC")
    keywords = await keyword_vectors()
    random = np.random.default_rng(0).standard_normal((images // 100, DIMENSION), dtype=np.float32)
    centres = np.concatenate([keywords, random / np.linalg.norm(random, axis=1, keepdims=True)])
    with Servers() as servers:
        (root / "empty").mkdir()
        empty = Served(servers, root / "empty")
        await empty.ready()
        medians_ms([empty.search], 100)
        alone = empty.resident_mib
    vectors = around(centres, images, seed=1)
    await fill(root / "small", vectors)
    shard, local = raw_shard(root / "raw", vectors), local_mode(vectors)

    def raw(number: int) -> Any:
        vector = keywords[number % len(keywords)].tolist()
        return shard.query(edge.QueryRequest(query=edge.Query.Nearest(vector), limit=K, with_payload=True))

    def plain(number: int) -> Any:
        return local.query_points("speed", query=keywords[number % len(keywords)].tolist(), limit=K)

    with Servers() as servers:
        served = Served(servers, root / "small")
        table.add_row("from the start to SERVING, most of it a ViT-B/32", f"{await served.ready():.1f} s", "")
        medians_ms([served.search], 300)
        apart, in_turns, calls, locals_ = [], [], [], []
        for _ in range(9):
            apart.append([*medians_ms([served.search], TURNS), *medians_ms([raw], TURNS)])
            in_turns.append(medians_ms([served.search, raw], TURNS))
            calls += medians_ms([served.nothing], TURNS)
            locals_ += medians_ms([plain], 6)
        # A call leaves the processor waiting for the network, so its caches and clock are never as warm as those of a
        # program that does nothing but search.
        for how, rounds in ((f"{TURNS} in a row, each by itself", apart), ("in turns, alternating", in_turns)):
            service_ms, edges, ratio = compared(rounds)
            table.add_row(
                f"SearchByText p50; raw Edge query p50: {how}",
                f"{service_ms:.2f} and {edges:.2f} ms, x {ratio:.2f}",
                "<= 2.5",
            )
        table.add_row("p50 of a call that does nothing", f"{statistics.median(calls):.2f} ms", "")
        slow, _, ratio = compared(
            [(local_ms, service_ms) for local_ms, (service_ms, _) in zip(locals_, apart, strict=True)]
        )
        table.add_row("qdrant-client's local mode p50", f"{slow:.1f} ms, x {ratio:.0f}", ">= 30")
        search = served.search_asyncio
        many, one, ratio = compared(
            [(await rate(search, SEARCHERS, 2400), await rate(search, 1, 600)) for _ in range(5)]
        )
        table.add_row(
            f"searches/s of 1 and of {SEARCHERS} searchers", f"{one:,.0f} and {many:,.0f}, x {ratio:.2f}", ">= 1.5"
        )
        table.add_row(
            "resident memory; of a service without images",
            f"{served.resident_mib:.0f} and {alone:.0f} MiB",
            "700 MB apart",
        )
        if larger:
            del local, vectors
            await fill(root / "large", around(centres, larger, seed=3))
            big = Served(servers, root / "large")
            await big.ready()
            medians_ms([big.search], 300)
            service_ms, _, ratio = compared([medians_ms([big.search, served.search], TURNS) for _ in range(9)])
            table.add_row(f"p50 at {larger:,}", f"{service_ms:.2f} ms, x {ratio:.2f}", "<= 2.5")
    return table


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_191)
    parser.add_argument("--larger", type=int, default=0, help="a second size to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        table = asyncio.run(measure(options.images, options.larger, Path(root)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
