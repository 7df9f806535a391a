"""Every vector index does the same: Qdrant Edge in the process, flat or built, and a Qdrant server over gRPC.

The server is a small one on qdrant-client's local mode; AXIA_TEST_QDRANT_URL (and AXIA_TEST_QDRANT_API_KEY) names a
real one that the same tests run against.
"""

import asyncio
import dataclasses
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.index import (
    EncoderId,
    Entry,
    Filter,
    IndexCatalogue,
    PictureRecord,
    Place,
    Query,
    VectorIndex,
)
from services.retrieval.qdrant.catalogue import QdrantCatalogue, QdrantOptions
from services.serving.deadlines import answering_within
from services.serving.errors import FailedPrecondition, ResourceExhausted, Unavailable
from tests.support.qdrant_server import QdrantServer
from tests.support.vectors import DIMENSION, directions, entries, exact, passes, picture_id, record

Reopen = Callable[[], Awaitable[IndexCatalogue]]

ENCODER = EncoderId("ViT-B-32", "laion2b_s34b_b79k", DIMENSION)
OTHER = EncoderId("my clip/ü", "sha256:0123456789ab", DIMENSION)
ALL = entries(240)
REAL_SERVER = os.environ.get("AXIA_TEST_QDRANT_URL", "")
STORES = ("edge-flat", "edge-built", "qdrant", *(["qdrant-real"] if REAL_SERVER else []))


@pytest.fixture(params=STORES)
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reopen]:
    """Opens the catalogue of one store; called again, opens it anew with what it held."""
    opened: list[IndexCatalogue] = []
    server = QdrantServer()
    if request.param == "qdrant":
        await server.start()
    prefix = f"test-{uuid.uuid4().hex[:8]}"

    async def start() -> IndexCatalogue:
        if opened:
            await opened.pop().close()
        if request.param.startswith("edge"):
            threshold = 50 if request.param == "edge-built" else 10_000
            opened.append(EmbeddedCatalogue(tmp_path / "index", build_threshold=threshold))
        else:
            url = server.url if request.param == "qdrant" else REAL_SERVER
            api_key = "" if request.param == "qdrant" else os.environ.get("AXIA_TEST_QDRANT_API_KEY", "")
            opened.append(QdrantCatalogue(QdrantOptions(url=url, api_key=api_key, prefix=prefix)))
        return opened[0]

    yield start
    if request.param == "qdrant-real":
        from qdrant_client import models

        real = opened[0]._client  # type: ignore[attr-defined]  # only tests delete what is current
        alias = models.DeleteAlias(alias_name=f"{prefix}~current")
        await real.update_collection_aliases([models.DeleteAliasOperation(delete_alias=alias)])
        for collection in (await real.get_collections()).collections:
            if collection.name.startswith(prefix):
                await real.delete_collection(collection.name)
    for catalogue in opened:
        await catalogue.close()
    await server.stop()


@pytest.fixture
async def index(reopen: Reopen) -> AsyncIterator[VectorIndex]:
    opened = await (await reopen()).open(ENCODER)
    yield opened
    await opened.close()


async def settled(index: VectorIndex) -> VectorIndex:
    """Waits until no index is being built."""
    deadline = time.monotonic() + 60
    while (await index.stats()).building:
        assert time.monotonic() < deadline, "the index is still being built"
        await asyncio.sleep(0.02)
    return index


async def fill(index: VectorIndex) -> VectorIndex:
    for start in range(0, len(ALL), 40):
        assert all(await index.add(ALL[start : start + 40]))
    return await settled(index)


async def agree(index: VectorIndex, query: Query, there: list[Entry]) -> None:
    found, wanted = await index.search(query), exact(query, there)
    assert [hit.record for hit in found] == [hit.record for hit in wanted]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted], abs=1e-3)


async def test_the_nearest_are_found_in_order_with_their_records_and_scores(index: VectorIndex) -> None:
    await fill(index)
    for query in (Query(vector, k=12) for vector in directions(10, seed=7)):
        found, wanted = await index.search(query), exact(query, ALL)
        assert [hit.record for hit in found] == [hit.record for hit in wanted]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted], abs=1e-3)


FILTERS = {
    "a platform": Filter(platforms=("tiktok",)),
    "one of two platforms": Filter(platforms=("tiktok", "youtube")),
    "no platform": Filter(platforms=("",)),
    "a source": Filter(sources=("search",)),
    "from a time on": Filter(captured_from=1_700_000_101.0),
    "before a time": Filter(captured_before=1_700_000_101.0),
    "everything together": Filter(("instagram",), ("search",), 1_700_000_011.0, 1_700_000_201.0),
    "nothing": Filter(platforms=("unheard of",)),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_filters_let_the_same_pictures_pass(index: VectorIndex, name: str) -> None:
    await fill(index)
    for vector in directions(3, seed=8):
        query = Query(vector, k=7, filter=FILTERS[name])
        assert len(exact(query, ALL)) == (0 if name == "nothing" else 7)
        await agree(index, query, ALL)


async def test_no_hit_scores_under_the_threshold(index: VectorIndex) -> None:
    await fill(index)
    vector = directions(1, seed=9)[0]
    left = len(ALL) + 1
    for threshold in (-1.0, 0.2, 0.5, 0.99):
        query = Query(vector, k=500, score_threshold=threshold)
        assert len(exact(query, ALL)) < left
        left = len(exact(query, ALL))
        await agree(index, query, ALL)


async def test_more_hits_begin_with_the_same(index: VectorIndex) -> None:
    await fill(index)
    vector = directions(1, seed=10)[0]
    nearest = [hit.record for hit in exact(Query(vector, k=300), ALL)]
    for k in range(30, 301, 30):
        assert [hit.record for hit in await index.search(Query(vector, k))] == nearest[:k]


async def test_equals_come_by_id_even_where_the_hits_end_among_them(index: VectorIndex) -> None:
    same = [Entry(record(number), ALL[0].vector) for number in range(1_000, 1_060)]
    await index.add(same[:55])
    await settled(index)
    await index.add(same[55:])
    nearest = sorted(entry.record.id for entry in same)
    for k in (20, 40, 60):
        assert [hit.record.id for hit in await index.search(Query(same[0].vector, k))] == nearest[:k]


async def test_a_picture_added_again_changes_nothing(index: VectorIndex) -> None:
    await fill(index)
    changed = Entry(record(1_000_003), ALL[3].vector)._replace(record=ALL[3].record)
    assert await index.add([changed, ALL[200], *entries(1, first=500), *entries(1, first=500)]) == [
        False,
        False,
        True,
        False,
    ]
    assert (await index.stats()).images == len(ALL) + 1
    assert await index.get([ALL[3].record.id]) == [ALL[3].record]


async def test_hits_go_on_behind_a_place(index: VectorIndex) -> None:
    await index.add([Entry(record(number), ALL[0].vector) for number in range(1_000, 1_020)])
    await fill(index)
    query = Query(ALL[0].vector, k=100, filter=Filter(platforms=("tiktok", "youtube", "")), score_threshold=0.0)
    hits = await index.search(query)
    assert len(hits) == 100
    for begin, size in ((1, 5), (7, 5), (15, 30), (60, 40)):  # some of them among equals
        last = hits[begin - 1]
        after = Place(begin, last.score, last.record.id)
        assert await index.search(dataclasses.replace(query, k=size, after=after)) == hits[begin : begin + size]


@pytest.mark.parametrize("name", FILTERS)
async def test_records_that_pass_a_filter_come_in_pages(index: VectorIndex, name: str) -> None:
    await fill(index)
    wanted = [entry.record for entry in ALL if passes(Query(ALL[0].vector, 1, FILTERS[name]), entry.record)]
    found: list[PictureRecord] = []
    after, pages = "", 0
    while pages == 0 or after:
        page, after = await index.page(FILTERS[name], after, 7)
        assert len(page) <= 7
        found += page
        pages += 1
    assert sorted(found, key=lambda each: each.id) == sorted(wanted, key=lambda each: each.id)
    assert pages >= -(-len(wanted) // 7)


async def test_records_are_replaced_and_found_by_what_is_new(reopen: Reopen) -> None:
    catalogue = await reopen()
    index = await fill(await catalogue.open(ENCODER))
    changed = [dataclasses.replace(entry.record, source="elsewhere", capture_time=None) for entry in ALL[10:60:10]]
    missing = record(9_999)
    assert await index.update([*changed, missing]) == 5
    assert await index.get([each.id for each in changed]) == changed
    assert await index.get([missing.id]) == [None]
    for _ in range(2):
        there = [Entry(each, entry.vector) for each, entry in zip(changed, ALL[10:60:10], strict=True)]
        await agree(index, Query(ALL[20].vector, 10, Filter(sources=("elsewhere",))), there)
        others = [entry for entry in ALL if entry not in ALL[10:60:10]]
        await agree(index, Query(ALL[20].vector, 50, Filter(sources=("feed",))), others)
        assert (await index.stats()).images == len(ALL)
        catalogue = await reopen()
        index = await catalogue.open(ENCODER)


async def test_a_purge_leaves_what_was_not_deleted(index: VectorIndex) -> None:
    await fill(index)
    await index.purge()
    await index.delete([entry.record.id for entry in ALL[:100]])
    await index.purge()
    await agree(index, Query(ALL[0].vector, k=20), ALL[100:])
    assert (await index.stats()).images == len(ALL) - 100
    assert await index.add(ALL[:1]) == [True]


async def test_records_and_vectors_are_given_by_id(index: VectorIndex) -> None:
    await fill(index)
    ids = [ALL[230].record.id, picture_id(999_999), ALL[2].record.id, "no id at all", ALL[2].record.id]
    assert await index.get(ids) == [ALL[230].record, None, ALL[2].record, None, ALL[2].record]
    vectors = await index.vectors(ids)
    assert [vector is None for vector in vectors] == [False, True, False, True, False]
    np.testing.assert_allclose(vectors[0], ALL[230].vector, atol=1e-6)
    assert await index.get([]) == []
    assert await index.vectors([]) == []
    assert await index.add([]) == []


async def test_every_record_is_listed_once(index: VectorIndex) -> None:
    await fill(index)
    listed = [found async for found in index.records()]
    assert sorted(found.id for found in listed) == sorted(entry.record.id for entry in ALL)
    assert ALL[100].record in listed


async def test_deleted_pictures_are_gone_and_can_come_back(index: VectorIndex, reopen: Reopen) -> None:
    await fill(index)
    gone = [entry.record.id for entry in ALL[::3]]
    assert await index.delete([*gone, *gone[:5], picture_id(999_999), "no id"]) == len(gone)
    assert await index.delete(gone) == 0
    left = [entry for entry in ALL if entry.record.id not in gone]
    for vector in directions(3, seed=11):
        await agree(index, Query(vector, k=20), left)
    assert await index.get(gone[:2]) == [None, None]
    assert await index.vectors(gone[:2]) == [None, None]
    assert {found.id async for found in index.records()} == {entry.record.id for entry in left}
    assert await index.add(ALL[:4]) == [True, False, False, True]
    await settled(index)
    await index.close()
    index = await settled(await (await reopen()).open(ENCODER))
    there = [*left, ALL[0], ALL[3]]
    assert (await index.stats()).images == len(there)
    for vector in directions(3, seed=12):
        await agree(index, Query(vector, k=20), there)
    await index.close()


async def test_the_statistics_count_by_platform(index: VectorIndex, request: pytest.FixtureRequest) -> None:
    assert (await index.stats())[:3] == (0, 0, {})
    await fill(index)
    await index.delete([ALL[0].record.id])
    stats = await index.stats()
    assert stats.images == 239
    assert stats.platforms == {"tiktok": 59, "instagram": 60, "youtube": 60, "": 60}
    # Edge leaves fewer than its threshold outside of a graph; a server decides for itself.
    least, most = {"edge-flat": (0, 0), "edge-built": (190, 239)}.get(request.node.callspec.params["reopen"], (0, 239))
    assert least <= stats.indexed_images <= most


async def test_an_empty_index_finds_nothing(index: VectorIndex) -> None:
    assert await index.search(Query(ALL[0].vector, k=5)) == []
    assert [found async for found in index.records()] == []


async def test_what_was_added_is_there_after_it_is_opened_again(index: VectorIndex, reopen: Reopen) -> None:
    await fill(index)
    await index.close()
    index = await (await reopen()).open(ENCODER)
    assert (await index.stats()).images == len(ALL)
    await agree(index, Query(ALL[5].vector, k=10), ALL)
    assert await index.add(ALL[:2]) == [False, False]
    await index.close()


async def test_many_callers_get_their_own_answers(index: VectorIndex) -> None:
    await fill(index)
    vectors = directions(40, seed=13)
    found = await asyncio.gather(*(index.search(Query(vector, k=3)) for vector in vectors))
    for vector, hits in zip(vectors, found, strict=True):
        assert [hit.record for hit in hits] == [hit.record for hit in exact(Query(vector, k=3), ALL)]


async def test_a_vector_of_another_dimension_is_refused(index: VectorIndex) -> None:
    with pytest.raises(ValueError, match="32 dimensions"):
        await index.add(entries(1, dimension=16))


async def test_a_re_index_is_built_beside_and_then_switched_to(reopen: Reopen) -> None:
    catalogue = await reopen()
    assert await catalogue.current() is None
    with pytest.raises(FailedPrecondition):
        await catalogue.switch(ENCODER)
    first, second = await catalogue.open(ENCODER), await catalogue.open(OTHER)
    assert (first.encoder, second.encoder) == (ENCODER, OTHER)
    await catalogue.switch(ENCODER)
    await first.add(ALL[:10])
    await second.add(ALL[10:15])
    assert await catalogue.current() == ENCODER
    await catalogue.switch(OTHER)
    await first.close()
    await second.close()
    catalogue = await reopen()
    assert await catalogue.current() == OTHER
    with pytest.raises(FailedPrecondition):
        await catalogue.drop(OTHER)
    await catalogue.drop(ENCODER)
    await catalogue.drop(ENCODER)
    second = await catalogue.open(OTHER)
    assert (await second.stats()).images == 5
    first = await catalogue.open(ENCODER)
    assert (await first.stats()).images == 0
    await first.close()
    await second.close()


async def test_an_index_of_another_dimension_is_refused_with_what_to_do(reopen: Reopen) -> None:
    catalogue = await reopen()
    await (await catalogue.open(ENCODER)).close()
    with pytest.raises(FailedPrecondition, match=r"32 dimensions.*have 64.*AXIA_RETRIEVAL_ENCODER.*re-index") as caught:
        await catalogue.open(EncoderId(ENCODER.name, ENCODER.revision, 64))
    assert caught.value.reason == "INDEX_DIMENSION_MISMATCH"


async def passes_check(index: VectorIndex) -> bool:
    try:
        await index.check()
    except Unavailable:
        return False
    return True


async def test_a_store_that_answers_passes_its_check(index: VectorIndex) -> None:
    assert await passes_check(index)
    await fill(index)
    assert await passes_check(index)  # a server that goes away does not, as told below


async def test_a_folder_that_is_gone_does_not_pass_the_check(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path / "index", build_threshold=10_000)
    index = await catalogue.open(ENCODER)
    await index.add(ALL[:5])
    assert await passes_check(index)
    (tmp_path / "index").rename(tmp_path / "elsewhere")
    assert not await passes_check(index)
    (tmp_path / "elsewhere").rename(tmp_path / "index")
    assert await passes_check(index)
    await index.close()
    await catalogue.close()


@pytest.fixture
async def server() -> AsyncIterator[QdrantServer]:
    started = QdrantServer(api_key="right")
    await started.start()
    yield started
    await started.stop()


async def test_a_server_that_goes_away_is_unavailable_until_it_is_back(server: QdrantServer) -> None:
    catalogue = QdrantCatalogue(QdrantOptions(url=server.url, api_key="right", timeout_s=2))
    index = await catalogue.open(ENCODER)
    await index.add(ALL[:5])
    await server.stop()
    for call in (index.check(), index.search(Query(ALL[0].vector, 1)), index.add(ALL[5:6]), catalogue.current()):
        with pytest.raises(Unavailable) as caught:
            await call
        assert "127.0.0.1" not in caught.value.message
    await server.start()
    deadline = time.monotonic() + 60
    while True:
        try:
            await index.check()
            break
        except Unavailable:
            assert time.monotonic() < deadline, "the client did not find the server again"
            await asyncio.sleep(0.1)
    assert await index.get([ALL[4].record.id]) == [ALL[4].record]
    await catalogue.close()


async def test_callers_hear_of_a_server_that_is_silent_before_their_time_is_over(server: QdrantServer) -> None:
    catalogue = QdrantCatalogue(QdrantOptions(url=server.url, api_key="right"))
    index = await catalogue.open(ENCODER)
    await index.add(ALL[:5])
    query, began = Query(ALL[0].vector, k=1), time.monotonic()
    with answering_within(30.0):
        assert len(await index.search(query)) == 1
    server.hang()
    with answering_within(0.5), pytest.raises(Unavailable) as silent:
        await index.search(query)
    assert (silent.value.reason, silent.value.retry_after_s) == ("QDRANT_SILENT", 1.0)
    assert not silent.value.repeatable
    assert time.monotonic() - began < 5  # and not the ten seconds that the client waits
    await catalogue.close()


async def test_no_server_at_all_is_unavailable() -> None:
    catalogue = QdrantCatalogue(QdrantOptions(url="http://127.0.0.1:9", timeout_s=2))
    with pytest.raises(Unavailable):
        await catalogue.open(ENCODER)
    await catalogue.close()


async def test_a_wrong_api_key_is_a_matter_of_settings(server: QdrantServer) -> None:
    catalogue = QdrantCatalogue(QdrantOptions(url=server.url, api_key="wrong"))
    with pytest.raises(FailedPrecondition, match=r"API key.*AXIA_RETRIEVAL_QDRANT_API_KEY"):
        await catalogue.open(ENCODER)
    await catalogue.close()


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        (grpc.StatusCode.INTERNAL, "Service internal error: No space left on device", ResourceExhausted),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Strict mode", ResourceExhausted),
        (grpc.StatusCode.INTERNAL, "Service internal error: secret", Unavailable),
        (grpc.StatusCode.NOT_FOUND, "Collection `axia` doesn't exist!", FailedPrecondition),
    ],
)
async def test_the_servers_errors_are_told_in_our_own_words(
    server: QdrantServer, code: grpc.StatusCode, details: str, error: type[Exception]
) -> None:
    catalogue = QdrantCatalogue(QdrantOptions(url=server.url, api_key="right"))
    index = await catalogue.open(ENCODER)
    server.fail(code, details)
    with pytest.raises(error) as caught:
        await index.search(Query(ALL[0].vector, 1))
    assert details not in str(caught.value)
    await catalogue.close()


@pytest.mark.parametrize("url", ["localhost:6334", "ftp://qdrant", "http://", "http://[", "http://qdrant:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"AXIA_RETRIEVAL_QDRANT_URL.*http://host:port"):
        QdrantCatalogue(QdrantOptions(url=url))
