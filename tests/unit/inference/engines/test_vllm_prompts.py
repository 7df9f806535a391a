"""What a chat template does by itself, with a renderer that applies one as vLLM does; its tokens are characters."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jinja2
import pytest

from services.inference.engines.engine import Conversation, Message, Role
from services.inference.engines.vllm.prompts import Prompts
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition, InvalidArgument, Unavailable

BEGIN = 1
PLAIN = "{% for m in messages %}{{ m['content'][0]['text'] }}\n{% endfor %}"
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'][0]['text'] }}<|im_end|>\n{% endfor %}"
)
DROPS_SYSTEM = "{% for m in messages if m['role'] == 'user' %}{{ m['content'][0]['text'] }}{% endfor %}"
REFUSES_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ nothing.at.all }}{% endif %}" + DROPS_SYSTEM
SYSTEM = Message(Role.SYSTEM, "Be brief.")
USER = Message(Role.USER, "Hello")


class Tokenizer:
    """Begins plain texts with a token if it is told to."""

    chat_template: str | None = None

    def __init__(self, *, begins: bool) -> None:
        self.bos_token_id = BEGIN
        self._begins = begins

    def encode(self, text: str) -> list[int]:
        return [BEGIN] * self._begins + [ord(char) for char in text]

    def decode(self, ids: list[int]) -> str:
        return "".join("<s>" if token == BEGIN else chr(token) for token in ids)


class Renderer:
    """Tokenizes what a template gives without the beginning, or as a plain text where it isn't to tokenize."""

    default_cmpl_tok_params = "as a plain text"
    takes_no_images = False
    most_images = 3

    def __init__(self, template: str | None, tokenizer: Tokenizer) -> None:
        self._template = template
        self._tokenizer = tokenizer

    async def render_chat_async(self, conversations: list[Any], params: Any, tokens: object = None) -> Any:
        source = params.chat_template or self._template
        if source is None:
            raise ValueError("there is no template")
        parts = [part for message in conversations[0] for part in message["content"]]
        if self.takes_no_images and any(part["type"] == "image_pil" for part in parts):
            raise RuntimeError("Expected there to be 1 prompt placeholder")
        if sum(part["type"] == "image_pil" for part in parts) > self.most_images:
            raise ValueError("At most 3 image(s) may be provided in one prompt.")
        for message in conversations[0]:
            message["content"] = [part for part in message["content"] if part["type"] == "text"]
        try:
            text = jinja2.Template(source, undefined=jinja2.StrictUndefined).render(messages=conversations[0])
        except jinja2.TemplateError as error:  # as vLLM does
            raise ValueError(str(error)) from error
        if params.chat_template_kwargs["tokenize"]:
            return None, [{"prompt_token_ids": [ord(char) for char in text]}]
        assert tokens == self.default_cmpl_tok_params
        return None, [{"prompt_token_ids": self._tokenizer.encode(text)}]


@pytest.fixture(autouse=True)
def _without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    params, errors, engine = (ModuleType(f"vllm.{name}") for name in ("renderers.params", "exceptions", "v1.engine"))
    params.ChatParams = SimpleNamespace  # type: ignore[attr-defined]  # made here
    errors.VLLMValidationError = type("VLLMValidationError", (Exception,), {})  # type: ignore[attr-defined]
    engine_errors = ModuleType("vllm.v1.engine.exceptions")
    for name in ("EngineDeadError", "EngineGenerateError"):
        setattr(engine_errors, name, type(name, (Exception,), {}))
    for module in (ModuleType("vllm"), ModuleType("vllm.renderers"), ModuleType("vllm.v1"), params, errors, engine,
                   engine_errors):  # fmt: skip
        monkeypatch.setitem(sys.modules, module.__name__, module)


async def look(
    template: str | None, *, begins: bool = False, pictures: bool = True, model_type: str = "llava"
) -> Prompts:
    tokenizer = Tokenizer(begins=begins)
    llm: Any = SimpleNamespace(
        renderer=Renderer(template, tokenizer),
        get_tokenizer=lambda: tokenizer,
        model_config=SimpleNamespace(hf_config=SimpleNamespace(model_type=model_type), is_multimodal_model=pictures),
    )
    prompts = Prompts(llm, InferenceSettings(model="hub/model"))
    await prompts.look()
    return prompts


def ids(prepared: Any) -> list[int]:
    return list(prepared.handle["prompt_token_ids"])


async def test_what_a_template_adds_by_itself_is_told() -> None:
    prompts = await look(QWEN)
    assert prompts.template.startswith(
        "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n{prompt}<|im_end"
    )


@pytest.mark.parametrize("template", [DROPS_SYSTEM, REFUSES_SYSTEM])
async def test_a_system_prompt_that_would_be_dropped_is_refused(template: str) -> None:
    prompts = await look(template)
    with pytest.raises(InvalidArgument) as caught:
        await prompts.prepare(Conversation([SYSTEM, USER]))
    assert (caught.value.reason, caught.value.violations[0].field) == ("SYSTEM_PROMPT_UNSUPPORTED", "messages[0].text")
    assert (await prompts.prepare(Conversation([USER]))).prompt_tokens == len("Hello")


async def test_a_system_prompt_that_has_a_place_is_used() -> None:
    prompts = await look(QWEN)
    assert "Be brief." in Tokenizer(begins=False).decode(ids(await prompts.prepare(Conversation([SYSTEM, USER]))))


@pytest.mark.parametrize(
    ("template", "begins", "added"),
    [
        (PLAIN, True, True),  # LLaVA 1.6 on Mistral: the tokenizer begins texts, the template doesn't
        (PLAIN, False, False),  # Qwen: no text begins so
        ("\x01" + PLAIN, True, False),  # Gemma: the template writes it
    ],
)
async def test_the_token_that_begins_a_text_is_there_once(template: str, begins: bool, added: bool) -> None:
    prompts = await look(template, begins=begins)
    written = ids(await prompts.prepare(Conversation([USER])))
    assert written.count(BEGIN) == (1 if begins else 0)
    assert prompts.template.startswith("<s>") == begins
    assert (len(written) == len("Hello\n") + 1) == (added or begins)


async def test_nothing_is_added_to_texts_of_a_model_without_images() -> None:
    prompts = await look(PLAIN, begins=True, pictures=False)
    assert BEGIN not in ids(await prompts.prepare(Conversation([USER])))


async def test_a_prompt_without_a_place_for_the_image_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Renderer, "takes_no_images", True)
    with pytest.raises(FailedPrecondition, match="AXIA_INFERENCE_IMAGE_PLACEHOLDER"):
        await look(PLAIN)


@pytest.mark.parametrize(("takes", "expected"), [(1, 1), (3, 3), (9, 4)])
async def test_as_many_pictures_are_offered_as_the_model_and_the_setting_allow(
    monkeypatch: pytest.MonkeyPatch, takes: int, expected: int
) -> None:
    monkeypatch.setattr(Renderer, "most_images", takes)
    assert InferenceSettings(model="m").max_images == 4
    assert (await look(PLAIN)).max_images == expected


async def test_a_fault_of_the_machine_is_not_told_as_one_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = await look(PLAIN)

    async def fail(*given: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Renderer, "render_chat_async", fail)
    with pytest.raises(Unavailable):
        await prompts.prepare(Conversation([USER]))


async def test_a_model_without_a_template_is_told_what_to_set() -> None:
    with pytest.raises(FailedPrecondition, match="AXIA_INFERENCE_CHAT_TEMPLATE") as caught:
        await look(None)
    assert caught.value.reason == "TEMPLATE_MISSING"


async def test_blip2_gets_the_packaged_template_unless_its_repository_has_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    packaged = Prompts(_blip2(), InferenceSettings(model=str(tmp_path)))
    assert "Question: " in str(packaged._chat_template)
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": PLAIN}))
    assert Prompts(_blip2(), InferenceSettings(model=str(tmp_path)))._chat_template is None


def _blip2() -> Any:
    config = SimpleNamespace(hf_config=SimpleNamespace(model_type="blip-2"))
    return SimpleNamespace(model_config=config, get_tokenizer=lambda: Tokenizer(begins=True), renderer=None)


async def test_a_conversation_with_a_salt_is_cached_apart() -> None:
    prompts = await look(PLAIN)
    apart: Any = (await prompts.prepare(Conversation([USER], cache_salt="s1"))).handle
    shared: Any = (await prompts.prepare(Conversation([USER]))).handle
    assert apart["cache_salt"] == "s1"
    assert "cache_salt" not in shared
