"""vLLM's worker for CPUs with three corrections; loaded by name inside vLLM's engine process.

- A seeded request draws a random number in every step, also in a step that prefills only a part of its prompt, and that
  draw is to be undone. vLLM undoes it by the generator's offset, which generators on a CPU don't have: the engine dies
  with "CPU Generator does not use offset". Here the generator's state is put back instead. The alternative, prefilling
  every prompt in one step (`enable_chunked_prefill=False`), makes all others wait as long as the longest prompt takes.
- A process must ask Linux for Intel's AMX tiles before it uses them.
- The key-value cache's size follows from the model and the memory that is free, where the settings leave it open.
"""

import logging
from typing import Any

import torch
from vllm.utils.cpu_resource_utils import get_allowed_cpu_list, get_memory_node_info
from vllm.v1.core.kv_cache_utils import max_memory_usage_bytes
from vllm.v1.worker.cpu_model_runner import CPUModelRunner
from vllm.v1.worker.cpu_worker import CPUWorker

_LEAST_CACHE = 2**30

logger = logging.getLogger(f"vllm.{__name__}")  # below vLLM's own, whose handlers the engine process has


class CpuWorker(CPUWorker):  # type: ignore[misc]  # vLLM is not type-checked
    """Computes on a CPU with seeds that hold however a prompt is split into steps."""

    def init_device(self) -> None:
        """Creates the model runner."""
        if torch.cpu._is_amx_tile_supported() and not torch.cpu._init_amx():
            logger.warning(
                "Linux doesn't let this process use AMX, which bfloat16 needs on this CPU; set "
                "AXIA_INFERENCE_DTYPE=float32 if the model fails"
            )
        super().init_device()
        if type(self.model_runner) is CPUModelRunner:  # vLLM's second runner draws by position and needs none of this
            self.model_runner.__class__ = SeededRunner

    def determine_available_memory(self) -> int:
        """Bytes for the key-value cache; where the settings leave it open, as many as a whole context needs."""
        if self.vllm_config.additional_config.get("fit_kv_cache"):
            self.cache_config.kv_cache_memory_bytes = self._fitting_cache()
        return int(super().determine_available_memory())

    def _fitting_cache(self) -> int:
        layers = self.get_kv_cache_spec().values()
        # A block that vLLM keeps for itself comes on top of the context's.
        wanted = max_memory_usage_bytes(self.vllm_config, layers) + sum(layer.page_size_bytes for layer in layers)
        node = get_memory_node_info(get_allowed_cpu_list()[0].numa_node)
        free = node.available_memory // self.parallel_config.tensor_parallel_size
        fitting = int(min(max(wanted, _LEAST_CACHE), free // 2))
        if fitting < wanted and self.model_config.original_max_model_len == -1:
            logger.warning(
                "The full context needs %.1f GiB of key-value cache; %.1f GiB are free, and half of that is used. The "
                "context becomes shorter",
                wanted / 2**30,
                free / 2**30,
            )
        return fitting


class SeededRunner(CPUModelRunner):  # type: ignore[misc]  # vLLM is not type-checked
    """Undoes the draws of prompts that are only partly prefilled by the state of their generators."""

    def _sample(self, *args: Any, **kwargs: Any) -> Any:
        states = [(generator, generator.get_state()) for generator in self._partly_prefilled().values()]
        sampled = super()._sample(*args, **kwargs)
        for generator, state in states:
            generator.set_state(state)
        return sampled

    def _bookkeeping_sync(self, *args: Any, **kwargs: Any) -> Any:
        undone = self._partly_prefilled()
        generators = self.input_batch.generators
        for row in undone:  # or they would be undone once more
            del generators[row]
        try:
            return super()._bookkeeping_sync(*args, **kwargs)
        finally:
            generators.update(undone)

    def _partly_prefilled(self) -> dict[int, torch.Generator]:
        """Generators of the requests whose token of this step is thrown away, by their row in the batch."""
        generators = self.input_batch.generators
        discarded = self.discard_request_mask.np[: self.input_batch.num_reqs].nonzero()[0].tolist()
        return {row: generators[row] for row in discarded if row in generators}
