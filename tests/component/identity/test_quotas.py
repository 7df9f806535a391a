"""What one caller may use: requests, images and their bytes a minute, and calls and watches at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from axia.identity.keys import Quota, add_key, new_key
from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2, inference_pb2, retrieval_pb2, retrieval_pb2_grpc
from services.serving.errors import ResourceExhausted
from services.serving.identity import access, quotas
from services.serving.identity.audit import AuditLog
from services.serving.identity.guard import Guard
from services.serving.identity.keys import KeyRing
from services.serving.identity.principal import Principal
from services.serving.identity.quotas import Bucket, Quotas, Usage
from services.serving.interceptors import CallInterceptor
from services.serving.status import from_rpc_error
from tests.support import wire
from tests.support.http_api import FakeGateway, http_api
from tests.support.identity import bearer

IMAGE = image_pb2.Image(data=b"x")
MEBIBYTE = image_pb2.Image(data=bytes(2**20))
LIST = "/axia.v1.GatewayService/ListModels"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the time that buckets see."""
    now = [100.0]
    monkeypatch.setattr(quotas.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


@asynccontextmanager
async def serving(
    folder: Path, monkeypatch: pytest.MonkeyPatch, usual: Quota, **caller_quotas: Quota
) -> AsyncIterator[tuple[FakeGateway, grpc.aio.Channel, dict[str, Any]]]:
    """A gateway with two callers, robot and lab; metadata by their names."""
    file = folder / "keys.json"
    made = {
        name: new_key(name, ["detect", "ingest", "search"], quota=caller_quotas.get(name)) for name in ("robot", "lab")
    }
    for key in made.values():
        add_key(file, key.record)
    audit = AuditLog(folder / "audit.jsonl", "AXIA_GATEWAY_AUDIT_LOG", "gateway")
    guard = Guard(KeyRing(file, "AXIA_GATEWAY_KEYS"), audit=audit, quotas=Quotas(usual))
    monkeypatch.setattr("tests.support.http_api.CallInterceptor", lambda: CallInterceptor(guard=guard))
    async with FakeGateway.serving() as fake, grpc.aio.insecure_channel(fake.address) as channel:
        yield fake, channel, {name: bearer(key.text) for name, key in made.items()}


async def reason(call: Any) -> str:
    """Why a call is refused; empty if it isn't."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    return ""


def test_a_bucket_fills_evenly_and_holds_a_minutes_worth(clock: Callable[[float], None]) -> None:
    bucket = Bucket(60)
    assert [bucket.take(30), bucket.take(30)] == [0, 0]
    assert bucket.take(1) == pytest.approx(1.0)
    clock(1.0)
    assert (bucket.take(1), bucket.left) == (0, 0)
    clock(3600)
    assert [bucket.take(60), bucket.take(1)] == [0, pytest.approx(1.0)]


def test_more_than_a_bucket_holds_is_taken_when_it_is_full_and_paid_back(clock: Callable[[float], None]) -> None:
    bucket = Bucket(60)
    assert bucket.take(90) == 0
    assert bucket.take(1) == pytest.approx(31.0)
    clock(31.0)
    assert bucket.take(1) == 0
    assert bucket.take(90) == pytest.approx(60.0)


def test_idle_callers_are_forgotten_and_busy_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "_CALLERS", 3)
    known = Quotas(Quota(calls_in_flight=1))
    first = known.of(caller("0"))
    assert first is not None
    first.begin(LIST)
    for name in "12345":
        known.of(caller(name))
    assert len(known._usages) == 3
    assert known.of(caller("0")) is first


def caller(name: str, quota: Quota | None = None) -> Principal:
    return Principal(name, f"key:{name}", frozenset(), None, quota)


def test_a_bound_that_changes_counts_calls_that_were_there_before() -> None:
    known = Quotas(Quota())
    assert known.of(caller("a")) is None
    before = known.of(caller("a", Quota(calls_in_flight=2)))
    assert before is not None
    before.begin(LIST)
    after = known.of(caller("a", Quota(calls_in_flight=1)))
    assert after is not None
    with pytest.raises(ResourceExhausted):
        after.begin(LIST)
    before.end(LIST)
    after.begin(LIST)


def test_a_bucket_with_another_bound_is_as_full_as_the_one_before(clock: Callable[[float], None]) -> None:
    """Or who has two tokens of different limits would have a new minute with each change between them."""
    known, little, much = Quotas(Quota()), Quota(requests_per_minute=10), Quota(requests_per_minute=60)

    def taken(quota: Quota) -> bool:
        usage = known.of(caller("a", quota))
        assert usage is not None
        return not usage.requests.take(1)

    assert [taken(little) for _ in range(5)] == [True] * 5
    assert [taken(much) for _ in range(31)] == [True] * 30 + [False]
    assert [taken(quota) for quota in (little, much, little)] == [False] * 3
    clock(6.0)  # a tenth of each
    assert [taken(quota) for quota in (little, much)] == [True, False]


async def test_requests_beyond_those_of_a_minute_are_refused_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, monkeypatch, Quota(requests_per_minute=2)) as (fake, channel, keys):
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        ask = [await reason(stub.ListModels(gateway_pb2.ListModelsRequest(), metadata=keys["robot"])) for _ in range(3)]
        assert ask == ["", "", "CALLER_REQUESTS"]
        error = await wire.failure(stub.ListModels(gateway_pb2.ListModelsRequest(), metadata=keys["robot"]))
        told = from_rpc_error(error)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert told.retry_after_s == pytest.approx(30, abs=5)  # google.rpc.RetryInfo
        assert (told.metadata["limit"], told.metadata["remaining"]) == ("2", "0")
        assert await reason(stub.ListModels(gateway_pb2.ListModelsRequest(), metadata=keys["lab"])) == ""
        assert len(fake.requests) == 3


async def test_a_keys_own_bound_counts_before_the_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, lab_quota = Quota(requests_per_minute=1), Quota(requests_per_minute=3)
    async with serving(tmp_path, monkeypatch, usual, lab=lab_quota) as (_, channel, keys):
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        found = {
            name: [
                await reason(stub.ListModels(gateway_pb2.ListModelsRequest(), metadata=metadata)) for _ in range(4)
            ].count("")
            for name, metadata in keys.items()
        }
    assert found == {"robot": 1, "lab": 3}


async def test_images_are_counted_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, monkeypatch, Quota(images_per_minute=6)) as (_, channel, keys):
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        interest = gateway_pb2.JudgeInterestRequest()
        for _ in range(3):
            interest.pictures.add().image.CopyFrom(IMAGE)
        asked = gateway_pb2.DetectValuesRequest(image=IMAGE)
        options = {"metadata": keys["robot"]}
        assert await reason(stub.JudgeInterest(interest, **options)) == ""
        assert [await reason(stub.DetectValues(asked, **options)) for _ in range(4)] == ["", "", "", "CALLER_IMAGES"]
        assert await reason(stub.ListModels(gateway_pb2.ListModelsRequest(), **options)) == ""
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["decision"] for line in lines] == ["allowed"] * 4 + ["denied", "allowed"]
    assert lines[4]["reason"] == "CALLER_IMAGES"


async def test_a_stream_of_images_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, monkeypatch, Quota(images_per_minute=120)) as (fake, channel, keys):
        stub: Any = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        requests = [retrieval_pb2.IndexImagesRequest(image=IMAGE) for _ in range(121)]
        began = time.monotonic()
        async for _ in stub.IndexImages(iter(requests), metadata=keys["robot"], timeout=30):
            pass
        assert time.monotonic() - began >= 0.4
        assert len(fake.requests) == 121


async def test_calls_at_a_time_are_bounded_and_ended_ones_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, monkeypatch, Quota(calls_in_flight=2)) as (fake, channel, keys):
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        fake.answers["DetectValues"] = [5.0, gateway_pb2.DetectValuesResponse()]
        asked = gateway_pb2.DetectValuesRequest(image=IMAGE)
        held = [stub.DetectValues(asked, metadata=keys["robot"]) for _ in range(2)]
        await wire.eventually(lambda: len(fake.requests) == 2)
        models = gateway_pb2.ListModelsRequest()
        assert await reason(stub.ListModels(models, metadata=keys["robot"])) == "CALLER_CALLS"
        assert await reason(stub.ListModels(models, metadata=keys["lab"])) == ""
        for call in held:
            call.cancel()
        async with asyncio.timeout(5):
            while await reason(stub.ListModels(models, metadata=keys["robot"])):
                await asyncio.sleep(0.01)


async def test_bytes_of_images_are_counted_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, monkeypatch, Quota(image_mib_per_minute=3)) as (_, channel, keys):
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        interest = gateway_pb2.JudgeInterestRequest()
        for _ in range(2):
            interest.pictures.add().image.CopyFrom(MEBIBYTE)
        options = {"metadata": keys["robot"]}
        assert await reason(stub.JudgeInterest(interest, **options)) == ""
        error = await wire.failure(stub.JudgeInterest(interest, **options))
        told = from_rpc_error(error)
        assert (error.code(), told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_IMAGE_BYTES")
        assert told.retry_after_s == pytest.approx(20, abs=2)
        assert told.metadata["limit"] == str(3 * 2**20)
        assert 2**20 <= int(told.metadata["remaining"]) < 1.2 * 2**20
        asked = gateway_pb2.DetectValuesRequest(image=MEBIBYTE)
        assert [await reason(stub.DetectValues(asked, **options)) for _ in range(2)] == ["", "CALLER_IMAGE_BYTES"]
        assert await reason(stub.DetectValues(asked, metadata=keys["lab"])) == ""


async def test_a_stream_of_large_images_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, monkeypatch, Quota(image_mib_per_minute=120)) as (fake, channel, keys):
        stub: Any = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        requests = (retrieval_pb2.IndexImagesRequest(image=MEBIBYTE) for _ in range(122))
        began = time.monotonic()
        async for _ in stub.IndexImages(requests, metadata=keys["robot"], timeout=30):
            pass
        assert time.monotonic() - began >= 0.8
        assert len(fake.requests) == 122


async def test_a_drain_ends_a_call_whose_first_image_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the gateway passes a search by image on: a stream of one message, which is counted before it is sent on."""
    monkeypatch.setattr(quotas, "_kind", lambda _: quotas._Kind(carries_images=True, streams=False))
    table: Any = SimpleNamespace(get=lambda _: access.KNOWN)  # for methods of any name
    usual = Quota(images_per_minute=2, calls_in_flight=5)
    interceptor = CallInterceptor(guard=Guard(table=table, quotas=Quotas(usual)))

    async def relay(requests: AsyncIterator[str], context: Any) -> AsyncIterator[str]:
        async for request in requests:
            yield request

    async def silent() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    async with wire.serve(interceptor=interceptor, stream_stream={"Search": relay}) as server:
        assert [answer async for answer in server.stream_stream("Search", ["a"])] == ["a"]
        call = server.channel.stream_stream(f"/{server.service}/Search", wire.encode, bytes.decode)(silent())
        await wire.eventually(lambda: interceptor.in_flight == 1)
        assert await interceptor.drain(2) is True
        assert from_rpc_error(await wire.failure(call)).reason == "DRAINING"


async def test_what_is_refused_for_its_bytes_is_not_counted_as_an_image(clock: Callable[[float], None]) -> None:
    usage = Usage(Quota(images_per_minute=10, image_mib_per_minute=1))
    asked = gateway_pb2.DetectValuesRequest(image=MEBIBYTE)
    await usage.charge("/axia.v1.GatewayService/DetectValues", asked)
    for _ in range(5):
        with pytest.raises(ResourceExhausted, match="bytes of images per minute"):
            await usage.charge("/axia.v1.GatewayService/DetectValues", asked)
    assert usage.images.left == 9


async def test_watches_at_a_time_are_bounded_and_ended_ones_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, monkeypatch, Quota(open_watches=1)) as (_, channel, keys):
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        frame = gateway_pb2.WatchValuesRequest()

        async def watch(name: str) -> Any:
            call = stub.WatchValues(metadata=keys[name])
            await call.write(frame)
            await call.read()
            return call

        held = await watch("robot")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await watch("robot")
        assert from_rpc_error(refused.value).reason == "CALLER_WATCHES"
        assert from_rpc_error(refused.value).retry_after_s
        assert await reason(stub.ListModels(gateway_pb2.ListModelsRequest(), metadata=keys["robot"])) == ""
        (await watch("lab")).cancel()
        held.cancel()
        async with asyncio.timeout(5):
            while True:
                try:
                    (await watch("robot")).cancel()
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.01)


def test_a_priority_alone_bounds_nothing() -> None:
    known = Quotas(Quota())
    assert known.of(caller("a", Quota(priority="low"))) is None
    assert Quota(requests_per_minute=1).with_own(Quota(priority="high")).requests_per_minute == 1


async def test_over_http_the_headers_say_the_bound_and_when_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, monkeypatch, Quota(requests_per_minute=1)) as (fake, _, keys), http_api(fake) as http:
        headers = {"Authorization": keys["robot"][0][1]}
        assert (await http.get("/v1/stats", headers=headers)).status_code == 200
        refused = await http.get("/v1/stats", headers=headers)
        assert (refused.status_code, refused.json()["reason"]) == (429, "CALLER_REQUESTS")
        assert refused.headers["x-ratelimit-limit"] == "1"
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert 50 <= int(refused.headers["x-ratelimit-reset"]) <= 60
        assert 50 <= int(refused.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("method", "carries", "streams"),
    [
        ("/axia.v1.GatewayService/DetectValues", True, False),
        ("/axia.v1.GatewayService/WatchValues", True, True),
        ("/axia.v1.GatewayService/ListModels", False, False),
        ("/axia.v1.RetrievalService/IndexImages", True, True),
        ("/axia.v1.RetrievalService/SearchByImage", True, False),
        ("/axia.v1.InferenceService/GenerateAll", True, False),
        ("/axia.v1.ScoringService/ScoreIsq", False, False),
        ("/no.Such/Method", False, False),
    ],
)
def test_the_contract_says_which_methods_carry_images(method: str, carries: bool, streams: bool) -> None:
    assert tuple(quotas._kind(method)) == (carries, streams)


def test_images_of_a_conversation_are_counted() -> None:
    request = inference_pb2.GenerateAllRequest()
    request.generation.image.CopyFrom(IMAGE)
    message = request.generation.messages.add()
    for _ in range(2):
        message.images.add().image.CopyFrom(IMAGE)
    assert quotas._images_in(request) == (3, 3)
    assert quotas._images_in(b"unread") == (1, 6)
