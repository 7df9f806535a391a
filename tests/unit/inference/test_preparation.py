"""Whether a conversation's text or its picture is at fault, with an engine that refuses what a test says."""

from collections.abc import Callable

import pytest
from PIL import Image

from services.inference.engines.engine import Conversation, Message, ModelDescription, Picture, Prepared, Role
from services.inference.preparation import prepare
from services.serving.errors import InvalidArgument, Unavailable

MODEL = ModelDescription("m", "", "vllm", "1", 100, accepts_images=True)
TEXT = Conversation([Message(Role.USER, "Hello")])
WITH_PICTURE = Conversation(TEXT.messages, [Picture(Image.new("RGB", (2000, 10)), "ab" * 32)])


class Engine:
    """Counts tokens, or refuses."""

    def __init__(self, tokens: Callable[[Conversation], int]) -> None:
        self._tokens = tokens

    async def prepare(self, conversation: Conversation) -> Prepared:
        return Prepared(self._tokens(conversation), None)


def refuse(conversation: Conversation) -> int:
    raise InvalidArgument("messages", "can't be taken", reason="CONVERSATION_REFUSED")


async def refusal(tokens: Callable[[Conversation], int], conversation: Conversation) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        await prepare(Engine(tokens), conversation, MODEL)  # type: ignore[arg-type]
    return caught.value


def fields(error: InvalidArgument) -> list[str]:
    return [violation.field for violation in error.violations]


async def test_what_fits_is_given_back() -> None:
    assert (await prepare(Engine(lambda conversation: 99), WITH_PICTURE, MODEL)).prompt_tokens == 99  # type: ignore[arg-type]


async def test_a_text_that_is_too_long_is_the_messages_fault_with_or_without_a_picture() -> None:
    for conversation in (TEXT, WITH_PICTURE):
        error = await refusal(lambda asked: 100, conversation)
        assert (fields(error), error.reason) == (["messages"], "CONTEXT_TOO_LONG")


async def test_a_picture_that_takes_the_context_is_the_pictures_fault() -> None:
    error = await refusal(lambda asked: 200 if asked.pictures else 20, WITH_PICTURE)
    assert (fields(error), error.reason) == (["image"], "CONTEXT_TOO_LONG")
    for said in ("it has 100 tokens", "text needs 20", "2000 x 10", "AXIA_INFERENCE_MAX_MODEL_LEN"):
        assert said in error.message


async def test_a_picture_that_the_processor_refuses_is_the_pictures_fault() -> None:
    error = await refusal(lambda asked: refuse(asked) if asked.pictures else 20, WITH_PICTURE)
    assert (fields(error), error.reason) == (["image"], "IMAGE_REFUSED")
    assert "2000 x 10 pixels" in error.message


async def test_a_conversation_that_is_refused_without_its_picture_too_is_the_messages_fault() -> None:
    for conversation in (TEXT, WITH_PICTURE):
        error = await refusal(refuse, conversation)
        assert (fields(error), error.reason) == (["messages"], "CONVERSATION_REFUSED")


async def test_a_dead_engine_is_no_fault_of_the_request() -> None:
    def die(conversation: Conversation) -> int:
        raise Unavailable("the engine has died", reason="ENGINE_DEAD")

    with pytest.raises(Unavailable):
        await prepare(Engine(die), WITH_PICTURE, MODEL)  # type: ignore[arg-type]
