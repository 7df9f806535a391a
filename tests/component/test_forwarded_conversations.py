"""Conversations that the gateway passes on to a model's server: pictures and token counts within its limits."""

from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest

from axia.v1 import inference_pb2
from gateway.backends.model_messages import fingerprint
from gateway.backends.pool import BackendPool
from gateway.protocols.ports.model import ModelInfo
from gateway.protocols.sampling import ModelDefaults, ModelLimits
from gateway.rpc.inference_servicer import InferenceServicer
from gateway.settings import GatewaySettings
from services.serving.errors import InvalidArgument

NOW = ModelInfo("m", "r", "vllm", "1", 4096, 16, 100, accepts_images=True, max_images=2)
EARLIER = ModelInfo("m", "r", "vllm", "1", 4096, 16, 100, accepts_images=True)


class Backend:
    """Keeps what is forwarded."""

    def __init__(self, model: ModelInfo) -> None:
        self.model = model
        self.limits = ModelLimits(model.max_samples, model.max_tokens)
        self.defaults = ModelDefaults()
        self.forwarded: list[inference_pb2.GenerateRequest] = []

    async def find(self, _: str) -> "Backend":
        return self

    async def forward(self, request: Any, _: float) -> AsyncIterator[Any]:
        self.forwarded.append(request)
        yield inference_pb2.GenerateResponse(started={})


class Call:
    def time_remaining(self) -> float:
        return 5.0


async def passed_on(model: ModelInfo, request: inference_pb2.GenerateRequest) -> inference_pb2.GenerateRequest:
    backend = Backend(model)
    servicer = InferenceServicer(cast("BackendPool", backend), GatewaySettings())
    context = cast("grpc.aio.ServicerContext[Any, Any]", Call())
    assert [event async for event in servicer.Generate(request, context)]
    return backend.forwarded[0]


def shown(*messages: int, first: bool = False) -> inference_pb2.GenerateRequest:
    """A conversation with so many pictures in each message of the user."""
    request = inference_pb2.GenerateRequest(samples=[{}], image={"data": b"0"} if first else None)
    for count in messages:
        images: Any = [{"image": {"data": bytes([index])}} for index in range(count)]
        request.messages.add(role=inference_pb2.ROLE_USER, text="What?", images=images)
    return request


async def test_pictures_are_counted_wherever_they_are() -> None:
    for request in (shown(2), shown(1, 1), shown(1, first=True), shown(0, first=True)):
        assert await passed_on(NOW, request) == request
    for request, field in ((shown(1, 2), "messages[1].images[1]"), (shown(0, 2, first=True), "messages[1].images[1]")):
        with pytest.raises(InvalidArgument, match="at most 2") as refused:
            await passed_on(NOW, request)
        assert refused.value.violations[0].field == field


async def test_a_server_of_an_earlier_release_is_given_no_picture_that_it_would_overlook() -> None:
    assert (await passed_on(EARLIER, shown(0, first=True))).image.data == b"0"
    with pytest.raises(InvalidArgument, match="first user message"):
        await passed_on(EARLIER, shown(0, 1))


async def test_a_token_count_over_the_limit_is_refused_or_lowered_as_asked() -> None:
    asked = inference_pb2.GenerateRequest(samples=[{}], max_tokens=500)
    with pytest.raises(InvalidArgument, match="at most 100"):
        await passed_on(NOW, asked)
    asked.lower_max_tokens = True
    assert (await passed_on(NOW, asked)).max_tokens == 100


def test_conversations_with_other_pictures_are_not_taken_for_the_same() -> None:
    """Of two calls that were in an engine when it died only the same may be the cause."""
    requests = [shown(1), shown(2), shown(0, first=True), shown(0)]
    assert len({fingerprint(request) for request in requests}) == len(requests)
