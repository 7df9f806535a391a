"""Reads from a vLLM release the signatures that axia's adapter relies on, without running it.

    python -m scripts.vllm_signatures path/to/vllm-0.33.0-….whl >> tests/data/vllm_signatures.json   # by hand, merged

A CUDA build can't be run on every machine, but its wheel can be read.
`tests/component/inference/test_vllm_signatures.py` holds the calls in services/inference/engines/vllm against the
signatures of every release that is recorded there.
"""

import ast
import json
import sys
import zipfile
from pathlib import Path

SOURCES = {
    "v1/engine/async_llm.py": ("AsyncLLM",),
    "config/model.py": ("ModelConfig",),
    "config/vllm.py": ("VllmConfig",),
    "config/scheduler.py": ("SchedulerConfig",),
    "multimodal/processing/context.py": ("TimingContext",),
    "multimodal/processing/inputs.py": ("ProcessorInputs",),
    "multimodal/processing/processor.py": ("BaseMultiModalProcessor",),
    "multimodal/registry.py": ("MultiModalRegistry",),
    "v1/engine/exceptions.py": ("EngineDeadError", "EngineGenerateError"),
    "v1/executor/uniproc_executor.py": ("UniProcExecutor",),
    "config/structured_outputs.py": ("StructuredOutputsConfig",),
    "engine/arg_utils.py": ("EngineArgs", "AsyncEngineArgs"),
    "exceptions.py": ("VLLMValidationError",),
    "sampling_params.py": ("RequestOutputKind", "SamplingParams", "StructuredOutputsParams"),
    "parser/engine/adapters.py": ("ParserEngineReasoningAdapter",),
    "reasoning/abs_reasoning_parsers.py": ("ReasoningParser", "ReasoningParserManager"),
    "renderers/params.py": ("ChatParams",),
    "renderers/base.py": ("BaseRenderer",),
    "utils/torch_utils.py": ("available_cpu_count",),
    "multimodal/inputs.py": ("MultiModalKwargsItem", "PlaceholderRange"),
    "v1/metrics/loggers.py": ("PrometheusStatLogger", "StatLoggerBase"),
    "v1/metrics/stats.py": ("BaseCacheStats", "RequestStateStats", "SchedulerStats"),
    "outputs.py": ("CompletionOutput",),
}
"""Classes and functions by the module that defines them."""
METHODS = (
    "generate", "check_admission", "shutdown", "get_num_unfinished_requests", "get_tokenizer", "render_chat_async",
    "render_cmpl_async", "default_cmpl_tok_params", "record", "log_engine_initialized", "errored", "apply",
    "create_engine_config", "create_processor", "from_vllm_config", "get_data", "get_dummy_inputs",
    "get_num_embeds", "get_reasoning_parser", "is_reasoning_end", "is_reasoning_end_streaming",
    "adjust_initial_state_from_prompt", "extract_reasoning_streaming", "has_engine_confirmed_reasoning_end",
    "finish_streaming",
)  # fmt: skip


def signatures(package: Path) -> dict[str, list[str]]:
    """Fields of classes, parameters of functions and methods by name, from a wheel or an unpacked vllm folder."""
    found: dict[str, list[str]] = {}
    for source, names in SOURCES.items():
        for node in ast.walk(ast.parse(_read(package, source))):
            if isinstance(node, ast.FunctionDef) and node.name in names:
                found[node.name] = _parameters(node.args)
            if isinstance(node, ast.ClassDef) and node.name in names:
                found[node.name] = sorted(item.target.id for item in node.body if _is_field(item))  # type: ignore[attr-defined]
                for item in node.body:
                    if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and item.name in METHODS:
                        found[f"{node.name}.{item.name}"] = _parameters(item.args)
    return found


def _is_field(item: ast.stmt) -> bool:
    return isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not item.target.id.startswith("_")


def _parameters(arguments: ast.arguments) -> list[str]:
    """Positional parameters by name, then keyword-only ones with a leading asterisk; optional ones end in "=".

    >>> _parameters(ast.parse("def f(self, a, b=1, *, c=2): pass").body[0].args)
    ['a', 'b=', '*c=']
    """
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    names = [argument.arg + ("=" if index >= required else "") for index, argument in enumerate(positional)]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    names += [f"*{argument.arg}" + ("=" if default is not None else "") for argument, default in keywords]
    return [name for name in names if name not in {"self", "cls"}]


def _read(package: Path, source: str) -> str:
    if package.is_dir():
        return (package / source).read_text(encoding="utf-8")
    with zipfile.ZipFile(package) as wheel:
        return wheel.read(f"vllm/{source}").decode()


if __name__ == "__main__":
    print(json.dumps(signatures(Path(sys.argv[1])), indent=1, sort_keys=True))
