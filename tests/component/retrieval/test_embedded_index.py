"""Segments beside searches and additions: when they are built, and what becomes of the processes."""

import asyncio
import contextlib
import dataclasses
import gc
import itertools
import os
import signal
import time
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.embedded.index import EmbeddedIndex
from services.retrieval.index import EncoderId, Entry, Hit, Query
from services.serving.errors import Unavailable
from tests.support.vectors import DIMENSION, directions, entries, exact

ENCODER = EncoderId("test", "1", DIMENSION)


@contextlib.asynccontextmanager
async def opened(path: Path, build_threshold: int = 200, settle_s: float = 60.0) -> AsyncIterator[EmbeddedIndex]:
    catalogue = EmbeddedCatalogue(path, build_threshold=build_threshold, settle_s=settle_s)
    try:
        yield await catalogue.open(ENCODER)
    finally:
        await catalogue.close()


async def until_indexed(index: EmbeddedIndex, images: int) -> None:
    async with asyncio.timeout(120):
        while (await index.stats()).indexed_images < images:
            await asyncio.sleep(0.02)


def ids(hits: list[Hit]) -> list[str]:
    return [hit.record.id for hit in hits]


def children(kind: str) -> list[int]:
    """Processes that build or search; servers that other tests keep running are children as well."""
    found: list[int] = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            command = child.cmdline()
            ours = "services.retrieval.embedded.hnsw" in command and kind in command
            if ours and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child.pid)
    return found


async def child(kind: str) -> int:
    async with asyncio.timeout(60):
        while not (found := children(kind)):
            await asyncio.sleep(0.01)
    return found[0]


async def agree(index: EmbeddedIndex, there: list[Entry], seed: int = 5) -> None:
    for query in (Query(vector, k=5) for vector in directions(20, seed=seed)):
        assert ids(await index.search(query)) == ids(exact(query, there))


def sizes(index: EmbeddedIndex) -> list[int]:
    return [segment.points for segment in index.segments.segments]


async def test_searches_and_additions_go_on_while_segments_are_built(tmp_path: Path) -> None:
    there = entries(1_000)
    async with opened(tmp_path) as index:
        for start in range(0, 1_000, 50):
            await index.add(there[start : start + 50])
            await agree(index, there[: start + 50], seed=start)
        await until_indexed(index, 800)
        await agree(index, there)


async def test_an_index_that_outgrows_its_first_rows_keeps_its_ids(tmp_path: Path) -> None:
    there = entries(4_500)
    async with opened(tmp_path, build_threshold=10_000) as index:
        for start in range(0, len(there), 250):
            await index.add(there[start : start + 250])
        await agree(index, there)
    async with opened(tmp_path, build_threshold=10_000) as index:
        await agree(index, there)


async def test_segments_of_like_size_are_merged_and_larger_ones_left_alone(tmp_path: Path) -> None:
    there = entries(240)
    async with opened(tmp_path, build_threshold=40) as index:
        for start in range(0, 240, 40):
            await index.add(there[start : start + 40])
            await until_indexed(index, start + 40)
            assert all(larger > 3 * smaller for larger, smaller in itertools.pairwise(sizes(index)))
        assert sum(sizes(index)) == 240
        await agree(index, there)
        await index.delete([entry.record.id for entry in there[:120]])  # more than a quarter of the largest
        async with asyncio.timeout(60):
            while sum(sizes(index)) > 120:
                await asyncio.sleep(0.02)
        await agree(index, there[120:])


async def test_closing_ends_a_build_that_is_then_done_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as index:
        await index.add(entries(250))
        await child("build")
        await index.close()
        await index.close()
        assert children("build") == []
        with pytest.raises(Unavailable):
            await index.add(entries(1))
        with pytest.raises(Unavailable):
            await index.stats()
    async with opened(tmp_path) as index:
        await until_indexed(index, 250)
    assert children("search") == []


async def test_all_becomes_one_segment_once_nothing_is_written_for_a_while(tmp_path: Path) -> None:
    there = entries(350)
    async with opened(tmp_path, settle_s=1.0) as index:
        await index.add(there[:250])
        await until_indexed(index, 250)
        began = time.monotonic()
        for number in range(250, 330):  # written to all the time
            await index.add(there[number : number + 1])
            await asyncio.sleep(0.02)
        quiet = time.monotonic()
        assert quiet - began > 1.5
        assert sizes(index) == [250]
        await until_indexed(index, 330)
        assert time.monotonic() - quiet > 0.9
        assert sizes(index) == [330]
        await agree(index, there[:330])
        await index.add(there[330:])
    async with opened(tmp_path, settle_s=0.2) as index:
        await until_indexed(index, 350)  # also what was left when it was closed
        await index.add(entries(5, 350))
        await asyncio.sleep(1.0)
        assert sizes(index) == [350]  # so little is not worth it


async def test_a_build_that_is_killed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.retrieval.embedded.segments._FIRST_PAUSE_S", 0.2)
    async with opened(tmp_path) as index:
        await index.add(entries(250))
        os.kill(await child("build"), signal.SIGKILL)
        await until_indexed(index, 250)
        await agree(index, entries(250))


async def test_searches_outlive_the_process_that_searches(tmp_path: Path) -> None:
    there = entries(250)
    async with opened(tmp_path) as index:
        await index.add(there)
        await until_indexed(index, 250)
        first = await child("search")
        os.kill(first, signal.SIGKILL)
        await asyncio.gather(*(agree(index, there, seed) for seed in range(5)))
        async with asyncio.timeout(60):
            while index.segments.searcher is None:
                await asyncio.sleep(0.02)
        assert children("search") != [first]
        await agree(index, there)


def damage(folder: Path, name: str) -> int:
    """Flips a bit in each file of a name; returns how many there are."""
    files = [path for path in folder.rglob(name) if path.stat().st_size]
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
    return len(files)


@pytest.mark.parametrize("damaged", ["manifest.json", "matrix.dat", "edge_config.json", "links_compressed.bin"])
async def test_a_damaged_segment_is_built_again(tmp_path: Path, damaged: str) -> None:
    there = entries(250)
    async with opened(tmp_path) as index:
        await index.add(there)
        await until_indexed(index, 250)
    if not damage(tmp_path, damaged):
        pytest.skip("this release of Edge has no such file")
    async with opened(tmp_path) as index:
        await agree(index, there)
        await until_indexed(index, 250)
        await agree(index, there)


async def test_deletions_and_updates_hold_in_segments_and_after_a_restart(tmp_path: Path) -> None:
    there = entries(250)
    changed = [entry._replace(record=dataclasses.replace(entry.record, source="new")) for entry in there[10:20]]
    async with opened(tmp_path) as index:
        await index.add(there)
        await until_indexed(index, 250)
        await index.delete([entry.record.id for entry in there[:10]])
        assert await index.update([entry.record for entry in changed]) == 10
        assert await index.add(there[:3]) == [True] * 3
        left = there[:3] + changed + there[20:]
        await agree(index, left)
    async with opened(tmp_path) as index:
        await agree(index, left)
        assert {record.id async for record in index.records()} == {entry.record.id for entry in left}


async def test_a_closed_index_keeps_no_memory_and_no_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as index:
        await index.add(entries(250))
        await until_indexed(index, 250)
        table = weakref.ref(index.table)
    del index
    gc.collect()
    assert table() is None
    assert not [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]


async def test_an_index_whose_closing_is_given_up_is_closed_all_the_same(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path, build_threshold=200)
    index = await catalogue.open(ENCODER)
    await index.add(entries(250))
    closing = asyncio.create_task(index.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await index.close()
    async with opened(tmp_path):
        pass
    await catalogue.close()


async def test_large_searches_leave_the_event_loop_alone(tmp_path: Path) -> None:
    dimension = 256
    catalogue = EmbeddedCatalogue(tmp_path, build_threshold=4_000)
    index = await catalogue.open(EncoderId("wide", "1", dimension))
    there = entries(12_000, dimension=dimension)
    await index.add(there)
    known = {entry.record.id for entry in there}
    longest = 0.0

    async def probe() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began)

    probing = asyncio.create_task(probe())
    for vector in directions(5, seed=3, dimension=dimension):
        for k in (1_000, 5_000):
            hits = await index.search(Query(vector, k))
            assert len(hits) == k
            assert {hit.record.id for hit in hits} <= known
            last = hits[-1]
            assert last.score >= sorted((float(entry.vector @ vector) for entry in there), reverse=True)[k - 1] - 1e-4
    probing.cancel()
    assert longest < 0.5  # a busy machine; loadtests.benchmark.retrieval_index_speed has the figure that has a goal
    await catalogue.close()
