"""Builds beside searches and additions, and what becomes of them at the end."""

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
import weakref
from pathlib import Path

import psutil
import pytest

from services.retrieval.edge_build import BuildJob
from services.retrieval.edge_index import EdgeIndex
from services.retrieval.index import EncoderId, Hit, Query
from services.retrieval.index_edge import EdgeCatalogue
from services.serving.errors import ResourceExhausted, Unavailable
from tests.support.vectors import DIMENSION, directions, entries, exact

ENCODER = EncoderId("test", "1", DIMENSION)


async def until_built(index: EdgeIndex, images: int) -> None:
    deadline = time.monotonic() + 120
    while (await index.stats()).indexed_images < images:
        assert time.monotonic() < deadline, "the index was not built"
        await asyncio.sleep(0.02)


def ids(hits: list[Hit]) -> list[str]:
    return [hit.record.id for hit in hits]


def children() -> list[int]:
    """Processes that build; servers that other tests keep running are children as well."""
    building: list[int] = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if child.status() != psutil.STATUS_ZOMBIE and "services.retrieval.edge_build" in child.cmdline():
                building.append(child.pid)
    return building


async def child_of_build() -> int:
    deadline = time.monotonic() + 60
    while not (found := children()):
        assert time.monotonic() < deadline, "no build began"
        await asyncio.sleep(0.01)
    return found[0]


async def test_searches_and_additions_go_on_while_an_index_is_built(tmp_path: Path) -> None:
    index = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    there = entries(1_000)
    for start in range(0, 1_000, 50):
        await index.add(there[start : start + 50])
        for query in (Query(vector, k=5) for vector in directions(2, seed=start)):
            assert ids(await index.search(query)) == ids(exact(query, there[: start + 50]))
    await until_built(index, 800)
    for query in (Query(vector, k=5) for vector in directions(20, seed=5)):
        assert ids(await index.search(query)) == ids(exact(query, there))
    await index.close()


async def test_closing_ends_a_build_that_is_then_done_again(tmp_path: Path) -> None:
    index = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    await index.add(entries(300))
    await child_of_build()
    await index.close()
    await index.close()
    assert children() == []
    with pytest.raises(Unavailable):
        await index.add(entries(1))
    with pytest.raises(Unavailable):
        await index.stats()
    index = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    await until_built(index, 200)
    await index.close()


async def test_an_index_settles_once_nothing_is_written_for_a_while(tmp_path: Path) -> None:
    catalogue = EdgeCatalogue(tmp_path, build_threshold=200, settle_s=0.5)
    index = await catalogue.open(ENCODER)
    there = entries(330)
    await index.add(there[:250])
    deadline = time.monotonic() + 2
    for number in range(250, 330):  # written to all the time
        await index.add(there[number : number + 1])
        await asyncio.sleep(max(0.0, (deadline - time.monotonic()) / (330 - number)))
    assert len(index.view.active) == 80
    await until_built(index, 330)
    assert [len(part) for part in index.view.segments] == [330, 0]
    for query in (Query(vector, k=5) for vector in directions(20, seed=5)):
        assert ids(await index.search(query)) == ids(exact(query, there))
    await index.close()
    index = await EdgeCatalogue(tmp_path, build_threshold=200, settle_s=0.2).open(ENCODER)
    await index.add(entries(20, 330))
    await index.close()
    index = await EdgeCatalogue(tmp_path, build_threshold=200, settle_s=0.2).open(ENCODER)
    await until_built(index, 350)  # also what was left when it was closed
    await index.close()


async def test_an_index_settles_as_soon_as_it_was_quiet_for_long_enough(tmp_path: Path) -> None:
    index = await EdgeCatalogue(tmp_path, build_threshold=200, settle_s=2.0).open(ENCODER)
    await index.add(entries(250))
    await until_built(index, 250)
    await index.add(entries(20, 250))
    await asyncio.sleep(0.4)
    before = time.monotonic()
    await index.add(entries(1, 270))
    after = time.monotonic()
    await child_of_build()
    began = time.monotonic()
    assert began - before >= 2.0
    assert began - after < 3.0  # two whole intervals after the first addition would be 3.6
    await index.close()


async def test_what_is_added_while_an_index_settles_waits_until_it_is_quiet_again(tmp_path: Path) -> None:
    index = await EdgeCatalogue(tmp_path, build_threshold=200, settle_s=0.8).open(ENCODER)
    there = entries(480)
    await index.add(there[:250])
    await until_built(index, 250)
    await index.add(there[250:280])
    await child_of_build()
    await index.add(there[280:310])
    added = 310
    while len(index.view.segments) > 2 or added < 340:  # until it has settled, and for longer than it takes to begin
        await index.add(there[added : added + 1])
        added += 1
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    assert [len(part) for part in index.view.segments] == [280, added - 280]
    assert children() == []
    await index.close()


async def until_parts(index: EdgeIndex, *sizes: int) -> None:
    async with asyncio.timeout(60):
        while [len(part) for part in index.view.segments] != list(sizes):
            await asyncio.sleep(0.02)


async def test_settling_makes_way_for_a_build_that_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = await EdgeCatalogue(tmp_path, build_threshold=200, settle_s=0.5).open(ENCODER)
    begin_build = index._store.begin_build
    jobs: list[BuildJob | None] = []

    def begun(*, settling: bool) -> BuildJob | None:
        jobs.append(begin_build(settling=settling))
        return jobs[-1]

    monkeypatch.setattr(index._store, "begin_build", begun)
    there = entries(1_250)
    await index.add(there[:1_000])
    await until_parts(index, 1_000, 0)
    await index.add(there[1_000:1_040])
    settling = await child_of_build()
    os.kill(settling, signal.SIGSTOP)  # as if it took minutes
    assert jobs[-1] is not None
    half_built = index._store.path / jobs[-1].target
    half_built.mkdir(exist_ok=True)
    (half_built / "pictures.log").touch()
    await index.add(there[1_040:1_190])
    await asyncio.sleep(0.3)
    assert children() == [settling]  # too little to build
    await index.add(there[1_190:1_250])
    await until_parts(index, 1_000, 250, 0)
    assert settling not in children()
    assert half_built.name not in {part.name for part in index.view.indexed}
    assert not half_built.exists()
    await until_parts(index, 1_250, 0)  # once it is quiet again
    query = Query(directions(1, seed=5)[0], k=20)
    assert ids(await index.search(query)) == ids(exact(query, there))
    await index.close()


async def test_an_index_without_the_room_to_settle_is_built_in_parts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = await EdgeCatalogue(tmp_path, build_threshold=200, settle_s=0.3).open(ENCODER)
    await index.add(entries(1_000))
    await until_parts(index, 1_000, 0)
    refused = asyncio.Event()

    def enough_space(job: BuildJob) -> bool:
        large = any(log.endswith("pictures.log") and Path(log).stat().st_size > 100_000 for log, _ in job.sources)
        if large:
            refused.set()
        return not large

    monkeypatch.setattr(index._store, "enough_space", enough_space)
    await index.add(entries(40, 1_000))
    async with asyncio.timeout(60):
        await refused.wait()
    await index.add(entries(250, 1_040))
    async with asyncio.timeout(8):  # less than the pause after a build that failed
        await until_built(index, 1_290)
    assert refused.is_set()
    assert [len(part) for part in index.view.segments] == [1_000, 290, 0]
    await index.close()


def files_in_use(folder: Path) -> set[str]:
    """Files that this process has open or mapped into memory, deleted ones as well."""
    mapped = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    opened = {os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir()}
    return {path for path in mapped | opened if path.startswith(str(folder))}


async def test_a_closed_index_keeps_no_memory_and_no_file(tmp_path: Path) -> None:
    catalogue = EdgeCatalogue(tmp_path, build_threshold=200)
    index = await catalogue.open(ENCODER)
    await index.add(entries(250))
    await until_built(index, 250)
    await index.add(entries(20, 250))
    store = index._store
    arrays = weakref.ref(store.view.active)
    assert files_in_use(tmp_path)
    await index.close()
    # At once, though the index is still known to whoever closed it.
    assert not files_in_use(tmp_path)
    gc.collect()
    assert arrays() is None
    closed = weakref.ref(index)
    del index, store
    gc.collect()
    assert closed() is None, "the catalogue or a task still holds it"
    await catalogue.close()


async def test_an_index_whose_closing_is_given_up_is_closed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = EdgeCatalogue(tmp_path)
    index = await catalogue.open(ENCODER)
    goes_on = threading.Event()
    adding = asyncio.create_task(index.add(entries(1)))
    with monkeypatch.context() as patch:
        patch.setattr(index._store, "add", lambda _: [goes_on.wait(60)])
        await asyncio.sleep(0)
    closing = asyncio.create_task(index.close())
    await asyncio.sleep(0.05)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert closing.cancelled()
    with pytest.raises(Unavailable, match="open in another process"):  # still waiting for the addition
        await EdgeCatalogue(tmp_path).open(ENCODER)
    goes_on.set()
    await catalogue.close()
    assert await adding == [True]
    again = await EdgeCatalogue(tmp_path).open(ENCODER)
    assert await again.add(entries(1)) == [True]
    await again.close()


async def test_a_build_that_is_killed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.retrieval.edge_builds._FIRST_PAUSE_S", 0.05)
    index = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    await index.add(entries(250))
    os.kill(await child_of_build(), signal.SIGKILL)
    await until_built(index, 250)
    assert (await index.stats()).images == 250
    await index.close()


@pytest.mark.parametrize("summary", ["", '{"images": 250', "{}", '{"images": 250, "platforms": 4}', "[]"])
async def test_a_build_whose_output_is_damaged_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, summary: str
) -> None:
    monkeypatch.setattr("services.retrieval.edge_builds._FIRST_PAUSE_S", 0.05)
    index = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    end_build = index._store.end_build
    damaged: list[str] = []

    def ended(job: BuildJob, *, built: bool) -> None:
        if built and not damaged:
            damaged.append(job.target)
            (Path(job.target) / "part.json").write_text(summary)
        end_build(job, built=built)

    monkeypatch.setattr(index._store, "end_build", ended)
    there = entries(250)
    await index.add(there)
    await until_built(index, 250)
    assert len(damaged) == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "a built index can't be put in place; it is tried again"
    ]
    query = Query(directions(1, seed=5)[0], k=5)
    assert ids(await index.search(query)) == ids(exact(query, there))
    await index.close()


class Panic(BaseException):
    """As a library in Rust raises it, past `except Exception`."""


@pytest.mark.parametrize("error", [ValueError, Panic])
async def test_an_index_is_let_go_of_whatever_its_build_ended_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    index = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    await index.add(entries(250))
    await child_of_build()

    def failing(*_: object, **__: object) -> None:
        raise error("the build's end fails")

    monkeypatch.setattr(index._store, "end_build", failing)
    await index.close()
    assert children() == []
    again = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    assert (await again.stats()).images == 250
    await again.close()


async def test_an_index_that_cannot_be_closed_does_not_keep_the_others_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = EdgeCatalogue(tmp_path)
    encoders = [EncoderId("e", str(number), DIMENSION) for number in range(3)]
    indexes = [await catalogue.open(encoder) for encoder in encoders]
    close = indexes[0]._store.close

    def failing() -> None:
        close()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(indexes[0]._store, "close", failing)
    with pytest.raises(OSError, match="Input/output"):
        await catalogue.close()
    for encoder in encoders:
        await (await EdgeCatalogue(tmp_path).open(encoder)).close()
    await catalogue.close()  # knows of none any more


async def test_builds_outlive_an_error_that_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("services.retrieval.edge_builds._FIRST_PAUSE_S", 0.05)
    index = await EdgeCatalogue(tmp_path, build_threshold=200).open(ENCODER)
    enough_space = index._store.enough_space
    answers = iter([RuntimeError("unforeseen")])

    def failing_once(job: BuildJob) -> bool:
        for error in answers:
            raise error
        return enough_space(job)

    monkeypatch.setattr(index._store, "enough_space", failing_once)
    await index.add(entries(250))
    async with asyncio.timeout(20):  # less than it takes until the index settles
        await until_built(index, 250)
    errors = [(record.name, record.exc_info is not None) for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [("services.retrieval.edge_builds", True)]
    await index.close()


async def test_a_full_disk_is_told_in_our_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = await EdgeCatalogue(tmp_path).open(ENCODER)
    await index.add(entries(2))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("services.retrieval.edge_log.os.pwrite", full)
        with pytest.raises(ResourceExhausted, match=r"free some space.*AXIA_RETRIEVAL_DATA to"):
            await index.add(entries(3))
    assert await index.add(entries(3)) == [False, False, True]
    await index.close()


async def test_an_index_is_open_once(tmp_path: Path) -> None:
    catalogue = EdgeCatalogue(tmp_path)
    await catalogue.open(ENCODER)
    with pytest.raises(Unavailable, match=r"open in another process.*AXIA_RETRIEVAL_DATA to"):
        await EdgeCatalogue(tmp_path).open(ENCODER)
    await catalogue.close()
