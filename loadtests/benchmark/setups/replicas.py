"""Several inference servers behind one gateway, and routers in front of several of vLLM's own servers."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from axia.testing import free_port
from loadtests.benchmark import rows
from loadtests.benchmark.axias import Detection
from loadtests.benchmark.rivals import CRUDE_STOPS, GPU_SHARE, OpenAiDetection
from loadtests.benchmark.setups.base import ROUTER, Setup
from loadtests.benchmark.setups.cameras import RepeatingScenes
from loadtests.benchmark.sides import Side
from loadtests.servers import Server

REPLICAS = 2
CACHED_SCENES = 23
"""Scenes of 40 that fit into each cache of a replica: more than half, because a hash does not halve them exactly."""
_IMAGE_TOKENS = 64
_IMAGE_BYTES = 2 * 3 * 112 * 112
"""What the demo model's processor makes of an image: bfloat16, three channels."""
_PROMPT_BLOCKS = 2
"""Blocks of 32 tokens that a scene's prompt of 89 tokens fills."""
_RUNNING_BLOCKS = 16
"""Blocks for completions that run: two calls with three completions each, and some more."""
SMALL_CACHES = {
    # The encoder's cache has as many places as a step has tokens.
    "max_num_batched_tokens": CACHED_SCENES * _IMAGE_TOKENS,
    "mm_processor_cache_gb": (CACHED_SCENES + 0.5) * _IMAGE_BYTES / 2**30,
    "num_gpu_blocks_override": CACHED_SCENES * _PROMPT_BLOCKS + _RUNNING_BLOCKS,
}
"""Engine arguments with which a replica holds what was computed for `CACHED_SCENES` scenes."""


class TwoReplicas(Setup):
    """Two replicas with the default caches, and routers in front of two of vLLM's own servers."""

    settings: Mapping[str, object] = {}
    """Of the replicas, beside the model."""

    @cached_property
    def replicas(self) -> Sequence[Server]:
        """The inference servers."""
        settings = {"model": self._model, "gpu_memory_utilization": GPU_SHARE / 2, **self.settings}
        return [self._start("inference", **settings) for _ in range(REPLICAS)]

    def _gateway(self, *, affinity: bool) -> Server:
        addresses = ",".join(replica.address for replica in self.replicas)
        return self._start("gateway", inference=addresses, scoring="", retrieval="", picture_affinity=affinity)

    @cached_property
    def gateway(self) -> Server:
        """A gateway that sends each call to the replica with the fewest calls in flight."""
        return self._gateway(affinity=False)

    @cached_property
    def vllms(self) -> Sequence[Server]:
        """vLLM's own servers."""
        return [self._start_vllm(share=GPU_SHARE / 2) for _ in range(REPLICAS)]

    def _router(self, module: str) -> Server:
        """A router in front of them, started by its Python module.

        It sends a call to the less busy one of two servers, as the gateway does. By default these routers choose by
        texts that were sent before, which are the same in all calls here.
        """
        port = free_port()
        addresses = [f"http://{server.address}" for server in self.vllms]
        command = [
            *(sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port)),
            *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()), "--log-level", "error"),
            *("--policy", "power_of_two", "--worker-urls", *addresses),
        ]
        return self._await(self._servers.spawn(ROUTER, command, os.environ, port=port))

    @cached_property
    def makers(self) -> Mapping[str, Callable[[], Side]]:
        """See the base."""

        def routed(name: str, module: str) -> Side:
            router = self._router(module)
            return OpenAiDetection(name, [*self.vllms, router], router, self.pictures, stop=CRUDE_STOPS)

        return {
            rows.TWO_REPLICAS: lambda: Detection(
                rows.TWO_REPLICAS, [*self.replicas, self.gateway], self.gateway.address, self.pictures
            ),
            rows.SMG: lambda: routed(rows.SMG, "smg.launch_router"),
            rows.VLLM_ROUTER: lambda: routed(rows.VLLM_ROUTER, "vllm_router.launch_router"),
        }


class SmallCaches(TwoReplicas):
    """Two replicas whose caches don't hold all scenes of the cameras, with and without image affinity."""

    settings: Mapping[str, object] = {"engine_args": json.dumps(SMALL_CACHES), "max_model_len": 512}

    @cached_property
    def affine_gateway(self) -> Server:
        """A gateway that keeps each image at one replica."""
        return self._gateway(affinity=True)

    @cached_property
    def makers(self) -> Mapping[str, Callable[[], Side]]:
        """See the base."""

        def scenes(name: str, gateway: Server) -> Side:
            return RepeatingScenes(name, [*self.replicas, gateway], gateway.address)

        return {
            rows.AFFINITY: lambda: scenes(rows.AFFINITY, self.affine_gateway),
            rows.NO_AFFINITY: lambda: scenes(rows.NO_AFFINITY, self.gateway),
        }
