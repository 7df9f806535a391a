"""Indexing everything with another encoder while the service continues."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.retrieval.embedded.database import FILE
from services.retrieval.embedded.rows import read_state, reader
from services.retrieval.encoder.openclip import DEMO_ENCODER, OpenClipEncoder
from services.retrieval.index import Entry
from services.retrieval.reindex import Reindex, ReindexState, parse_spec
from services.retrieval.search import Wanted
from services.serving.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from tests.support.retrieval import Parts, sha256, small, started, take_in

TWO = "hash/two"


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with started(tmp_path) as made:
        await take_in(made, [small(seed) for seed in range(50)], platform="tiktok")
        yield made


async def ended(parts: Parts, job: Reindex) -> Reindex:
    async with asyncio.timeout(30):
        while (state := parts.retriever.reindexer.get(job.id)).state is ReindexState.RUNNING:
            await asyncio.sleep(0.005)
    return state


async def encoding(parts: Parts) -> None:
    """Waits until the new encoder is asked for pictures, which it withholds."""
    async with asyncio.timeout(30):
        while not parts.encoders[TWO].waiting:
            await asyncio.sleep(0.005)


def withhold(parts: Parts) -> None:
    parts.make_encoder(TWO).may_encode.clear()


def indexes(parts: Parts) -> int:
    """How many encoders the database holds pictures of."""
    path = parts.settings.data / "index" / FILE
    with contextlib.closing(reader(path)) as connection:
        return len(read_state(connection, path)[2])


async def finds(parts: Parts, data: bytes) -> bool:
    """Whether a picture is found as itself, which needs its own encoder's vector and that encoder's query."""
    page = await parts.retriever.search.by_text(sha256(data), Wanted(k=1))
    return bool(page.hits) and page.hits[0].record.id == sha256(data) and page.hits[0].score > 0.999


async def test_searches_use_the_new_encoder_when_it_is_done(parts: Parts) -> None:
    job = parts.retriever.reindexer.start(TWO)
    assert (job.state, job.encoder.dimension, job.total) == (ReindexState.RUNNING, 0, 50)
    done = await ended(parts, job)
    assert (done.state, done.done, done.total, done.error) == (ReindexState.SUCCEEDED, 50, 50, "")
    assert done.encoder == parts.retriever.encoder == parts.encoders[TWO].id
    assert await parts.catalogue.current() == done.encoder
    assert parts.retriever.reindexer.get("") == done
    stats = await parts.retriever.stats()
    assert (stats.images, stats.platforms) == (50, {"tiktok": 50})
    for seed in range(50):
        assert await finds(parts, small(seed))
    assert parts.encoders["hash/one"].closed == 1
    assert indexes(parts) == 1


class ClipNext(Parts):
    """Its next encoder is a real one, which refuses what does not fit into its queue."""

    def make_encoder(self, spec: str) -> Any:
        if spec != DEMO_ENCODER:
            return super().make_encoder(spec)
        return OpenClipEncoder(spec, dtype="float32", threads=1, max_queue=self.settings.encode_queue)


async def test_a_re_index_keeps_within_a_queue_that_is_shorter_than_its_batch(tmp_path: Path) -> None:
    parts = ClipNext(tmp_path, encode_queue=3, max_ingesting=3)
    try:
        await parts.retriever.start()
        await take_in(parts, [small(seed) for seed in range(10)])
        job = parts.retriever.reindexer.start(DEMO_ENCODER)
        with parts.retriever._spaces.borrow():  # as a long search does: the re-index comes second
            async with asyncio.timeout(30):
                while not parts.retriever.reindexer.get(job.id).done:
                    await asyncio.sleep(0.005)
            await take_in(parts, [small(seed) for seed in range(10, 15)])
        done = await ended(parts, job)
        assert (done.state, done.error) == (ReindexState.SUCCEEDED, "")
        assert (await parts.retriever.stats()).images == 15
    finally:
        await parts.retriever.close()


async def test_nothing_keeps_what_was_replaced_in_memory(parts: Parts) -> None:
    await parts.retriever.search.by_text("beach", Wanted(k=1))
    old = weakref.ref(parts.retriever._spaces.current)
    index = weakref.ref(parts.retriever._spaces.current.index)
    assert (await ended(parts, parts.retriever.reindexer.start(TWO))).state is ReindexState.SUCCEEDED
    gc.collect()
    assert old() is None
    assert index() is None


async def test_no_search_fails_or_mixes_encoders_during_a_switch(parts: Parts) -> None:
    seen: set[str] = set()
    stop = asyncio.Event()

    async def search(seed: int) -> None:
        while not stop.is_set():
            page = await parts.retriever.search.by_text(sha256(small(seed)), Wanted(k=1))
            assert page.hits[0].record.id == sha256(small(seed))
            assert page.hits[0].score > 0.999
            assert page.provenance.images == 50
            seen.add(page.provenance.encoder.name)
            await asyncio.sleep(0)

    searches = [asyncio.create_task(search(seed)) for seed in range(4)]
    await ended(parts, parts.retriever.reindexer.start(TWO))
    async with asyncio.timeout(30):
        while len(seen) < 2:
            await asyncio.sleep(0.005)
    stop.set()
    await asyncio.gather(*searches)
    assert seen == {"one", "two"}


async def test_pictures_added_and_deleted_meanwhile_are_right_in_the_new_index(parts: Parts) -> None:
    withhold(parts)
    job = parts.retriever.reindexer.start(TWO)
    await encoding(parts)
    await take_in(parts, [small(seed) for seed in range(50, 120)])
    await parts.retriever.records.delete([sha256(small(seed)) for seed in (0, 49, 50)])
    await parts.retriever.records.delete([sha256(small(1))])
    await take_in(parts, [small(1)], platform="again")
    parts.encoders[TWO].may_encode.set()
    job = await ended(parts, job)
    assert (job.state, job.done, job.total) == (ReindexState.SUCCEEDED, 117, 117)
    stats = await parts.retriever.stats()
    assert (stats.images, stats.platforms) == (117, {"tiktok": 47, "again": 1, "": 69})
    for seed in range(120):
        assert await finds(parts, small(seed)) == (seed not in {0, 49, 50})


async def test_pictures_deleted_meanwhile_do_not_count_as_done(parts: Parts) -> None:
    withhold(parts)
    job = parts.retriever.reindexer.start(TWO)
    await encoding(parts)
    await parts.retriever.records.delete([sha256(small(seed)) for seed in range(3)])
    parts.encoders[TWO].may_encode.set()
    job = await ended(parts, job)
    assert (job.state, job.done, job.total) == (ReindexState.SUCCEEDED, 47, 47)


async def test_an_ingest_goes_on_through_the_switch(parts: Parts) -> None:
    taking = asyncio.create_task(take_in(parts, [small(seed) for seed in range(50, 250)]))
    assert (await ended(parts, parts.retriever.reindexer.start(TWO))).state is ReindexState.SUCCEEDED
    assert len(await taking) == 200
    assert (await parts.retriever.stats()).images == 250
    for seed in range(250):
        assert await finds(parts, small(seed))


async def test_a_picture_encoded_before_the_switch_is_encoded_again_after_it(parts: Parts) -> None:
    withhold(parts)
    job = parts.retriever.reindexer.start(TWO)
    await encoding(parts)
    parts.encoders["hash/one"].may_encode.clear()
    taking = asyncio.create_task(take_in(parts, [small(77)]))
    async with asyncio.timeout(30):
        while not parts.encoders["hash/one"].waiting:
            await asyncio.sleep(0.005)
    parts.encoders[TWO].may_encode.set()
    async with asyncio.timeout(30):
        while parts.retriever.encoder.name != "two":
            await asyncio.sleep(0.005)
    parts.encoders["hash/one"].may_encode.set()
    await taking
    assert (await ended(parts, job)).state is ReindexState.SUCCEEDED
    assert await finds(parts, small(77))


async def test_only_one_runs_at_a_time(parts: Parts) -> None:
    withhold(parts)
    job = parts.retriever.reindexer.start(TWO)
    with pytest.raises(FailedPrecondition) as caught:
        parts.retriever.reindexer.start("hash/three")
    assert caught.value.reason == "REINDEX_RUNNING"
    parts.encoders[TWO].may_encode.set()
    await ended(parts, job)
    assert (await ended(parts, parts.retriever.reindexer.start("hash/one"))).state is ReindexState.SUCCEEDED
    assert await finds(parts, small(3))


@pytest.mark.parametrize("fails", [False, True])
async def test_the_moment_one_is_said_to_have_ended_another_can_be_started(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    reindexer = parts.retriever.reindexer
    remember = reindexer.remember
    again: list[Reindex] = []

    def start_again(job: Reindex) -> None:
        remember(job)
        if job.state is not ReindexState.RUNNING and not again:
            again.append(reindexer.start("hash/three"))

    monkeypatch.setattr(reindexer, "remember", start_again)
    if fails:
        parts.make_encoder(TWO).fails_to_start = FailedPrecondition("there is no such model", reason="NO_MODEL")
    job = await ended(parts, reindexer.start(TWO))
    assert job.state is (ReindexState.FAILED if fails else ReindexState.SUCCEEDED)
    assert (await ended(parts, again[0])).state is ReindexState.SUCCEEDED
    assert not reindexer.running
    assert await finds(parts, small(3))


async def test_what_fails_while_it_is_cleaned_up_does_not_leave_it_running(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = parts.make_encoder(TWO)
    encoder.fails_to_start = FailedPrecondition("there is no such model", reason="NO_MODEL")

    async def break_down() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(encoder, "close", break_down)
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.error) == (ReindexState.FAILED, "the server failed; its log has the details")
    assert (await ended(parts, parts.retriever.reindexer.start("hash/three"))).state is ReindexState.SUCCEEDED


async def test_a_switch_holds_though_the_old_encoder_can_not_be_closed(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(parts.encoders["hash/one"], "close", break_down)
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.error) == (ReindexState.SUCCEEDED, "")
    assert parts.retriever.encoder.name == "two"


async def test_an_encoder_that_can_not_be_loaded_leaves_the_old_one(parts: Parts) -> None:
    parts.make_encoder(TWO).fails_to_start = FailedPrecondition("there is no such model", reason="NO_MODEL")
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.error) == (ReindexState.FAILED, "there is no such model")
    assert await finds(parts, small(3))


async def test_the_encoder_in_use_is_not_indexed_again(parts: Parts) -> None:
    job = await ended(parts, parts.retriever.reindexer.start("other-name-of/one"))
    assert job.state is ReindexState.FAILED
    assert "already" in job.error
    assert await finds(parts, small(3))


async def test_a_full_disk_leaves_the_old_index_and_nothing_of_the_new(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = parts.catalogue.open

    async def full(entries: Sequence[Entry]) -> list[bool]:
        raise ResourceExhausted("the disk is full", reason="INDEX_FULL")

    async def open_full(encoder: object) -> object:
        index = await opened(encoder)  # type: ignore[arg-type]
        monkeypatch.setattr(index, "add", full)
        return index

    monkeypatch.setattr(parts.catalogue, "open", open_full)
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.error) == (ReindexState.FAILED, "the disk is full")
    async with asyncio.timeout(30):
        while indexes(parts) > 1 or parts.retriever.reindexer.running:
            await asyncio.sleep(0.005)
    assert await finds(parts, small(3))
    monkeypatch.undo()
    assert (await ended(parts, parts.retriever.reindexer.start(TWO))).state is ReindexState.SUCCEEDED


def stored(parts: Parts, data: bytes) -> Path:
    (path,) = (parts.settings.data / "pictures").rglob(sha256(data))
    return path


def final_words(caplog: pytest.LogCaptureFixture) -> str:
    (told,) = (record.message for record in caplog.records if "is done" in record.message)
    return told


async def test_a_lost_picture_is_left_out_and_does_not_stop_the_others(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await take_in(parts, [small(seed) for seed in range(50, 100)])
    await parts.pictures.delete([sha256(small(7))])
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.done, job.total) == (ReindexState.SUCCEEDED, 99, 100)
    assert (await parts.retriever.stats()).images == 99
    assert sha256(small(7)) in caplog.text
    assert "images left out: 1" in final_words(caplog)


async def test_an_unreadable_picture_is_left_out_and_does_not_stop_the_others(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await take_in(parts, [small(seed) for seed in range(50, 100)])
    stored(parts, small(7)).write_bytes(b"overwritten")
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.done, job.total) == (ReindexState.SUCCEEDED, 99, 100)
    assert "images left out: 1" in final_words(caplog)


async def test_another_picture_folder_fails_a_re_index_and_leaves_the_old_index(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = parts.settings.data / "pictures"
    kept = pictures.rename(parts.settings.data / "elsewhere")
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.done, job.total) == (ReindexState.FAILED, 0, 50)
    told = f"32 of the 32 images read so far (50 in all) are not in the image store {pictures}: set "
    assert job.error.startswith(f"{told}AXIA_RETRIEVAL_PICTURES to the store with the images")
    assert [record.reason for record in caplog.records if hasattr(record, "reason")] == ["PICTURES_LOST"]
    assert (await parts.retriever.stats()).images == 50
    assert await parts.catalogue.current() == parts.encoders["hash/one"].id
    assert await finds(parts, small(3))
    kept.rename(pictures)
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert (job.state, job.done) == (ReindexState.SUCCEEDED, 50)


async def test_more_than_one_percent_of_lost_or_unreadable_pictures_fail_a_re_index(parts: Parts) -> None:
    await take_in(parts, [small(seed) for seed in range(50, 150)])
    await parts.pictures.delete([sha256(small(7))])
    stored(parts, small(149)).write_bytes(b"overwritten")
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert job.state is ReindexState.FAILED
    assert "1 of the 150 images read so far (150 in all) are not in the image store" in job.error
    assert "1 of the 150 images read so far (150 in all) can't be read (1 IMAGE_UNREADABLE)" in job.error
    # Those that can't be restored are deleted, as the message says.
    await parts.retriever.records.delete([sha256(small(7)), sha256(small(149))])
    assert (await ended(parts, parts.retriever.reindexer.start(TWO))).state is ReindexState.SUCCEEDED


async def test_unreadable_pictures_alone_are_told_as_such(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    stored(parts, small(7)).write_bytes(b"overwritten")
    job = await ended(parts, parts.retriever.reindexer.start(TWO))
    assert job.state is ReindexState.FAILED
    assert "are not in the image store" not in job.error
    assert [record.reason for record in caplog.records if hasattr(record, "reason")] == ["PICTURES_UNREADABLE"]


async def test_a_lost_picture_that_is_sent_again_meanwhile_is_not_left_out(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await take_in(parts, [small(seed) for seed in range(50, 100)])
    await parts.pictures.delete([sha256(small(7))])
    withhold(parts)
    job = parts.retriever.reindexer.start(TWO)
    await encoding(parts)  # the first batch, without the lost one
    await parts.retriever.records.delete([sha256(small(7))])
    await take_in(parts, [small(7)])
    parts.encoders[TWO].may_encode.set()
    assert (await ended(parts, job)).state is ReindexState.SUCCEEDED
    assert await finds(parts, small(7))
    assert "images left out: 0" in final_words(caplog)


async def test_the_new_encoder_is_used_after_a_restart_with_the_old_setting(parts: Parts) -> None:
    await ended(parts, parts.retriever.reindexer.start(TWO))
    await parts.retriever.close()
    for setting in ("hash/one", TWO):
        async with started(parts.settings.data, encoder=setting) as again:
            assert again.retriever.encoder.name == "two"
            assert await finds(again, small(3))
    async with started(parts.settings.data, encoder=TWO) as again:
        assert again.retriever.encoder.name == "two"
    # The operator has followed: now the old setting is a change.
    with pytest.raises(FailedPrecondition) as caught:
        async with started(parts.settings.data, encoder="hash/one"):
            pass
    assert caught.value.reason == "ENCODER_CHANGED"


async def test_what_was_interrupted_is_cleaned_up_at_the_next_start(parts: Parts) -> None:
    withhold(parts)
    job = parts.retriever.reindexer.start(TWO)
    await encoding(parts)
    assert indexes(parts) == 2
    await parts.retriever.close()
    async with started(parts.settings.data) as again:
        assert again.retriever.encoder.name == "one"
        assert await finds(again, small(3))
        assert indexes(parts) == 1
        known = again.retriever.reindexer.get(job.id)
        assert known.state is ReindexState.FAILED
        assert "stopped" in known.error
        assert (await ended(again, again.retriever.reindexer.start(TWO))).state is ReindexState.SUCCEEDED


async def test_a_switch_that_was_not_written_down_is_found_at_the_next_start(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = parts.retriever.reindexer.start(TWO)
    states = parts.retriever._states
    write = states.write

    def first_only(state: object) -> None:
        if getattr(state, "building", None) is None:
            raise ResourceExhausted("the disk is full", reason="STATE_NOT_WRITTEN")
        write(state)  # type: ignore[arg-type]

    monkeypatch.setattr(states, "write", first_only)
    assert (await ended(parts, job)).state is ReindexState.SUCCEEDED
    await parts.retriever.close()
    async with started(parts.settings.data) as again:
        assert again.retriever.encoder.name == "two"
        assert again.retriever.reindexer.get(job.id).state is ReindexState.SUCCEEDED
        assert await finds(again, small(3))
        assert indexes(parts) == 1


async def test_an_unknown_re_index_is_not_found(parts: Parts) -> None:
    for job_id in ("", "nobody"):
        with pytest.raises(NotFound):
            parts.retriever.reindexer.get(job_id)


@pytest.mark.parametrize(
    "spec", ["", "ViT-B-32", "/openai", "ViT-B-32/", "local-dir:", "local-dir:/", "a/b\n", "x/" + "y" * 1024]
)
def test_what_names_no_encoder_is_refused(spec: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_spec(spec)
    assert caught.value.violations[0].field == "encoder"


@pytest.mark.parametrize(
    ("spec", "name", "revision"),
    [("ViT-B-32/openai", "ViT-B-32", "openai"), ("local-dir:/srv/models/clip/", "clip", "")],
)
def test_the_name_is_known_before_the_encoder_is_loaded(spec: str, name: str, revision: str) -> None:
    assert (parse_spec(spec).name, parse_spec(spec).revision) == (name, revision)
