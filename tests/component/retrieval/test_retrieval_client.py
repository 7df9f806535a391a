"""The retrieval service as the gateway reaches it: a real channel to the fake of `axia.testing`."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from axia.testing import FakeGateway
from axia.v1 import retrieval_pb2
from gateway.backends.channels import ServiceChannel
from gateway.backends.retrieval_client import SERVICE, GrpcRetrieval
from gateway.settings import GatewaySettings
from services.serving.errors import InvalidArgument, NotFound, ResourceExhausted, ServiceError, Unavailable
from services.serving.logs import request_id
from tests.support import pictures

PICTURE = pictures.photograph(0)


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with FakeGateway(images=[PICTURE]) as fake:
        yield fake


@pytest.fixture
async def retrieval(fake: FakeGateway) -> AsyncIterator[GrpcRetrieval]:
    settings = GatewaySettings(retrieval=fake.address)
    channel = ServiceChannel("retrieval", SERVICE, settings.retrieval, settings)
    await channel.refresh()
    yield GrpcRetrieval(channel)
    await channel.close()


async def test_a_search_for_a_value_hands_its_filter_and_the_requests_id_on(
    fake: FakeGateway, retrieval: GrpcRetrieval
) -> None:
    request_id.set("the-callers")
    asked = retrieval_pb2.SearchFilter(platforms=["tiktok"])
    value = (await retrieval.lexicon())[0]
    found = await retrieval.search_value(value.id, value.keywords[:2], 3, asked, 0.25)
    request: Any = fake.received[-1].request
    assert (request.filter, request.k, request.score_threshold) == (asked, 3, 0.25)
    assert (list(request.keywords), found.images) == (list(value.keywords[:2]), 1)
    assert fake.received[-1].metadata["x-request-id"] == "the-callers"
    await retrieval.search_value(value.id, value.keywords[:1], 3, None, None)
    request = fake.received[-1].request
    assert not request.HasField("filter")
    assert not request.HasField("score_threshold")


async def test_a_picture_comes_as_its_bytes_and_one_that_is_missing_is_named(retrieval: GrpcRetrieval) -> None:
    (image_id,) = (hit.image_id for hit in (await retrieval.search_value("power", ["crown"], 1, None, None)).hits)
    assert await retrieval.picture(image_id) == PICTURE
    with pytest.raises(NotFound, match="has no image 'gone'; index it first"):
        await retrieval.picture("gone")


async def test_what_the_service_refuses_is_told_by_the_callers_field(retrieval: GrpcRetrieval) -> None:
    with pytest.raises(ServiceError, match=r"^values: greed is not one of the ten") as caught:
        await retrieval.search_value("greed", [], 1, None, None)
    assert [violation.field for violation in caught.value.violations] == ["values"]
    assert caught.value.code is InvalidArgument.code


@pytest.mark.parametrize("ask", ["lexicon", "picture"])
@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        ("UNAVAILABLE", "", "RETRIEVAL_UNREACHABLE"),
        ("DEADLINE_EXCEEDED", "", "RETRIEVAL_UNREACHABLE"),
        ("RESOURCE_EXHAUSTED", "QUEUE_FULL", "QUEUE_FULL"),
    ],
)
async def test_a_failure_is_told_as_the_gateways_own_or_as_the_services(
    fake: FakeGateway, retrieval: GrpcRetrieval, ask: str, code: str, reason: str, told: str
) -> None:
    fake.fail(code, "full", reason=reason)
    with pytest.raises(ServiceError) as caught:
        await (retrieval.lexicon() if ask == "lexicon" else retrieval.picture("x"))
    assert caught.value.reason == told
    assert caught.value.code is (ResourceExhausted if reason else Unavailable).code


async def test_a_service_that_is_not_set_is_told_with_its_setting() -> None:
    settings = GatewaySettings(retrieval=())
    channel = ServiceChannel("retrieval", SERVICE, (), settings)
    with pytest.raises(Unavailable, match="must set AXIA_GATEWAY_RETRIEVAL"):
        await GrpcRetrieval(channel).lexicon()
    await channel.close()
