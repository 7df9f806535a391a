"""Arguments of vLLM's engine that AXIA_INFERENCE_ENGINE_ARGS adds, checked by name before a model is loaded."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition

_BY_SETTING = {
    "model": "MODEL",
    "served_model_name": "MODEL_NAME",
    "revision": "REVISION",
    "trust_remote_code": "TRUST_REMOTE_CODE",
    "dtype": "DTYPE",
    "tensor_parallel_size": "TENSOR_PARALLEL_SIZE",
    "quantization": "QUANTIZATION",
    "gpu_memory_utilization": "GPU_MEMORY_UTILIZATION",
    "max_model_len": "MAX_MODEL_LEN",
    "max_num_seqs": "MAX_RUNNING",
    "max_num_queued_reqs": "MAX_QUEUE",
    "enforce_eager": "ENFORCE_EAGER",
    "reasoning_parser": "REASONING_PARSER",
}
"""Arguments that have a setting of their own."""

_REFUSED = {
    "allowed_local_media_path": "it lets prompts name files on this machine",
    "allowed_media_domains": "it lets prompts name addresses on the network",
    "enable_prompt_embeds": "it accepts tensors from callers",
    "enable_mm_embeds": "it accepts tensors from callers",
    "limit_mm_per_prompt": "requests have images, but no video or audio",
    "hf_token": "this setting is shown, so it must not hold a secret; set HF_TOKEN",
    "enable_log_requests": "it writes prompts to the log",
    "worker_cls": "axia's own worker keeps seeded requests alive on CPUs",
    "worker_extension_cls": "it runs code of your own in the engine; change axia's worker instead",
    "distributed_executor_backend": "it can run code of your own, and axia chooses the backend for the machine",
    "model_class_overrides": "it runs code of your own in the engine",
    "model_loader_extra_config": "it may hold keys, and arguments are shown in provenance",
    "kv_transfer_config": "it may hold keys and name code, and arguments are shown in provenance",
    "kv_events_config": "it may hold keys, and arguments are shown in provenance",
    "ec_transfer_config": "it may hold keys, and arguments are shown in provenance",
    "ec_manager_config": "it may hold keys, and arguments are shown in provenance",
    "otlp_traces_endpoint": "it may hold keys, and arguments are shown in provenance",
    "additional_config": "axia's worker uses it",
    "scheduler_cls": "it runs code of your own in the engine",
    "logits_processors": "it runs code of your own in the engine",
    "io_processor_plugin": "it runs code of your own in the engine",
    "reasoning_parser_plugin": "it runs code of your own in the engine",
    "skip_tokenizer_init": "prompts are texts",
    "tokens_only": "prompts are texts",
    "runner": "this service only generates text",
    "convert": "this service only generates text",
    "disable_log_stats": "this service's metrics need the statistics",
    "generation_config": "requests have their own sampling parameters",
    "override_generation_config": "requests have their own sampling parameters",
    "seed": "each completion has a seed of its own",
}
"""Arguments that are not taken, each with why."""

_PICKLED = ("auto", "hf", "pt", "npcache")
"""Formats of weights that are pickles, or fall back to them."""


def checked_arguments(settings: InferenceSettings, known: Collection[str]) -> Mapping[str, Any]:
    """The arguments that the settings add.

    Args:
        settings: Holds them.
        known: Names of all arguments of the vLLM that is installed.

    Raises:
        FailedPrecondition: One is unknown, has a setting of its own, or is not taken.
    """
    for name in settings.engine_args:
        if name in _BY_SETTING:
            raise _refused(name, f"set AXIA_INFERENCE_{_BY_SETTING[name]} instead")
        if name in _REFUSED:
            raise _refused(name, f"it is not allowed: {_REFUSED[name]}")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else " in the installed release"
            raise _refused(name, f"vLLM has no such argument{hint}")
    if settings.engine_args.get("load_format") in _PICKLED:
        raise _refused(
            "load_format",
            "pickled weights can run code: leave it unset for safetensors, or name a format without pickles",
        )
    return settings.engine_args


def _refused(name: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(f"AXIA_INFERENCE_ENGINE_ARGS: {name}: {why}", reason="ENGINE_ARGUMENT")
