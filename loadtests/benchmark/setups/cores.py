"""Scoring on a processor core of its own."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import psutil

from loadtests.benchmark import rows
from loadtests.benchmark.axias import Detection
from loadtests.benchmark.rivals import GPU_SHARE
from loadtests.benchmark.setups.base import Setup
from loadtests.benchmark.sides import Side
from loadtests.servers import Server


class OwnCores(Setup):
    """The model and the gateway on all cores but the last one, and the scoring service on that one."""

    @cached_property
    def _cores(self) -> Sequence[int]:
        return sorted(psutil.Process().cpu_affinity())

    def _start_on(self, cores: Sequence[int], name: str, **settings: object) -> Server:
        """Starts a server on these cores, before it has a second thread or a child, which inherit them."""
        server = self._start(name, **settings)
        psutil.Process(server.pid).cpu_affinity(list(cores))
        return server

    @cached_property
    def inference(self) -> Server:
        """The inference service with the model in vLLM."""
        settings = {"model": self._model, "gpu_memory_utilization": GPU_SHARE}
        return self._start_on(self._cores[:-1], "inference", **settings)

    @cached_property
    def scoring(self) -> Server:
        """The scoring service."""
        return self._start_on(self._cores[-1:], "scoring")

    def _gateway(self, scoring: str) -> Server:
        addresses = {"inference": self.inference.address, "scoring": scoring, "retrieval": ""}
        return self._start_on(self._cores[:-1], "gateway", **addresses)

    @cached_property
    def makers(self) -> Mapping[str, Callable[[], Side]]:
        """See the base."""

        def scored() -> Side:
            gateway = self._gateway(self.scoring.address)
            servers = [self.inference, self.scoring, gateway]
            return Detection(rows.SCORING_APART, servers, gateway.address, self.pictures, scored=True)

        def plain() -> Side:
            gateway = self._gateway("")
            return Detection(rows.UNSCORED_APART, [self.inference, gateway], gateway.address, self.pictures)

        return {rows.SCORING_APART: scored, rows.UNSCORED_APART: plain}
