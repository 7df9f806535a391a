"""The provider axia/<model> on a scripted inference server, which serves what a gateway forwards."""

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentAudio,
    ContentImage,
    ContentReasoning,
    ContentText,
    GenerateConfig,
)

from axia.errors import ConnectionFailed, InvalidRequest, NotFound, Overloaded, Unauthenticated, Unavailable
from axia.evals.generation import FIRST_SENTENCE, picture_bytes, to_request
from axia.evals.provider import AxiaAPI, without_pictures
from axia.evals.seeds import completion_seed
from axia.v1 import inference_pb2
from tests.support import evaluations, pictures, processes

PICTURE = pictures.photograph(size=(32, 24))
URI = f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}"


@pytest.fixture(scope="module")
def inference_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import json

    folder = tmp_path_factory.mktemp("inference")
    answers = folder / "weak.yaml"
    answers.write_text(json.dumps(evaluations.WEAK | {"token_ms": 0}), encoding="utf-8")
    with processes.inference(folder / "inference.log", engine="scripted", answers=answers) as server:
        server.wait_for("SERVING")
        yield server.address


@pytest.fixture
async def api(inference_address: str) -> AsyncIterator[AxiaAPI]:
    provider = AxiaAPI("weak", base_url=inference_address)
    yield provider
    await provider.aclose()


def asked(text: str = "What needs attention?") -> list[Any]:
    return [ChatMessageUser(content=[ContentImage(image=URI), ContentText(text=text)])]


async def said(api: AxiaAPI, **config: Any) -> tuple[list[str], Any, Any]:
    result = await api.generate(asked("Say what needs attention in it."), [], "none", GenerateConfig(**config))
    assert isinstance(result, tuple)
    output, call = result
    assert not isinstance(output, Exception)
    return [choice.message.text for choice in output.choices], output, call


async def test_choices_follow_from_the_seed(api: AxiaAPI) -> None:
    first, output, call = await said(api, num_choices=16, seed=7, temperature=1.0)
    again, _, _ = await said(api, num_choices=16, seed=7, temperature=1.0)
    assert first == again
    assert len(first) == 16
    assert len(set(first)) > 1
    digest = hashlib.sha256(PICTURE).hexdigest()
    seeds = [completion_seed(7, index, digest) for index in range(16)]
    assert [completion["seed"] for completion in output.metadata["completions"]] == seeds
    assert output.metadata["image_sha256"] == digest
    assert output.metadata["engine"] == "scripted"
    assert "base64" not in str(call.request)
    assert call.request["messages"] == [
        {"role": inference_pb2.ROLE_USER, "text": "Say what needs attention in it.", "pictures": 1}
    ]


async def test_without_a_seed_draws_differ_and_without_a_temperature_the_models_default_holds(api: AxiaAPI) -> None:
    seeds = set()
    for _ in range(4):
        _, output, _ = await said(api)
        seeds.add(output.metadata["completions"][0]["seed"])
    assert len(seeds) == 4


async def test_a_completion_can_end_with_its_first_sentence(api: AxiaAPI) -> None:
    (whole,), _, _ = await said(api, seed=1, max_tokens=1)
    (first,), output, _ = await said(api, seed=1, extra_body={FIRST_SENTENCE: True})
    assert first in {"A vase of flowers.", "None.", "The green curtain.", "The lamp."}
    assert output.stop_reason == "stop"
    assert len(whole) < len(first)


async def test_a_model_that_is_not_there_is_an_error_with_its_name(inference_address: str) -> None:
    provider = AxiaAPI("gone", base_url=inference_address)
    with pytest.raises(NotFound, match="gone"):
        await provider.generate(asked(), [], "none", GenerateConfig())
    await provider.aclose()


def test_turns_keep_their_roles_and_thoughts_are_not_said_again() -> None:
    turns = [
        ChatMessageSystem(content="Be brief."),
        *asked("First?"),
        ChatMessageAssistant(content=[ContentReasoning(reasoning="hm"), ContentText(text="Yes.")]),
        ChatMessageUser(content=[ContentText(text="Second?"), ContentImage(image=URI), ContentText(text="Third?")]),
    ]
    request = to_request("m", turns, GenerateConfig(stop_seqs=["###"], top_p=0.5))
    assert [message.role for message in request.messages] == [
        inference_pb2.ROLE_SYSTEM, inference_pb2.ROLE_USER, inference_pb2.ROLE_ASSISTANT, inference_pb2.ROLE_USER,
    ]  # fmt: skip
    assert [message.text for message in request.messages] == ["Be brief.", "First?", "Yes.", "Second?\nThird?"]
    assert [len(message.images) for message in request.messages] == [0, 1, 0, 1]
    assert request.messages[3].images[0].after_chars == len("Second?")
    assert list(request.stop) == ["###"]
    assert request.default_temperature


@pytest.mark.parametrize(
    ("messages", "said_"),
    [
        ([ChatMessageTool(content="x")], "axia's models use no tools"),
        ([ChatMessageUser(content=[ContentAudio(audio="data:audio/wav;base64,AA==", format="wav")])], "contains audio"),
        ([ChatMessageUser(content=[ContentImage(image="https://example.org/a.jpg")])], "is not a data URI"),
        ([ChatMessageUser(content=[ContentImage(image="data:image/png;base64,%%%")])], "is not valid base64"),
    ],
)
def test_what_the_service_does_not_take_is_refused(messages: list[Any], said_: str) -> None:
    with pytest.raises(InvalidRequest, match=said_):
        to_request("m", messages, GenerateConfig())


def test_a_picture_s_bytes_are_those_of_its_data_uri() -> None:
    assert picture_bytes(URI) == PICTURE


def test_only_what_was_refused_before_the_model_began_is_repeated(inference_address: str) -> None:
    api = AxiaAPI("weak", base_url=inference_address)
    assert api.should_retry(Overloaded("full", retry_after=2.0)).retry
    assert api.should_retry(Unavailable("away")).retry
    assert not api.should_retry(ConnectionFailed("no gateway")).retry
    assert not api.should_retry(InvalidRequest("wrong")).retry
    assert api.is_auth_failure(Unauthenticated("key"))
    assert api.connection_key() == f"{inference_address}/weak"
    assert api.max_connections() == 32


def test_arguments_that_the_provider_does_not_take_are_named() -> None:
    with pytest.raises(ValueError, match="colour: the provider axia takes no further arguments"):
        AxiaAPI("m", base_url="127.0.0.1:1", colour="red")


def test_logs_hold_no_pictures() -> None:
    assert without_pictures("image", URI) == "data:image/jpeg;base64,…"
    assert without_pictures("text", "data: none") == "data: none"
