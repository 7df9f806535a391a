"""The parts of the vLLM adapter that need no vLLM to run; tests/e2e runs the rest."""

from pathlib import Path

import pytest
from PIL import Image

from services.inference.engine import Conversation, Message, Picture, Role
from services.inference.engine_vllm import VllmEngine
from services.inference.settings import InferenceSettings
from services.inference.templates import chat_messages, local_revision, plain_prompt, template_text
from services.serving.errors import FailedPrecondition

PICTURE = Picture(Image.new("RGB", (2, 2)), "ab" * 32)
TURNS = [
    Message(Role.SYSTEM, "Be brief."),
    Message(Role.USER, "Do you like it?"),
    Message(Role.ASSISTANT, "Yes."),
    Message(Role.USER, "Why?"),
]


def test_the_picture_goes_into_the_first_user_turn_under_its_hash() -> None:
    system, first, answer, second = chat_messages(Conversation(TURNS, PICTURE))
    assert [part["type"] for part in first["content"]] == ["image_pil", "text"]
    assert first["content"][0]["uuid"] == PICTURE.sha256
    for message in (system, answer, second):
        assert [part["type"] for part in message["content"]] == ["text"]
    assert [message["role"] for message in (system, first, answer, second)] == ["system", "user", "assistant", "user"]


def test_a_model_without_a_chat_template_gets_plain_text_turn_by_turn() -> None:
    settings = InferenceSettings(
        model="Salesforce/blip2-opt-2.7b",
        completion_template="Question: {prompt} Answer:",
        image_placeholder="<image>\n",
    )
    text = plain_prompt(Conversation(TURNS, PICTURE), settings)
    assert text == "Be brief.\n<image>\nQuestion: Do you like it? Answer: Yes.\nQuestion: Why? Answer:"
    assert "<image>" not in plain_prompt(Conversation(TURNS), settings)


def test_braces_in_a_prompt_stay_as_they_are() -> None:
    settings = InferenceSettings(model="x", completion_template="Q: {prompt} A:")
    text = plain_prompt(Conversation([Message(Role.USER, "{prompt} {0} {x}")]), settings)
    assert text == "Q: {prompt} {0} {x} A:"


def test_a_chat_template_is_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ messages }}")
    assert template_text("") is None
    assert template_text("{{ messages }}") == "{{ messages }}"
    assert template_text(str(file)) == "{{ messages }}"


def test_a_chat_template_that_is_not_there_is_refused_with_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="AXIA_INFERENCE_CHAT_TEMPLATE"):
        template_text(str(tmp_path / "none.jinja"))


def test_a_local_revision_follows_from_configuration_and_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    first = local_revision(tmp_path)
    assert first == local_revision(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"1235")
    assert local_revision(tmp_path) != first
    assert first.startswith("sha256:")


async def test_a_folder_without_a_configuration_is_refused_with_what_to_set(tmp_path: Path) -> None:
    engine = VllmEngine(InferenceSettings(model=str(tmp_path)))
    with pytest.raises(FailedPrecondition, match="AXIA_INFERENCE_MODEL"):
        await engine.start()


def test_a_completion_template_without_a_place_for_the_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="COMPLETION_TEMPLATE"):
        InferenceSettings(model="x", completion_template="Question:")
