"""The retrieval service over a real gRPC connection, on the real index, with an encoder without a model."""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from axia.lexicon import VALUES, load_lexicon
from axia.v1 import image_pb2, retrieval_pb2, retrieval_pb2_grpc
from services.retrieval.servicer import RetrievalComponent
from services.serving.app import channel_options
from services.serving.errors import ResourceExhausted
from services.serving.interceptors import CallInterceptor
from services.serving.status import from_rpc_error
from tests.support import wire
from tests.support.pictures import photograph
from tests.support.retrieval import Parts

Stub = Any
"""grpcio's generated stubs serve both faces under one name; their async type exists for type checkers alone."""

PLATFORMS = ("tiktok", "youtube", "")
FILES = [photograph(seed, (16, 16), "PNG") for seed in range(30)]
IDS = [hashlib.sha256(data).hexdigest() for data in FILES]


def metadata(number: int) -> retrieval_pb2.ImageMetadata:
    time = Timestamp(seconds=1_700_000_000 + number, nanos=123_456_000) if number % 2 else None
    return retrieval_pb2.ImageMetadata(
        platform=PLATFORMS[number % 3], capture_time=time, source=f"posts/{number}" if number % 5 else ""
    )


def picture(number: int) -> retrieval_pb2.IndexImagesRequest:
    return retrieval_pb2.IndexImagesRequest(
        image=image_pb2.Image(data=FILES[number]), metadata=metadata(number), tag=100 + number
    )


@pytest.fixture
async def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


@pytest.fixture
async def stub(parts: Parts) -> AsyncIterator[Stub]:
    server = grpc.aio.server(interceptors=[CallInterceptor()], options=channel_options(parts.settings))
    component = RetrievalComponent(parts.retriever)
    component.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await component.start()
    options = channel_options(parts.settings)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield retrieval_pb2_grpc.RetrievalServiceStub(channel)
    await server.stop(0)
    await component.close()


@pytest.fixture
async def filled(stub: Stub) -> Stub:
    await ingest(stub, map(picture, range(len(FILES))))
    return stub


async def ingest(
    stub: Stub, requests: Iterable[retrieval_pb2.IndexImagesRequest]
) -> list[retrieval_pb2.IndexImagesResponse]:
    return [response async for response in stub.IndexImages(iter(requests), timeout=60)]


async def refusal(call: Awaitable[object] | AsyncIterator[object]) -> tuple[grpc.StatusCode, str, str]:
    """The code, the reason and the first field of a refused call."""
    caught = await wire.failure(call)
    error = from_rpc_error(caught)
    return caught.code(), error.reason, error.violations[0].field if error.violations else ""


async def test_each_picture_is_acknowledged_in_order(stub: Stub) -> None:
    bad = retrieval_pb2.IndexImagesRequest(image=image_pb2.Image(data=b"no image"), tag=-7)
    untimely = picture(3)
    untimely.metadata.capture_time.nanos = -1
    wrong = picture(4)
    wrong.metadata.platform = "Tik Tok"
    responses = await ingest(stub, [picture(0), bad, picture(1), untimely, wrong, picture(0), picture(2)])
    assert [response.tag for response in responses] == [100, -7, 101, 103, 104, 100, 102]
    outcomes = [response.WhichOneof("outcome") for response in responses]
    assert outcomes == ["indexed", "rejected", "indexed", "rejected", "rejected", "indexed", "indexed"]
    assert responses[1].rejected.reason == "IMAGE_UNREADABLE"
    assert responses[3].rejected.message.startswith("metadata.capture_time: ")
    assert responses[4].rejected.message.startswith("metadata.platform: ")
    first, _, _, _, _, again, _ = (response.indexed for response in responses)
    assert first.id == first.info.sha256 == IDS[0]
    assert (first.info.format, first.info.width, first.info.height) == ("PNG", 16, 16)
    assert len(first.perceptual_hash) == 16
    assert not first.duplicate
    assert again.duplicate
    assert again.perceptual_hash == first.perceptual_hash


async def test_hits_hold_what_was_said_and_read(filled: Stub) -> None:
    response = await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query=IDS[7], k=3))
    nearest = response.hits[0]
    assert nearest.id == nearest.info.sha256 == IDS[7]
    assert nearest.score == pytest.approx(1, abs=1e-3)
    assert nearest.metadata == metadata(7)
    assert len(response.hits) == 3
    assert [hit.score for hit in response.hits] == sorted((hit.score for hit in response.hits), reverse=True)
    provenance = response.provenance
    assert (provenance.encoder.name, provenance.encoder.revision, provenance.encoder.dimension) == ("one", "1", 64)
    assert (provenance.store, provenance.images, provenance.lexicon_sha256) == ("qdrant-edge", len(FILES), "")
    assert provenance.request_id


async def test_five_pictures_are_the_default(filled: Stub) -> None:
    assert len((await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query="beach"))).hits) == 5
    by_image = retrieval_pb2.SearchByImageRequest(image_id=IDS[0])
    assert len((await filled.SearchByImage(by_image)).hits) == 5
    by_value = await filled.SearchByValue(retrieval_pb2.SearchByValueRequest(value="power", keywords=["crown"]))
    assert [len(keyword.hits) for keyword in by_value.keywords] == [5]


@pytest.mark.parametrize("page", [1, 4, 10, 30, 40])
async def test_pages_hold_every_picture_once_in_the_order_of_one_large_page(filled: Stub, page: int) -> None:
    whole = await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query="beach", k=100))
    assert not whole.next_page_token
    found: list[str] = []
    request = retrieval_pb2.SearchByTextRequest(query="beach", k=page)
    while True:
        response = await filled.SearchByText(request)
        found += [hit.id for hit in response.hits]
        request.page_token = response.next_page_token
        if not request.page_token:
            break
        assert len(response.hits) == page
    assert found == [hit.id for hit in whole.hits]
    assert sorted(found) == sorted(IDS)


@pytest.mark.parametrize("by", [{"query": "beach"}, {"image_id": IDS[0]}])
async def test_pages_miss_nothing_and_repeat_nothing_while_pictures_come_and_go(stub: Stub, by: dict[str, str]) -> None:
    by_text = "query" in by
    ask = stub.SearchByText if by_text else stub.SearchByImage
    kind = retrieval_pb2.SearchByTextRequest if by_text else retrieval_pb2.SearchByImageRequest
    await ingest(stub, map(picture, range(20)))
    before = [hit.id for hit in (await ask(kind(**by, k=100))).hits]
    pages = [await ask(kind(**by, k=4))]
    await ingest(stub, map(picture, range(20, 30)))
    pages.append(await ask(kind(**by, k=4, page_token=pages[-1].next_page_token)))
    await stub.DeleteImages(retrieval_pb2.DeleteImagesRequest(ids=[hit.id for page in pages for hit in page.hits]))
    while pages[-1].next_page_token:
        pages.append(await ask(kind(**by, k=4, page_token=pages[-1].next_page_token)))
    found = [hit.id for page in pages for hit in page.hits]
    assert [picture for picture in found if picture in before] == before
    assert len(found) == len(set(found))
    assert all(len(page.hits) == 4 for page in pages[:-1])
    scores = [hit.score for page in pages for hit in page.hits]
    assert scores == sorted(scores, reverse=True)


async def test_pages_of_a_stored_picture_leave_it_out(filled: Stub) -> None:
    found: list[str] = []
    request = retrieval_pb2.SearchByImageRequest(image_id=IDS[3], k=7)
    while True:
        response = await filled.SearchByImage(request)
        found += [hit.id for hit in response.hits]
        request.page_token = response.next_page_token
        if not request.page_token:
            break
    assert sorted(found) == sorted({*IDS} - {IDS[3]})


@pytest.mark.parametrize("query", [{"query": "beach"}, {"image_id": IDS[3]}, {"image": {"data": FILES[3]}}])
async def test_pages_end_where_the_bound_on_results_is_reached(
    filled: Stub, parts: Parts, query: dict[str, Any]
) -> None:
    by_text = "query" in query
    ask = filled.SearchByText if by_text else filled.SearchByImage
    kind = retrieval_pb2.SearchByTextRequest if by_text else retrieval_pb2.SearchByImageRequest
    whole = [hit.id for hit in (await ask(kind(**query, k=20))).hits]
    parts.retriever.search._settings = parts.settings.model_copy(update={"max_results": 20})
    sizes: list[int] = []
    found: list[str] = []
    request = kind(**query, k=8)
    while not found or request.page_token:
        deep = request.page_token
        response = await ask(request)
        sizes.append(len(response.hits))
        found += [hit.id for hit in response.hits]
        request.page_token = response.next_page_token
    assert sizes == [8, 8, 4]
    assert found == whole
    # A token that was made before the bound was lowered, and one that leads to just before it.
    for bound, code in ((16, grpc.StatusCode.INVALID_ARGUMENT), (17, None)):
        parts.retriever.search._settings = parts.settings.model_copy(update={"max_results": bound})
        request.page_token = deep
        if code is None:
            response = await ask(request)
            assert (len(response.hits), response.next_page_token) == (1, "")
        else:
            assert await refusal(ask(request)) == (code, "PAGE_TOO_DEEP", "page_token")


async def test_a_page_token_belongs_to_its_request(filled: Stub) -> None:
    first = await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query="beach", k=5))
    for change in (
        {"query": "birthday"},
        {"k": 6},
        {"score_threshold": -1.0},
        {"filter": retrieval_pb2.SearchFilter(platforms=["tiktok"])},
    ):
        fields = {"query": "beach", "k": 5, **change}
        request = retrieval_pb2.SearchByTextRequest(page_token=first.next_page_token, **fields)
        refused = await refusal(filled.SearchByText(request))
        assert refused == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH", "page_token")
    junk = retrieval_pb2.SearchByTextRequest(query="beach", k=5, page_token="🙂")  # noqa: S106  # no password
    assert (await refusal(filled.SearchByText(junk)))[2] == "page_token"


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({"platforms": ["tiktok"]}, lambda n: n % 3 == 0),
        ({"platforms": ["tiktok", "youtube"]}, lambda n: n % 3 != 2),
        ({"sources": ["posts/3", "posts/4", "posts/5"]}, lambda n: n in {3, 4}),
        ({"captured_from": Timestamp(seconds=1_700_000_009)}, lambda n: n % 2 and n >= 9),
        ({"captured_before": Timestamp(seconds=1_700_000_009)}, lambda n: n % 2 and n < 9),
        (
            {"platforms": ["youtube"], "captured_from": Timestamp(seconds=1_700_000_009)},
            lambda n: n % 3 == 1 and n % 2 and n >= 9,
        ),
        ({"platforms": ["nowhere"]}, lambda n: False),
    ],
)
async def test_filters_hold_for_every_search(filled: Stub, wanted: dict[str, Any], passes: Any) -> None:
    expected = sorted(IDS[number] for number in range(len(FILES)) if passes(number))
    chosen = retrieval_pb2.SearchFilter(**wanted)
    text = await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query="beach", k=100, filter=chosen))
    assert sorted(hit.id for hit in text.hits) == expected
    image = image_pb2.Image(data=photograph(99, (16, 16), "PNG"))
    near = await filled.SearchByImage(retrieval_pb2.SearchByImageRequest(image=image, k=100, filter=chosen))
    assert sorted(hit.id for hit in near.hits) == expected
    value = await filled.SearchByValue(retrieval_pb2.SearchByValueRequest(value="power", k=30, filter=chosen))
    assert sorted(hit.id for keyword in value.keywords for hit in keyword.hits) == expected


async def test_a_threshold_holds(filled: Stub) -> None:
    request = retrieval_pb2.SearchByTextRequest(query=IDS[3], k=100, score_threshold=0.9)
    assert [hit.id for hit in (await filled.SearchByText(request)).hits] == [IDS[3]]
    request.score_threshold = 1.0
    request.query = "beach"
    assert not (await filled.SearchByText(request)).hits


async def test_a_picture_is_near_itself_unless_it_is_named_by_id(filled: Stub) -> None:
    image = image_pb2.Image(data=FILES[4])
    response = await filled.SearchByImage(retrieval_pb2.SearchByImageRequest(image=image, k=1))
    assert [hit.id for hit in response.hits] == [IDS[4]]
    response = await filled.SearchByImage(retrieval_pb2.SearchByImageRequest(image_id=IDS[4], k=100))
    assert sorted(hit.id for hit in response.hits) == sorted({*IDS} - {IDS[4]})
    unknown = retrieval_pb2.SearchByImageRequest(image_id="0" * 64)
    assert await refusal(filled.SearchByImage(unknown)) == (grpc.StatusCode.NOT_FOUND, "PICTURE_UNKNOWN", "image_id")


async def test_a_value_has_pictures_for_each_keyword_and_each_picture_once(filled: Stub) -> None:
    value = load_lexicon().value("hedonism")
    response = await filled.SearchByValue(retrieval_pb2.SearchByValueRequest(value="hedonism", k=3))
    assert response.value == "hedonism"
    assert [keyword.keyword for keyword in response.keywords] == list(value.keywords)
    assert [len(keyword.hits) for keyword in response.keywords] == [3] * 10
    assert len({hit.id for keyword in response.keywords for hit in keyword.hits}) == 30
    assert len(response.provenance.lexicon_sha256) == 64
    some = retrieval_pb2.SearchByValueRequest(value="hedonism", keywords=["concert", "vacation"])
    response = await filled.SearchByValue(some)
    assert [keyword.keyword for keyword in response.keywords] == ["vacation", "concert"]


async def test_the_lexicon_is_listed_in_the_order_of_the_published_tables(stub: Stub) -> None:
    response = await stub.ListValues(retrieval_pb2.ListValuesRequest())
    assert [value.id for value in response.values] == list(VALUES)
    lexicon = load_lexicon()
    for listed in response.values:
        value = lexicon.value(listed.id)
        assert (listed.name, listed.definition, listed.group) == (value.name, value.definition, value.group)
        assert [keyword.text for keyword in listed.keywords] == list(value.keywords)
        assert [keyword.text for keyword in listed.keywords if keyword.published] == list(value.published)
    assert len(response.lexicon_sha256) == 64


async def test_stored_pictures_are_sent_as_they_came(filled: Stub) -> None:
    ids = [IDS[5], "f" * 64, IDS[0]]
    got = [image async for image in filled.GetImages(retrieval_pb2.GetImagesRequest(ids=ids))]
    assert [image.id for image in got] == ids
    assert got[0].image.data == FILES[5]
    assert got[0].info.sha256 == IDS[5]
    assert got[0].metadata == metadata(5)
    assert not got[1].HasField("image")
    assert not got[1].HasField("info")
    assert got[2].image.data == FILES[0]


async def test_deleted_pictures_are_found_no_more(filled: Stub) -> None:
    response = await filled.DeleteImages(retrieval_pb2.DeleteImagesRequest(ids=[IDS[0], IDS[1], "f" * 64]))
    assert (response.deleted, response.not_found) == (2, 1)
    hits = (await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query="beach", k=100))).hits
    assert sorted(hit.id for hit in hits) == sorted(IDS[2:])
    (got,) = [image async for image in filled.GetImages(retrieval_pb2.GetImagesRequest(ids=[IDS[0]]))]
    assert not got.HasField("image")


async def listed(stub: Stub, **fields: Any) -> list[retrieval_pb2.ListedImage]:
    """Every picture that passes, page by page."""
    images: list[retrieval_pb2.ListedImage] = []
    token = ""
    while True:
        page = await stub.ListImages(retrieval_pb2.ListImagesRequest(page_size=7, page_token=token, **fields))
        assert len(page.images) <= 7
        images += page.images
        token = page.next_page_token
        if not token:
            return images


async def test_pictures_are_listed_once_with_what_is_known_of_them(filled: Stub) -> None:
    images = await listed(filled)
    assert sorted(image.id for image in images) == sorted(IDS)
    for image in images:
        assert image.metadata == metadata(IDS.index(image.id))
        assert (image.info.width, image.info.height, image.info.format) == (16, 16, "PNG")
        assert len(image.perceptual_hash) == 16
    some = await listed(filled, filter=retrieval_pb2.SearchFilter(platforms=["youtube"]))
    assert sorted(image.id for image in some) == sorted(IDS[1::3])


async def test_what_is_known_of_a_picture_is_replaced(filled: Stub) -> None:
    told = retrieval_pb2.ImageMetadata(platform="instagram", source="told again")
    update = retrieval_pb2.UpdateImagesRequest(
        updates=[retrieval_pb2.ImageUpdate(id=picture_id, metadata=told) for picture_id in (IDS[4], "0" * 64)]
    )
    response = await filled.UpdateImages(update)
    assert (response.updated, response.not_found) == (1, 1)
    (image,) = await listed(filled, filter=retrieval_pb2.SearchFilter(platforms=["instagram"]))
    assert (image.id, image.metadata) == (IDS[4], told)
    found = await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query=IDS[4], k=1))
    assert found.hits[0].metadata == told


async def test_all_that_pass_a_filter_are_deleted(filled: Stub, parts: Parts) -> None:
    response = await filled.DeleteImages(
        retrieval_pb2.DeleteImagesRequest(filter=retrieval_pb2.SearchFilter(platforms=["tiktok"]))
    )
    assert (response.deleted, response.not_found) == (10, 0)
    left = [picture_id for number, picture_id in enumerate(IDS) if number % 3]
    assert sorted(image.id for image in await listed(filled)) == sorted(left)
    assert [await parts.pictures.get(picture_id) is None for picture_id in IDS[:4]] == [True, False, False, True]


async def test_a_purge_removes_bytes_that_no_picture_has(filled: Stub, parts: Parts) -> None:
    other = photograph(99, (16, 16), "PNG")
    await parts.pictures.put(hashlib.sha256(other).hexdigest(), other)
    await parts.pictures.delete([IDS[0]])
    response = await filled.PurgeImages(retrieval_pb2.PurgeImagesRequest())
    assert (response.orphans, response.without_bytes) == (1, 1)
    assert await parts.pictures.get(hashlib.sha256(other).hexdigest()) is None


async def test_pictures_are_described_without_their_bytes(filled: Stub) -> None:
    request = retrieval_pb2.GetImagesRequest(ids=[IDS[2], "0" * 64], without_data=True)
    there, missing = [response async for response in filled.GetImages(request)]
    assert (there.id, there.HasField("image"), there.metadata) == (IDS[2], False, metadata(2))
    assert not missing.HasField("metadata")


async def test_stats_count_by_platform(filled: Stub) -> None:
    stats = await filled.GetStats(retrieval_pb2.GetStatsRequest())
    assert (stats.images, stats.store, stats.building) == (30, "qdrant-edge", False)
    assert dict(stats.platforms) == {"tiktok": 10, "youtube": 10, "": 10}
    assert (stats.encoder.name, stats.encoder.dimension) == ("one", 64)


async def test_a_re_index_switches_to_the_new_encoder(filled: Stub) -> None:
    started = (await filled.StartReindex(retrieval_pb2.StartReindexRequest(encoder="hash/two"))).reindex
    assert started.state == retrieval_pb2.REINDEX_STATE_RUNNING
    assert (started.encoder.name, started.encoder.revision, started.encoder.dimension) == ("hash", "two", 0)
    async with asyncio.timeout(30):
        while True:
            job = (await filled.GetReindex(retrieval_pb2.GetReindexRequest(id=started.id))).reindex
            if job.state != retrieval_pb2.REINDEX_STATE_RUNNING:
                break
            await asyncio.sleep(0.005)
    assert (job.state, job.done, job.total) == (retrieval_pb2.REINDEX_STATE_SUCCEEDED, 30, 30)
    assert job.encoder.dimension == 64
    assert (await filled.GetReindex(retrieval_pb2.GetReindexRequest())).reindex == job
    response = await filled.SearchByText(retrieval_pb2.SearchByTextRequest(query=IDS[7], k=1))
    assert response.hits[0].id == IDS[7]
    assert response.provenance.encoder == job.encoder
    unknown = await refusal(filled.GetReindex(retrieval_pb2.GetReindexRequest(id="nobody")))
    assert unknown == (grpc.StatusCode.NOT_FOUND, "REINDEX_UNKNOWN", "id")
    refused = await refusal(filled.StartReindex(retrieval_pb2.StartReindexRequest(encoder="ViT-B-32")))
    assert refused == (grpc.StatusCode.INVALID_ARGUMENT, "ENCODER_NAME", "encoder")


async def test_a_full_disk_ends_the_stream_after_what_was_acknowledged(stub: Stub, parts: Parts) -> None:
    calling = stub.IndexImages(timeout=60)
    await calling.write(picture(0))
    assert (await calling.read()).indexed.id == IDS[0]
    parts.pictures.failure = ResourceExhausted("the disk is full", reason="PICTURE_STORE_FULL", retry_after_s=30)
    await calling.write(picture(1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calling.read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    error = from_rpc_error(caught.value)
    assert (error.reason, error.retry_after_s) == ("PICTURE_STORE_FULL", 30)
    assert (await stub.GetStats(retrieval_pb2.GetStatsRequest())).images == 1


async def test_a_client_that_goes_away_in_the_middle_leaves_a_working_server(stub: Stub, parts: Parts) -> None:
    encoder = parts.encoders["hash/one"]
    encoder.may_encode.clear()
    calling = stub.IndexImages(timeout=60)
    for number in range(10):
        await calling.write(picture(number))
    await wire.eventually(lambda: encoder.waiting == 10, timeout_s=20)
    calling.cancel()
    await wire.eventually(lambda: encoder.waiting == 0, timeout_s=20)
    encoder.may_encode.set()
    responses = await ingest(stub, map(picture, range(10)))
    assert [response.WhichOneof("outcome") for response in responses] == ["indexed"] * 10


TEXT = {"query": "beach"}


@pytest.mark.parametrize(
    ("method", "fields", "field"),
    [
        ("SearchByText", {}, "query"),
        ("SearchByText", {"query": " \n"}, "query"),
        ("SearchByText", {"query": "word " * 10_000}, "query"),
        ("SearchByText", TEXT | {"k": 0}, "k"),
        ("SearchByText", TEXT | {"k": -1}, "k"),
        ("SearchByText", TEXT | {"k": 1001}, "k"),
        ("SearchByText", TEXT | {"score_threshold": math.nan}, "score_threshold"),
        ("SearchByText", TEXT | {"score_threshold": 1.01}, "score_threshold"),
        ("SearchByText", TEXT | {"filter": {"platforms": ["TikTok"]}}, "filter.platforms[0]"),
        ("SearchByText", TEXT | {"filter": {"platforms": ["a"] * 65}}, "filter.platforms"),
        ("SearchByText", TEXT | {"filter": {"sources": ["a", "b" * 1025]}}, "filter.sources[1]"),
        ("SearchByText", TEXT | {"filter": {"sources": ["a"] * 65}}, "filter.sources"),
        ("SearchByText", TEXT | {"filter": {"captured_from": {"nanos": -1}}}, "filter.captured_from"),
        ("SearchByText", TEXT | {"filter": {"captured_before": {"seconds": 2**60}}}, "filter.captured_before"),
        (
            "SearchByText",
            TEXT | {"filter": {"captured_from": {"seconds": 5}, "captured_before": {"seconds": 5}}},
            "filter.captured_before",
        ),
        ("SearchByImage", {}, "query"),
        ("SearchByImage", {"image": {}}, "image.data"),
        ("SearchByImage", {"image": {"data": b"x"}}, "image.data"),
        ("SearchByImage", {"image_id": "F" * 64}, "image_id"),
        ("SearchByImage", {"image_id": ""}, "image_id"),
        ("SearchByImage", {"image_id": "0" * 64, "k": 0}, "k"),
        ("SearchByImage", {"image_id": "0" * 64, "page_token": "x"}, "page_token"),
        ("SearchByValue", {}, "value"),
        ("SearchByValue", {"value": "money"}, "value"),
        ("SearchByValue", {"value": "power", "keywords": ["beach"]}, "keywords[0]"),
        ("SearchByValue", {"value": "power", "k": 101}, "k"),
        ("SearchByValue", {"value": "power", "score_threshold": math.inf}, "score_threshold"),
        ("ListImages", {"page_size": 0}, "page_size"),
        ("ListImages", {"page_size": 1001}, "page_size"),
        ("ListImages", {"page_token": "x"}, "page_token"),
        ("ListImages", {"filter": {"platforms": ["TikTok"]}}, "filter.platforms[0]"),
        ("UpdateImages", {}, "updates"),
        ("UpdateImages", {"updates": [{"id": "x"}]}, "updates[0].id"),
        (
            "UpdateImages",
            {"updates": [{"id": "0" * 64, "metadata": {"platform": "A"}}]},
            "updates[0].metadata.platform",
        ),
        ("UpdateImages", {"updates": [{"id": "0" * 64}] * 2}, "updates[1].id"),
        ("DeleteImages", {"filter": {}}, "filter"),
        ("DeleteImages", {"filter": {"platforms": ["tiktok"]}, "ids": ["0" * 64]}, "ids"),
        ("GetImages", {}, "ids"),
        ("GetImages", {"ids": ["0" * 64, "../../etc/passwd"]}, "ids[1]"),
        ("GetImages", {"ids": ["0" * 64] * 1001}, "ids"),
        ("DeleteImages", {}, "ids"),
        ("DeleteImages", {"ids": ["x"]}, "ids[0]"),
        ("StartReindex", {}, "encoder"),
    ],
)
async def test_a_bad_field_is_named(filled: Stub, method: str, fields: dict[str, Any], field: str) -> None:
    request = getattr(retrieval_pb2, f"{method}Request")(**fields)
    code, _, named = await refusal(getattr(filled, method)(request, timeout=60))
    assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, field)
