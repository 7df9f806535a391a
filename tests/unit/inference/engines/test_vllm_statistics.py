"""What vLLM's scheduler reports becomes the load of the engine and metrics."""

from types import SimpleNamespace

from prometheus_client import Counter

from services.inference.engines.engine import EngineLoad
from services.inference.engines.vllm.statistics import EngineStatistics, pass_on_metrics
from services.serving.metrics import REGISTRY


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_reports_are_counted_and_parts_may_be_missing() -> None:
    names = ("axia_inference_prefix_cache_tokens_total", "axia_inference_picture_cache_total")
    before = {(name, kind): value(name, outcome=kind) for name in names for kind in ("hit", "miss")}
    preempted = value("axia_inference_preemptions_total")
    statistics = EngineStatistics()
    scheduler = SimpleNamespace(
        num_running_reqs=3,
        num_waiting_reqs=2,
        kv_cache_usage=0.25,
        prefix_cache_stats=SimpleNamespace(hits=30, queries=100),
    )
    statistics.record(scheduler, SimpleNamespace(num_preempted_reqs=1), SimpleNamespace(hits=1, queries=3))
    statistics.record(None, None, None)
    assert statistics.load(unfinished=5) == EngineLoad(3, 2)
    assert statistics.load(unfinished=0) == EngineLoad(0, 0)
    assert value("axia_inference_kv_cache_usage") == 0.25
    assert value("axia_inference_preemptions_total") == preempted + 1
    counted = {key: value(key[0], outcome=key[1]) - was for key, was in before.items()}
    assert list(counted.values()) == [30, 70, 1, 2]


def test_vllms_own_metrics_are_served_under_their_names_and_no_others() -> None:
    Counter("vllm:made_for_a_test", "Of vLLM's kind.").inc(3)
    Counter("made_for_a_test", "Of another library.").inc()
    pass_on_metrics()
    assert value("vllm:made_for_a_test_total") == 3
    assert REGISTRY.get_sample_value("made_for_a_test_total") is None
