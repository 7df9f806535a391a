"""Loads a model with vLLM: its arguments from the settings, and what suits a CPU."""

import dataclasses
import logging
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from services.inference.engines.vllm.arguments import checked_arguments
from services.inference.engines.vllm.environment import installed_version
from services.inference.engines.vllm.failures import load_failure
from services.inference.engines.vllm.images import PictureUse, make_room, measure
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

logger = logging.getLogger(__name__)

_CPU_KV_BLOCK = 32
"""Tokens of a key-value block on CPU. vLLM's 128 there would let short prompts share no prefix."""
_GIB = 2**30
_FIT_TO_MEMORY = -1
"""vLLM's `max_model_len` for the model's own context, or what of it the key-value cache holds."""


def load_model(
    settings: InferenceSettings, stat_loggers: Sequence[Callable[..., object]]
) -> "tuple[AsyncLLM, PictureUse]":
    """Starts vLLM's processes and loads the model, which takes tens of seconds.

    Returns:
        The engine, and what its processor makes of pictures.

    Raises:
        FailedPrecondition: If it can't be loaded, or an argument isn't taken, with the setting that helps.
    """
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise FailedPrecondition(
            "vLLM is not installed; run make setup, or set AXIA_INFERENCE_ENGINE=scripted", reason="VLLM_MISSING"
        ) from error
    if settings.trust_remote_code:
        logger.warning(
            "AXIA_INFERENCE_TRUST_REMOTE_CODE is set: Python code that comes with %s runs in this server",
            settings.model,
        )
    added = checked_arguments(settings, [field.name for field in dataclasses.fields(AsyncEngineArgs)])
    on_cpu = current_platform.is_cpu()
    try:
        args = AsyncEngineArgs(
            model=settings.model,
            revision=settings.revision or None,
            trust_remote_code=settings.trust_remote_code,
            dtype=settings.dtype,
            tensor_parallel_size=settings.tensor_parallel_size,
            quantization=settings.quantization or None,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            max_model_len=settings.max_model_len or _FIT_TO_MEMORY,
            max_num_seqs=settings.max_running,
            max_num_queued_reqs=settings.max_queue,
            # Compiling takes half a minute; on CPUs it gains little.
            enforce_eager=on_cpu if settings.enforce_eager is None else settings.enforce_eager,
            reasoning_parser=settings.reasoning_parser,
            limit_mm_per_prompt={"image": settings.max_images, "video": 0, "audio": 0},
            disable_log_stats=True,
            **(_defaults() | (_cpu_arguments(settings) if on_cpu else {}) | dict(added)),
        )
        config = args.create_engine_config()
        use = measure(config.model_config)
        make_room(config, use)
        return AsyncLLM.from_vllm_config(config, stat_loggers=list(stat_loggers), disable_log_stats=True), use
    except Exception as error:  # of many types, from configuration to memory
        logger.exception("vLLM could not load %s", settings.model)
        raise load_failure(error, settings, installed_version()) from error


def _defaults() -> dict[str, Any]:
    """What AXIA_INFERENCE_ENGINE_ARGS may change of what differs from vLLM's own defaults."""
    from vllm.config.structured_outputs import StructuredOutputsConfig

    return {
        "enable_prefix_caching": True,
        # Pickled weights run code of whoever made them while they are read; vLLM would fall back to them.
        "load_format": "safetensors",
        # One backend, which refuses a schema that it can't keep, and none of the white space in which small models get
        # lost. With a reasoning parser the answer is held to a format, and the reasoning is not.
        "structured_outputs_config": StructuredOutputsConfig(backend="xgrammar", disable_any_whitespace=True),
        "use_tqdm_on_load": False,
    }


def _cpu_arguments(settings: InferenceSettings) -> dict[str, Any]:
    """What suits a CPU better than vLLM's defaults; sets the number of threads for the engine process."""
    arguments: dict[str, Any] = {
        "block_size": _CPU_KV_BLOCK,
        "worker_cls": "services.inference.engines.vllm.worker.CpuWorker",
        # Stated in any case: unstated, vLLM takes a share of all memory, and refuses to start where others use it.
        "kv_cache_memory_bytes": int((settings.kv_cache_gib or 1) * _GIB),
    }
    if settings.kv_cache_gib is None and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        arguments["additional_config"] = {"fit_kv_cache": True}  # read by CpuWorker
    # Whoever binds threads to cores needs vLLM's worker process, which does that, and so does a model in several parts.
    if "VLLM_CPU_OMP_THREADS_BIND" in os.environ or settings.tensor_parallel_size > 1:
        return arguments
    from vllm.utils.torch_utils import available_cpu_count
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    threads = settings.cpu_threads or max(1, available_cpu_count() - 1)
    if settings.cpu_threads or "OMP_NUM_THREADS" not in os.environ:
        # The only way to tell the engine process, which inherits it and reads it when torch is first imported there; no
        # argument of vLLM's says how many threads that one may have. Torch was imported here before, so here it has no
        # effect.
        os.environ["OMP_NUM_THREADS"] = str(threads)
    # By its class: vLLM turns the name "uni" into "mp" on CPU, for its worker process counts and binds the threads.
    arguments["distributed_executor_backend"] = UniProcExecutor
    return arguments
