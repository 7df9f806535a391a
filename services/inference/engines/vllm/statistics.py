"""What vLLM's scheduler reports with each step: running and waiting completions, and what its caches hold."""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import REGISTRY as LIBRARIES
from prometheus_client import Metric

from services.inference import metrics
from services.inference.engines.engine import EngineLoad
from services.serving.metrics import REGISTRY


class EngineStatistics:
    """The scheduler's last report, and metrics of all.

    The scheduler reports with each step and not after an abort that left it idle, so no open request means none.
    """

    def __init__(self) -> None:
        self._running = 0
        self._waiting = 0

    def logger_factory(self) -> Callable[..., object]:
        """A class of vLLM's kind of logger that reports here."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        statistics = self

        class Logger(StatLoggerBase):  # type: ignore[misc]  # vLLM is not type-checked
            def __init__(self, vllm_config: object, engine_index: int = 0) -> None:
                pass

            def record(
                self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
            ) -> None:
                statistics.record(scheduler_stats, iteration_stats, mm_cache_stats)

            def log_engine_initialized(self) -> None:
                pass

        return Logger

    def record(self, scheduler: Any, iteration: Any, pictures: Any) -> None:
        """Takes what vLLM reports; each part may be missing."""
        if scheduler is not None:
            self._running = scheduler.num_running_reqs
            self._waiting = scheduler.num_waiting_reqs
            metrics.KV_CACHE_USAGE.set(scheduler.kv_cache_usage)
            _count(metrics.PREFIX_CACHE, scheduler.prefix_cache_stats)
        if iteration is not None:
            metrics.PREEMPTIONS.inc(iteration.num_preempted_reqs)
        _count(metrics.PICTURE_CACHE, pictures)

    def load(self, unfinished: int) -> EngineLoad:
        """Running and waiting completions, where so many requests are open."""
        return EngineLoad(self._running, self._waiting) if unfinished else EngineLoad(0, 0)


def _count(counter: Any, cache: Any) -> None:
    if cache is not None:
        counter.labels("hit").inc(cache.hits)
        counter.labels("miss").inc(cache.queries - cache.hits)


class _OwnMetrics:
    """vLLM's own metrics, which it registers where libraries do."""

    def collect(self) -> Iterator[Metric]:
        """Those whose names are vLLM's."""
        return (metric for metric in LIBRARIES.collect() if metric.name.startswith("vllm"))


def pass_on_metrics() -> None:
    """Serves vLLM's own metrics beside ours, under their own names."""
    REGISTRY.register(_OwnMetrics())
