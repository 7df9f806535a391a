"""What an engine caches of one caller's prompts is not found by another's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest
from PIL import Image

from axia.identity.keys import ROLES
from axia.v1 import inference_pb2, inference_pb2_grpc
from services.inference.engines.engine import (
    Conversation,
    Delta,
    EngineLoad,
    Message,
    ModelDescription,
    Picture,
    Prepared,
    Role,
)
from services.inference.engines.vllm.templates import chat_messages
from services.inference.sampling import Sampler
from services.inference.servicer import InferenceServicer
from services.inference.settings import InferenceSettings
from services.serving.identity.cache_salt import CACHE_SALT_KEY
from services.serving.identity.principal import ANYBODY, Principal, principal
from tests.component.test_backends import Model, pool
from tests.support.pictures import photograph


class Noting(Model):
    """A model's server that notes the salt of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.salts: list[str | None] = []

    def _note(self, context: Any) -> None:
        self.salts.append(dict(context.invocation_metadata()).get(CACHE_SALT_KEY))

    async def GenerateAll(self, request: Any, context: Any) -> inference_pb2.GenerateAllResponse:  # noqa: N802
        self._note(context)
        return await super().GenerateAll(request, context)

    async def Generate(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._note(context)
        yield inference_pb2.GenerateResponse(started={})


async def test_the_gateway_sends_another_salt_for_each_caller_and_none_where_nobody_is_known() -> None:
    model = Noting()
    await model.start()
    callers = [Principal(name, f"key:{name}", frozenset(ROLES)) for name in ("robot", "lab", "robot")]
    async with pool(model.address) as backends:
        await backends.start()
        held = await backends.find("m")
        for caller in [*callers, ANYBODY, None]:
            token = principal.set(caller)
            await held.forward_all(inference_pb2.GenerateAllRequest(), 10)
            assert [event async for event in held.forward(inference_pb2.GenerateRequest(), 10)]
            principal.reset(token)
    await model.stop()
    robot, streamed, lab, _, again, _, *unknown = model.salts
    assert robot
    assert robot == streamed == again != lab
    assert "robot" not in robot
    assert unknown == [None] * 4


class NotingEngine:
    """Keeps the conversations that it is given."""

    def __init__(self) -> None:
        self.conversations: list[Conversation] = []

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def describe(self) -> ModelDescription:
        return ModelDescription("m", "r", "noting", "1", 0, accepts_images=True)

    def special_tokens(self, role: Role) -> tuple[str, ...]:
        return ()

    def admit(self, completions: int) -> None:
        pass

    def load(self) -> EngineLoad:
        return EngineLoad(0, 0)

    async def prepare(self, conversation: Conversation) -> Prepared:
        self.conversations.append(conversation)
        return Prepared(1, None)

    async def stream(self, prepared: Prepared, sampling: Any) -> AsyncGenerator[Delta, None]:
        yield Delta("None.", 1, "stop")


async def test_an_inference_server_hands_the_salt_to_its_engine() -> None:
    engine: Any = NotingEngine()
    sampler = Sampler(engine, InferenceSettings(model="m"))
    await sampler.start()
    server = grpc.aio.server()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(sampler), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    asked = inference_pb2.GenerateRequest(
        image={"data": photograph()}, messages=[{"role": "ROLE_USER", "text": "What?"}], samples=[{"temperature": 1.0}]
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = inference_pb2_grpc.InferenceServiceStub(channel)
        for metadata in ((), ((CACHE_SALT_KEY, "s1"),)):
            await stub.GenerateAll(inference_pb2.GenerateAllRequest(generation=asked), metadata=metadata)
            assert [event async for event in stub.Generate(asked, metadata=metadata)]
        asked.ClearField("image")
        await stub.GenerateAll(inference_pb2.GenerateAllRequest(generation=asked), metadata=((CACHE_SALT_KEY, "s1"),))
    await server.stop(0)
    assert [conversation.cache_salt for conversation in engine.conversations] == ["", "", "s1", "s1", "s1"]


def uuid_of(salt: str) -> str:
    picture = Picture(Image.new("RGB", (8, 8)), "0" * 64)
    (message,) = chat_messages(Conversation([Message(Role.USER, "What?")], [picture], salt))
    return str(message["content"][0]["uuid"])


def test_a_picture_has_another_name_in_the_engines_caches_for_each_salt() -> None:
    assert uuid_of("") == "0" * 64
    assert len({uuid_of(""), uuid_of("s1"), uuid_of("s2")}) == 3
    assert uuid_of("s1") == uuid_of("s1")


def test_vllm_hashes_the_first_block_of_a_prompt_with_its_salt() -> None:
    pytest.importorskip("vllm", reason="no vLLM is installed here")
    from vllm.inputs import TokensPrompt
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
    from vllm.v1.request import Request

    assert "cache_salt" in TokensPrompt.__annotations__
    init_none_hash(sha256)
    hashes = {
        salt: Request("1", [1, 2, 3, 4], SamplingParams(), None, cache_salt=salt,
                      block_hasher=get_request_block_hasher(2, sha256)).block_hashes
        for salt in (None, "s1", "s2")
    }  # fmt: skip
    assert all(len({blocks[index] for blocks in hashes.values()}) == 3 for index in (0, 1))
