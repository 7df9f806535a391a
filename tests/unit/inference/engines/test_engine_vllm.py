"""The parts of the vLLM adapter that need no vLLM to run; tests/e2e runs the rest."""

import asyncio
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from services.inference.engines.engine import Conversation, Message, Picture, Role
from services.inference.engines.vllm.engine import VllmEngine
from services.inference.engines.vllm.loading import _cpu_arguments
from services.inference.engines.vllm.templates import chat_messages, packaged_template, plain_prompt, template_text
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition, Unavailable

PICTURE = Picture(Image.new("RGB", (2, 2)), "ab" * 32)
TURNS = [
    Message(Role.SYSTEM, "Be brief."),
    Message(Role.USER, "Do you like it?"),
    Message(Role.ASSISTANT, "Yes."),
    Message(Role.USER, "Why?"),
]


def test_the_picture_goes_into_the_first_user_turn_under_its_hash() -> None:
    system, first, answer, second = chat_messages(Conversation(TURNS, [PICTURE]))
    assert [part["type"] for part in first["content"]] == ["image_pil", "text"]
    assert first["content"][0]["uuid"] == PICTURE.sha256
    for message in (system, answer, second):
        assert [part["type"] for part in message["content"]] == ["text"]
    assert [message["role"] for message in (system, first, answer, second)] == ["system", "user", "assistant", "user"]


def test_several_pictures_keep_their_places_among_the_texts() -> None:
    text = "Image 1:\nImage 2:\nWhat changed?"
    turns = [*TURNS[:3], Message(Role.USER, text)]
    later = [PICTURE._replace(message=3, after_chars=at) for at in (len("Image 1:"), len("Image 1:\nImage 2:"))]
    *_, last = chat_messages(Conversation(turns, [PICTURE, *later]))
    assert [part.get("text", "picture") for part in last["content"]] == [
        "Image 1:", "picture", "Image 2:", "picture", "What changed?",
    ]  # fmt: skip
    settings = InferenceSettings(model="x", completion_template="Q: {prompt} A:", image_placeholder="<image>")
    plain = plain_prompt(Conversation(turns[3:], [picture._replace(message=0) for picture in later]), settings)
    assert plain == f"<image><image>Q: {text} A:"


def test_a_model_without_a_chat_template_gets_plain_text_turn_by_turn() -> None:
    settings = InferenceSettings(
        model="Salesforce/blip2-opt-2.7b",
        completion_template="Question: {prompt} Answer:",
        image_placeholder="<image>\n",
    )
    text = plain_prompt(Conversation(TURNS, [PICTURE]), settings)
    assert text == "Be brief.\n<image>\nQuestion: Do you like it? Answer: Yes.\nQuestion: Why? Answer:"
    assert "<image>" not in plain_prompt(Conversation(TURNS), settings)


def test_braces_in_a_prompt_stay_as_they_are() -> None:
    settings = InferenceSettings(model="x", completion_template="Q: {prompt} A:")
    text = plain_prompt(Conversation([Message(Role.USER, "{prompt} {0} {x}")]), settings)
    assert text == "Q: {prompt} {0} {x} A:"


def test_a_chat_template_is_text_a_file_or_the_name_of_a_packaged_one(tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ messages }}")
    assert template_text("") is None
    assert template_text("{{ messages }}") == "{{ messages }}"
    assert template_text(str(file)) == "{{ messages }}"
    assert template_text("blip-2") == packaged_template("blip-2")
    assert "USER: " in str(template_text("llava-1.5"))
    assert packaged_template("llava") is None


def test_a_chat_template_that_is_not_there_is_refused_with_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"AXIA_INFERENCE_CHAT_TEMPLATE .* blip-2, llava-1.5, plain"):
        template_text(str(tmp_path / "none.jinja"))


async def test_a_folder_without_a_configuration_is_refused_with_what_to_set(tmp_path: Path) -> None:
    engine = VllmEngine(InferenceSettings(model=str(tmp_path)))
    with pytest.raises(FailedPrecondition, match="AXIA_INFERENCE_MODEL"):
        await engine.start()


def test_a_completion_template_without_a_place_for_the_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="COMPLETION_TEMPLATE"):
        InferenceSettings(model="x", completion_template="Question:")


ALWAYS = {
    "block_size": 32,
    "worker_cls": "services.inference.engines.vllm.worker.CpuWorker",
    "kv_cache_memory_bytes": 2**30,
    "additional_config": {"fit_kv_cache": True},
}


class Executor:
    """Stands for vLLM's UniProcExecutor."""


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `_cpu_arguments` imports of vLLM, which takes ten seconds; a contract test holds the names against it."""
    utils, executors = ModuleType("vllm.utils.torch_utils"), ModuleType("vllm.v1.executor.uniproc_executor")
    utils.available_cpu_count = lambda: 4  # type: ignore[attr-defined]  # made here
    executors.UniProcExecutor = Executor  # type: ignore[attr-defined]  # made here
    for name in ("vllm", "vllm.utils", "vllm.v1", "vllm.v1.executor"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for module in (utils, executors):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for variable in ("OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND", "VLLM_CPU_KVCACHE_SPACE"):
        monkeypatch.setenv(variable, "")  # so that it is as it was after the test, whatever the test sets
        monkeypatch.delenv(variable)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("cpu_threads", "given", "threads"),
    [
        (0, None, "3"),  # one core is left to everything else
        (0, "2", "2"),
        (5, None, "5"),
        (5, "2", "5"),
    ],
)
def test_a_model_on_cpu_runs_in_the_engine_process_with_so_many_threads(
    monkeypatch: pytest.MonkeyPatch, cpu_threads: int, given: str | None, threads: str
) -> None:
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    arguments = _cpu_arguments(InferenceSettings(model="x", cpu_threads=cpu_threads))
    assert arguments == ALWAYS | {"distributed_executor_backend": Executor}
    assert os.environ["OMP_NUM_THREADS"] == threads


@pytest.mark.usefixtures("four_cores")
def test_a_model_on_a_single_core_has_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["vllm.utils.torch_utils"], "available_cpu_count", lambda: 1)
    _cpu_arguments(InferenceSettings(model="x"))
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(("bind", "parts"), [("0-3", 1), (None, 2)])
def test_threads_that_vllm_binds_to_cores_are_left_to_it(
    monkeypatch: pytest.MonkeyPatch, bind: str | None, parts: int
) -> None:
    if bind:
        monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", bind)
    arguments = _cpu_arguments(InferenceSettings(model="x", cpu_threads=2, tensor_parallel_size=parts))
    assert arguments == ALWAYS
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.usefixtures("four_cores")
def test_a_key_value_cache_that_is_stated_is_not_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = _cpu_arguments(InferenceSettings(model="x", kv_cache_gib=2.5))
    assert arguments["kv_cache_memory_bytes"] == 2.5 * 2**30
    assert "additional_config" not in arguments
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "4")  # vLLM's own variable, which it reads itself
    assert "additional_config" not in _cpu_arguments(InferenceSettings(model="x"))


async def test_an_engine_that_gives_no_token_for_long_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging:
        errored = False
        unfinished = 0

        def get_num_unfinished_requests(self) -> int:
            return self.unfinished

    monkeypatch.setattr("services.inference.engines.vllm.engine._HEALTH_INTERVAL_S", 0.01)
    engine = VllmEngine(InferenceSettings(model="x", hang_seconds=0.1))
    engine._llm = hanging = Hanging()  # type: ignore[assignment]
    watching = asyncio.create_task(engine.watch())
    await asyncio.sleep(0.3)
    assert not watching.done()  # there is nothing to do
    hanging.unfinished = 1
    with pytest.raises(Unavailable, match="AXIA_INFERENCE_HANG_SECONDS") as caught:
        await asyncio.wait_for(watching, 5)
    assert caught.value.reason == "ENGINE_HUNG"
