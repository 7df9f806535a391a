"""Starting, watching the stores, reading and deleting."""

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.index import EncoderId, Filter, PictureRecord
from services.retrieval.ingest import Indexed
from services.retrieval.qdrant.catalogue import QdrantCatalogue, QdrantOptions
from services.retrieval.records import Update
from services.retrieval.retriever import Retriever
from services.retrieval.search import Wanted
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from tests.support.pictures import photograph
from tests.support.qdrant_server import QdrantServer
from tests.support.retrieval import Parts, TestPictures, sha256, small, started, take_in

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
    catalogue = EmbeddedCatalogue(tmp_path / "index")
    await catalogue.open(EncoderId("one", "1", 65))
    await catalogue.switch(EncoderId("one", "1", 65))
    await catalogue.close()
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
    got = [picture async for picture in parts.retriever.records.pictures([*ids, ids[0]])]
    assert [image.id for image in got] == [*ids, ids[0]]
    assert [image.data for image in got] == [*files[8:4:-1], None, *files[4::-1], files[8]]
    assert got[4].record is None


async def test_deleting_counts_each_id_once_and_deletes_the_bytes(parts: Parts) -> None:
    await take_in(parts, [small(seed) for seed in range(3)])
    ids = [sha256(small(seed)) for seed in (0, 1, 0, 9)]
    assert await parts.retriever.records.delete(ids) == (2, 1)
    assert await parts.retriever.records.delete(ids) == (0, 3)
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
    call = asyncio.create_task(parts.retriever.records.delete([sha256(small(1))]))
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
        await parts.retriever.records.delete(ids)
    assert caught.value.violations[0].field == "ids"


# Lists, updates, deletions by filter, and what they leave behind.


async def listed(parts: Parts, condition: Filter, size: int = 4) -> dict[str, PictureRecord]:
    found: dict[str, PictureRecord] = {}
    token, more = "", True
    while more:
        records, token = await parts.retriever.records.page(condition, size, token)
        found |= {record.id: record for record in records}
        more = bool(token)
    return found


async def test_pictures_are_listed_updated_and_deleted_by_what_is_known_of_them(parts: Parts) -> None:
    await take_in(parts, [small(seed) for seed in range(6)], platform="tiktok", capture_time=1e9)
    await take_in(parts, [small(seed) for seed in range(6, 10)], platform="youtube", source="feed")
    assert len(await listed(parts, Filter())) == 10
    youtube = await listed(parts, Filter(platforms=("youtube",)))
    assert set(youtube) == {sha256(small(seed)) for seed in range(6, 10)}
    changed = sha256(small(6))
    assert await parts.retriever.records.update([Update(changed, "tiktok", 2e9, "moved"), Update("ab" * 32)]) == 1
    record = (await listed(parts, Filter(sources=("moved",))))[changed]
    assert (record.platform, record.capture_time) == ("tiktok", 2e9)
    page = await parts.retriever.search.by_text(changed, Wanted(k=1, filter=Filter(captured_from=1.5e9)))
    assert page.hits[0].record == record
    assert await parts.retriever.records.delete_passing([], Filter(platforms=("tiktok",), captured_before=1.5e9)) == 6
    assert set(await listed(parts, Filter())) == set(youtube)
    assert (await parts.retriever.stats()).images == 4
    assert {path.name for path in (parts.settings.data / "pictures").rglob("*") if path.is_file()} == set(youtube)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda retriever: retriever.records.page(Filter(), 0, ""), "page_size"),
        (lambda retriever: retriever.records.page(Filter(), 5, "x"), "page_token"),
        (lambda retriever: retriever.records.page(Filter(platforms=("A",)), 5, ""), "filter.platforms[0]"),
        (lambda retriever: retriever.records.update([]), "updates"),
        (lambda retriever: retriever.records.update([Update("x")]), "updates[0].id"),
        (lambda retriever: retriever.records.update([Update("ab" * 32), Update("ab" * 32)]), "updates[1].id"),
        (lambda retriever: retriever.records.update([Update("ab" * 32, "A b")]), "updates[0].metadata.platform"),
        (lambda retriever: retriever.records.delete_passing([], Filter()), "filter"),
        (lambda retriever: retriever.records.delete_passing(["ab" * 32], Filter(("a",))), "ids"),
    ],
)
async def test_what_is_wrong_in_lists_and_updates_is_named(parts: Parts, call: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await call(parts.retriever)
    assert caught.value.message.startswith(f"{field}: ")


async def test_a_picture_sent_again_gets_new_metadata_if_asked(parts: Parts) -> None:
    await take_in(parts, [small(1)], platform="tiktok")
    (kept,) = await take_in(parts, [small(1)], platform="youtube")
    assert isinstance(kept, Indexed)
    assert (kept.duplicate, kept.record.platform) == (True, "tiktok")
    (renewed,) = await take_in(parts, [small(1)], platform="youtube", update_metadata=True)
    assert isinstance(renewed, Indexed)
    assert (renewed.duplicate, renewed.record.platform) == (True, "youtube")
    assert (await parts.retriever.stats()).platforms == {"youtube": 1}


async def test_metadata_are_given_without_the_bytes(parts: Parts) -> None:
    await take_in(parts, [small(1)], platform="tiktok")
    (found,) = [each async for each in parts.retriever.records.pictures([sha256(small(1))], with_data=False)]
    assert found.data is None
    assert found.record is not None
    assert found.record.platform == "tiktok"


async def test_a_purge_removes_files_that_no_picture_has_and_counts_pictures_without_one(parts: Parts) -> None:
    await take_in(parts, [small(seed) for seed in range(4)])
    for seed in (7, 8):
        await parts.pictures.put(sha256(small(seed)), small(seed))
    await parts.pictures.delete([sha256(small(2))])
    assert await parts.retriever.records.purge() == (2, 1)
    assert [await parts.pictures.get(sha256(small(seed))) is None for seed in (0, 7, 8)] == [False, True, True]
    assert await parts.retriever.records.purge() == (0, 1)
    assert (await parts.retriever.stats()).images == 4


async def test_a_sweep_leaves_what_is_being_taken_in(parts: Parts) -> None:
    encoder = parts.encoders["hash/one"]
    for _ in range(20):
        encoder.may_encode.clear()
        taking = asyncio.create_task(take_in(parts, [small(5)]))
        while not encoder.waiting:
            await asyncio.sleep(0)
        sweeping = asyncio.create_task(parts.retriever.records.purge())
        encoder.may_encode.set()
        await asyncio.gather(taking, sweeping)
        assert await parts.pictures.get(sha256(small(5))) == small(5)
        await parts.retriever.records.delete([sha256(small(5))])


async def test_orphans_go_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.retrieval.retriever._FIRST_SWEEP_S", 0.0)
    async with started(tmp_path) as parts:
        await parts.pictures.put(sha256(small(7)), small(7))
        watching = asyncio.create_task(parts.retriever.watch())
        async with asyncio.timeout(10):
            while await parts.pictures.get(sha256(small(7))) is not None:
                await asyncio.sleep(0.01)
        watching.cancel()


async def test_a_picture_store_that_can_only_be_read_is_searched(tmp_path: Path) -> None:
    async with started(tmp_path) as parts:
        await take_in(parts, [small(1)])
    folders = [tmp_path / "pictures", *(path for path in (tmp_path / "pictures").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        async with started(tmp_path) as parts:
            times = [folder.stat().st_mtime_ns for folder in folders]
            assert await parts.retriever._check() is None
            # Root may write all the same, so that only this shows that nothing is tried.
            assert [folder.stat().st_mtime_ns for folder in folders] == times
            (found,) = [each async for each in parts.retriever.records.pictures([sha256(small(1))])]
            assert found.data == small(1)
    finally:
        for folder in folders:
            folder.chmod(0o755)


async def test_two_processes_on_one_server_leave_no_picture_without_bytes(tmp_path: Path) -> None:
    """Two retrievers stand for two processes: they share the server and the picture store, and no lock."""
    server = QdrantServer()
    await server.start()
    seconds = float(os.environ.get("AXIA_TEST_SHARED_SECONDS", "3"))
    files = [small(seed) for seed in range(int(os.environ.get("AXIA_TEST_SHARED_PICTURES", "20")))]
    random = np.random.default_rng()

    class Shared(Parts):
        def __init__(self, folder: Path, **settings: Any) -> None:
            super().__init__(folder, **settings)
            self.catalogue = QdrantCatalogue(QdrantOptions(url=server.url))
            self.pictures = TestPictures(tmp_path / "pictures")
            self.retriever = Retriever(self.make_encoder, self.catalogue, self.pictures, self.settings)

    async def work(parts: Parts, until: float) -> None:
        while time.monotonic() < until:
            some = [files[number] for number in random.permutation(len(files))[: len(files) // 2]]
            match int(random.integers(5)):
                case 0 | 1:
                    await parts.retriever.records.delete([sha256(data) for data in some])
                case 2:
                    await parts.retriever.records.purge()
                case _:
                    await take_in(parts, some)

    both = [Shared(tmp_path / name) for name in ("one", "two")]
    for parts in both:
        await parts.retriever.start()
    until = time.monotonic() + seconds
    await asyncio.gather(*(work(parts, until) for parts in both for _ in range(2)))
    there = await listed(both[0], Filter(), 100)
    assert [picture for picture in there if await both[0].pictures.get(picture) is None] == []
    await take_in(both[0], files)
    assert (await both[1].retriever.records.purge()).without_bytes == 0
    for parts in both:
        await parts.retriever.close()
    await server.stop()


# Pictures that look alike, and texts that the encoder doesn't know.


async def test_of_pictures_that_look_alike_the_nearest_is_found(parts: Parts) -> None:
    pictures = [photograph(seed, (160, 120), "PNG") for seed in range(5)]
    upright = Image.open(io.BytesIO(pictures[0]))
    for alike in (ImageOps.mirror(upright), upright.resize((120, 90))):
        buffer = io.BytesIO()
        alike.save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    for colour in ("white", "black", "red"):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    await take_in(parts, pictures)
    everything = (await parts.retriever.search.by_text("x", Wanted(k=10))).hits
    assert len(everything) == 10
    group = {sha256(pictures[number]) for number in (0, 5, 6)}
    first = next(hit for hit in everything if hit.record.id in group)
    wanted = [hit for hit in everything if hit.record.id not in group or hit is first]
    assert (await parts.retriever.search.by_text("x", Wanted(k=10, distinct=True))).hits == wanted
    hits, token = [], ""
    while len(hits) < 8:
        page = await parts.retriever.search.by_text("x", Wanted(k=3, distinct=True, page_token=token))
        hits, token = hits + page.hits, page.next_page_token
    assert (hits, token) == (wanted, "")


async def test_a_text_of_another_script_comes_with_a_warning(parts: Parts) -> None:
    for text in ("a beach", "café", "5k", "Überraschung"):
        assert (await parts.retriever.search.by_text(text, Wanted())).provenance.warnings == ()
    for text, script in (("海滩", "Cjk"), ("пляж", "Cyrillic"), ("a пляж", "Cyrillic"), ("شاطئ", "Arabic")):
        (warning,) = (await parts.retriever.search.by_text(text, Wanted())).provenance.warnings
        assert script in warning
        assert "multilingual" in warning
