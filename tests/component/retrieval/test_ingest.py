"""Taking pictures in: order, duplicates, refusals, windows, failures, callers that leave."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from services.retrieval.ingest import Acknowledgement, Incoming, Indexed, Rejected
from services.serving.errors import InvalidArgument, ResourceExhausted, Unavailable
from tests.support.retrieval import Parts, sha256, small, started, stream, take_in


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with started(tmp_path, ingest_window=4, max_ingesting=8) as made:
        yield made


async def collect(ingest: AsyncIterator[Acknowledgement], into: list[Acknowledgement]) -> None:
    async for ack in ingest:
        into.append(ack)


async def eventually(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def test_pictures_are_acknowledged_in_order_and_are_found(parts: Parts) -> None:
    files = [small(seed) for seed in range(20)]
    acknowledgements = await take_in(parts, files, platform="tiktok", source="feed", capture_time=12.5)
    assert [ack.tag for ack in acknowledgements] == list(range(20))
    for ack, data in zip(acknowledgements, files, strict=True):
        assert isinstance(ack, Indexed)
        assert not ack.duplicate
        assert ack.record.id == sha256(data)
        assert (ack.record.format, ack.record.width, ack.record.height) == ("PNG", 16, 16)
        assert (ack.record.platform, ack.record.source, ack.record.capture_time) == ("tiktok", "feed", 12.5)
        assert len(ack.record.perceptual_hash) == 16
        assert await parts.pictures.get(ack.record.id) == data
    assert (await parts.retriever.stats()).images == 20


async def test_a_picture_twice_in_a_stream_is_stored_once_and_acknowledged_twice(parts: Parts) -> None:
    acknowledgements = await take_in(parts, [small(1), small(1), small(2), small(1)])
    assert [ack.duplicate for ack in acknowledgements if isinstance(ack, Indexed)] == [False, True, False, True]
    assert (await parts.retriever.stats()).images == 2
    assert parts.encoders["hash/one"].pictures_encoded == 2


async def test_a_picture_in_two_streams_at_once_is_stored_once(parts: Parts) -> None:
    files = [small(seed) for seed in range(10)]
    both = await asyncio.gather(take_in(parts, files), take_in(parts, files))
    new = [ack for acknowledgements in both for ack in acknowledgements if isinstance(ack, Indexed)]
    assert sum(not ack.duplicate for ack in new) == 10
    assert parts.encoders["hash/one"].pictures_encoded == 10


async def test_what_is_there_keeps_its_metadata_and_is_not_encoded_again(parts: Parts) -> None:
    await take_in(parts, [small(1)], platform="tiktok", source="first")
    (again,) = await take_in(parts, [small(1)], platform="youtube", source="second")
    assert isinstance(again, Indexed)
    assert again.duplicate
    assert (again.record.platform, again.record.source) == ("tiktok", "first")
    assert parts.encoders["hash/one"].pictures_encoded == 1


async def test_refused_pictures_do_not_end_the_stream(parts: Parts) -> None:
    incoming = [
        Incoming(0, small(0)),
        Incoming(1, b"no image"),
        Incoming(2, b""),
        Incoming(3, small(3)[:90]),
        Incoming(4, small(4), platform="Tik Tok"),
        Incoming(5, small(5), source="x" * 1025),
        Incoming(6, small(6), fault=InvalidArgument("metadata.capture_time", "is not a time", reason="TIME")),
        Incoming(7, small(7)),
    ]
    acknowledgements = [ack async for ack in parts.retriever.ingestor.ingest(stream(incoming))]
    assert [ack.tag for ack in acknowledgements] == list(range(8))
    reasons = [ack.reason for ack in acknowledgements if isinstance(ack, Rejected)]
    assert reasons == ["IMAGE_UNREADABLE", "IMAGE_EMPTY", "IMAGE_DAMAGED", "PLATFORM", "TEXT_TOO_LONG", "TIME"]
    assert isinstance(acknowledgements[0], Indexed)
    assert isinstance(acknowledgements[7], Indexed)
    assert (await parts.retriever.stats()).images == 2


async def test_a_stream_without_pictures_ends(parts: Parts) -> None:
    assert await take_in(parts, []) == []


class Counted:
    """An endless stream that counts what was taken from it."""

    def __init__(self) -> None:
        self.taken = 0

    async def pictures(self) -> AsyncGenerator[Incoming, None]:
        while True:
            self.taken += 1
            yield Incoming(self.taken, small(self.taken))


async def test_no_more_is_read_than_the_window_while_nobody_takes_acknowledgements(parts: Parts) -> None:
    source = Counted()
    async with aclosing(parts.retriever.ingestor.ingest(source.pictures())) as acknowledgements:
        await anext(acknowledgements)
        stats = parts.retriever.stats
        await eventually(lambda: source.taken == 4)
        async with asyncio.timeout(20):
            while (await stats()).images < 4:
                await asyncio.sleep(0.005)
        assert source.taken == 4
        await anext(acknowledgements)
        await anext(acknowledgements)
        await eventually(lambda: source.taken == 6)


async def test_streams_together_have_no_more_under_way_than_the_bound(parts: Parts) -> None:
    encoder = parts.encoders["hash/one"]
    encoder.may_encode.clear()
    tasks = [asyncio.create_task(take_in(parts, [small(10 * n + i) for i in range(4)])) for n in range(4)]
    await eventually(lambda: encoder.waiting == 8)
    await asyncio.sleep(0.05)
    assert encoder.waiting == 8
    encoder.may_encode.set()
    assert all(isinstance(ack, Indexed) for acknowledged in await asyncio.gather(*tasks) for ack in acknowledged)


async def test_a_caller_that_leaves_stops_the_work(parts: Parts) -> None:
    encoder = parts.encoders["hash/one"]
    encoder.may_encode.clear()
    source = Counted()
    acknowledgements = parts.retriever.ingestor.ingest(source.pictures())
    waiting = asyncio.create_task(anext(acknowledgements))
    await eventually(lambda: encoder.waiting == 4)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await acknowledgements.aclose()
    assert encoder.waiting == 0
    encoder.may_encode.set()
    # Every place is free again.
    assert len(await take_in(parts, [small(seed) for seed in range(9)])) == 9


@pytest.mark.parametrize("error", [ResourceExhausted("full", reason="FULL"), Unavailable("gone", reason="GONE")])
async def test_a_store_that_fails_ends_the_stream_after_what_was_acknowledged(
    parts: Parts, error: ResourceExhausted | Unavailable
) -> None:
    async def pictures() -> AsyncGenerator[Incoming, None]:
        for tag in range(100):
            if tag == 3:
                parts.pictures.failure = error
            yield Incoming(tag, small(tag))

    acknowledged: list[Acknowledgement] = []
    with pytest.raises(type(error)) as caught:
        await collect(parts.retriever.ingestor.ingest(pictures()), acknowledged)
    assert caught.value is error
    parts.pictures.failure = None
    assert [ack.tag for ack in acknowledged] == list(range(len(acknowledged)))
    assert len(acknowledged) <= 3
    for ack in acknowledged:
        assert isinstance(ack, Indexed)
        assert await parts.pictures.get(ack.record.id) is not None
    again = await take_in(parts, [small(tag) for tag in range(10)])
    assert all(isinstance(ack, Indexed) for ack in again)
    assert (await parts.retriever.stats()).images == 10


async def test_a_stream_that_breaks_off_is_an_error_after_what_had_come(parts: Parts) -> None:
    async def pictures() -> AsyncGenerator[Incoming, None]:
        yield Incoming(0, small(0))
        raise ConnectionError("broken")

    acknowledged: list[Acknowledgement] = []
    with pytest.raises(ConnectionError):
        await collect(parts.retriever.ingestor.ingest(pictures()), acknowledged)
    assert [ack.tag for ack in acknowledged] == [0]


async def test_a_deletion_of_a_picture_that_is_being_taken_in_comes_after_it(parts: Parts) -> None:
    encoder = parts.encoders["hash/one"]
    encoder.may_encode.clear()
    taking = asyncio.create_task(take_in(parts, [small(1)]))
    await eventually(lambda: encoder.waiting == 1)
    deleting = asyncio.create_task(parts.retriever.records.delete([sha256(small(1)), sha256(small(2))]))
    await asyncio.sleep(0.01)
    assert not deleting.done()
    encoder.may_encode.set()
    assert len(await taking) == 1
    assert await deleting == (1, 1)
    assert (await parts.retriever.stats()).images == 0
    assert await parts.pictures.get(sha256(small(1))) is None
