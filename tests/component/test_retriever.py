"""Starting, watching the stores, reading and deleting."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.retrieval.index import EncoderId
from services.retrieval.search import Wanted
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from tests.support.retrieval import Parts, sha256, small, started, take_in

GONE = Unavailable("the bucket can't be reached now; try again later", reason="GONE")


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with started(tmp_path) as made:
        yield made


async def test_nothing_is_answered_before_the_start(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    with pytest.raises(Unavailable) as caught:
        await parts.retriever.search.by_text("beach", Wanted())
    assert caught.value.reason == "STARTING"
    await parts.retriever.close()


async def test_pictures_are_there_after_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path) as parts:
        await take_in(parts, [small(seed) for seed in range(5)])
    async with started(tmp_path) as parts:
        page = await parts.retriever.search.by_text(sha256(small(3)), Wanted(k=1))
        assert page.hits[0].record.id == sha256(small(3))
        assert page.provenance.images == 5


async def test_an_index_of_another_encoder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with started(tmp_path) as parts:
        await take_in(parts, [small(0)])
    with pytest.raises(FailedPrecondition) as caught:
        async with started(tmp_path, encoder="hash/other"):
            pass
    assert caught.value.reason == "ENCODER_CHANGED"
    for advice in ("hash/one", "StartReindex", "AXIA_RETRIEVAL_DATA", "AXIA_RETRIEVAL_ENCODER"):
        assert advice in caught.value.message
    async with started(tmp_path) as parts:  # setting it back is enough
        assert (await parts.retriever.stats()).images == 1


async def test_an_index_of_another_dimension_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with started(tmp_path):
        pass
    (tmp_path / "state.json").unlink()
    for path in (tmp_path / "index").rglob("*.json"):
        content = json.loads(path.read_text())
        if "dimension" in content:
            path.write_text(json.dumps(content | {"dimension": 65}))
    with pytest.raises(FailedPrecondition) as caught:
        async with started(tmp_path):
            pass
    assert "dimension 65" in caught.value.message


async def test_a_broken_state_file_is_named(tmp_path: Path) -> None:
    async with started(tmp_path):
        pass
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(FailedPrecondition, match=r"state\.json.*remove it"):
        async with started(tmp_path):
            pass


async def test_a_lost_state_file_is_made_again(tmp_path: Path) -> None:
    async with started(tmp_path) as parts:
        await take_in(parts, [small(0)])
    (tmp_path / "state.json").unlink()
    async with started(tmp_path) as parts:
        assert (await parts.retriever.stats()).images == 1
    assert (tmp_path / "state.json").exists()


async def test_a_folder_in_use_is_refused_at_once(parts: Parts) -> None:
    with pytest.raises(Unavailable, match="another process"):
        async with started(parts.settings.data):
            pass


async def test_a_start_waits_for_a_picture_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.retrieval.retriever._RETRY_S", 0.01)
    parts = Parts(tmp_path)
    parts.pictures.failure = GONE
    starting = asyncio.create_task(parts.retriever.start())
    await asyncio.sleep(0.1)
    assert not starting.done()
    parts.pictures.failure = None
    await starting
    await parts.retriever.close()


async def test_a_start_waits_for_a_qdrant_server_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.retrieval.retriever._RETRY_S", 0.01)
    parts = Parts(tmp_path)
    tries = 0

    async def away_at_first() -> EncoderId | None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise Unavailable("the Qdrant server can't be reached", reason="QDRANT_GONE")
        return None

    monkeypatch.setattr(type(parts.catalogue), "store", "qdrant")
    monkeypatch.setattr(parts.catalogue, "current", away_at_first)
    async with asyncio.timeout(20):
        await parts.retriever.start()
    assert tries >= 4
    assert (await parts.retriever.stats()).images == 0
    await parts.retriever.close()


async def test_an_index_that_is_away_is_told_to_callers_and_health_and_comes_back(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: asyncio.Queue[bool] = asyncio.Queue()
    parts.retriever.report_to(told.put)
    await take_in(parts, [small(0)])

    async def away(*arguments: object) -> object:
        raise Unavailable("the Qdrant server can't be reached", reason="QDRANT_GONE")

    index = parts.retriever._spaces.current.index
    watching = asyncio.create_task(parts.retriever.watch())
    async with asyncio.timeout(20):
        with monkeypatch.context() as lost:
            for method in ("check", "search", "get", "add", "stats"):
                lost.setattr(index, method, away)
            assert await told.get() is False
            for call in (parts.retriever.search.by_text("beach", Wanted()), take_in(parts, [small(1)])):
                with pytest.raises(Unavailable) as caught:
                    await call
                assert caught.value.reason == "QDRANT_GONE"
        assert await told.get() is True
    assert len((await parts.retriever.search.by_text("beach", Wanted())).hits) == 1
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_full_disk_does_not_keep_the_service_from_starting(tmp_path: Path) -> None:
    async with started(tmp_path) as parts:
        await take_in(parts, [small(0)])
    parts = Parts(tmp_path)
    parts.pictures.failure = ResourceExhausted("full", reason="FULL")
    await parts.retriever.start()
    assert (await parts.retriever.search.by_text("beach", Wanted())).hits
    await parts.retriever.close()


async def test_health_hears_of_a_lost_store_and_of_its_return(parts: Parts) -> None:
    told: asyncio.Queue[bool] = asyncio.Queue()
    parts.retriever.report_to(told.put)
    watching = asyncio.create_task(parts.retriever.watch())
    async with asyncio.timeout(20):
        for _ in range(2):
            parts.pictures.failure = GONE
            assert await told.get() is False
            parts.pictures.failure = None
            assert await told.get() is True
    parts.pictures.failure = ResourceExhausted("full", reason="FULL")  # searches need no room
    await asyncio.sleep(0.1)
    assert told.empty()
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_store_that_is_silent_is_lost(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.retrieval.retriever._CHECK_TIMEOUT_S", 0.01)
    monkeypatch.setattr(parts.pictures, "check", asyncio.Event().wait)
    told: asyncio.Queue[bool] = asyncio.Queue()
    parts.retriever.report_to(told.put)
    watching = asyncio.create_task(parts.retriever.watch())
    async with asyncio.timeout(20):
        assert await told.get() is False
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_another_process_that_switches_ends_the_watch(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def other() -> EncoderId:
        return EncoderId("other", "1", 64)

    monkeypatch.setattr(parts.catalogue, "current", other)
    with pytest.raises(Unavailable, match="another process"):
        async with asyncio.timeout(20):
            await parts.retriever.watch()


async def test_stored_pictures_come_in_the_order_of_their_ids(parts: Parts) -> None:
    files = [small(seed) for seed in range(9)]
    await take_in(parts, files)
    ids = [sha256(data) for data in reversed(files)]
    ids.insert(4, "0" * 64)
    got = [picture async for picture in parts.retriever.pictures([*ids, ids[0]])]
    assert [own.id for own in got] == [*ids, ids[0]]
    assert [own.data for own in got] == [*files[8:4:-1], None, *files[4::-1], files[8]]
    assert got[4].record is None


async def test_deleting_counts_each_id_once_and_deletes_the_bytes(parts: Parts) -> None:
    await take_in(parts, [small(seed) for seed in range(3)])
    ids = [sha256(small(seed)) for seed in (0, 1, 0, 9)]
    assert await parts.retriever.delete(ids) == (2, 1)
    assert await parts.retriever.delete(ids) == (0, 3)
    assert await parts.pictures.get(ids[0]) is None
    page = await parts.retriever.search.by_text("beach", Wanted())
    assert [hit.record.id for hit in page.hits] == [sha256(small(2))]
    assert page.provenance.images == 1
    assert len(await take_in(parts, [small(0)])) == 1
    assert (await parts.retriever.stats()).images == 2


async def test_a_delete_whose_caller_gave_up_is_finished_before_the_picture_can_come_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_in(parts, [small(1)])
    begun, go_on = asyncio.Event(), asyncio.Event()
    delete = parts.pictures.delete

    async def slowly(ids: Sequence[str]) -> None:
        begun.set()
        await go_on.wait()
        await delete(ids)

    monkeypatch.setattr(parts.pictures, "delete", slowly)
    call = asyncio.create_task(parts.retriever.delete([sha256(small(1))]))
    await begun.wait()
    call.cancel()
    again = asyncio.create_task(take_in(parts, [small(1)]))
    await asyncio.sleep(0.05)
    assert not again.done()
    go_on.set()
    assert len(await again) == 1
    assert await parts.pictures.get(sha256(small(1))) == small(1)


@pytest.mark.parametrize("ids", [[], ["0" * 64] * 1001])
async def test_a_number_of_ids_out_of_bounds_is_refused(parts: Parts, ids: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await parts.retriever.delete(ids)
    assert caught.value.violations[0].field == "ids"
