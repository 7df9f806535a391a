"""Scaling: what the chart's query says, and how it behaves beside others in a simulation."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.simulations import scaling
from scripts.simulations.scaling import Model, Policy, simulate
from tests.support.cluster import chart
from tests.support.cluster.prometheus import promtool

VALUES = (
    "models[0].autoscaling.enabled=true", "models[0].autoscaling.max=32", "monitoring.prometheusUrl=http://p",
    "models[0].name=a", "models[0].engine=scripted", "models[0].answers=x",
)  # fmt: skip


@pytest.fixture(scope="module")
def scaled() -> Any:
    (manifest,) = (manifest for manifest in chart.template(sets=VALUES).objects if manifest["kind"] == "ScaledObject")
    return manifest["spec"]


def test_the_simulation_follows_the_chart(scaled: Any) -> None:
    behaviour = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    up, down = behaviour["scaleUp"], behaviour["scaleDown"]
    percent, pods = up["policies"]
    (fewer,) = down["policies"]
    assert {percent["type"], pods["type"], fewer["type"]} == {"Percent", "Pods"}
    assert percent["periodSeconds"] == pods["periodSeconds"]
    (trigger,) = scaled["triggers"]
    assert Policy() == Policy(
        completions=int(trigger["metadata"]["threshold"]),
        least=scaled["minReplicaCount"],
        most=scaled["maxReplicaCount"],
        up_window_s=up["stabilizationWindowSeconds"],
        up_percent=percent["value"],
        up_pods=pods["value"],
        up_period_s=pods["periodSeconds"],
        down_window_s=down["stabilizationWindowSeconds"],
        down_pods=fewer["value"],
        down_period_s=fewer["periodSeconds"],
    )


@pytest.mark.parametrize(
    ("waiting", "running", "loading", "value"),
    [
        ((3, 5), (40, 20), (0, 0), 68),
        ((0, 0), (0, 0), (0, 0), 0),
        ((0, 0), (10, 0), (0, 1), 48),
        ((90, 0), (64, 0), (0, 1), 154),
    ],
)
def test_the_query_counts_the_queue_and_at_least_what_loads(
    scaled: Any, tmp_path: Path, waiting: Any, running: Any, loading: Any, value: int
) -> None:
    names = {"axia_inference_waiting": waiting, "axia_inference_running": running, "axia_inference_loading": loading}
    labels = 'namespace="axia",service="t-axia-inference-a"'
    series = [
        {"series": f'{name}{{{labels},pod="{pod}"}}', "values": f"{count}x10"}
        for name, both in names.items()
        for pod, count in enumerate(both)
    ]
    series += [{"series": f'{name}{{namespace="axia",service="another"}}', "values": "999x10"} for name in names]
    (trigger,) = scaled["triggers"]
    asked = {
        "expr": trigger["metadata"]["query"], "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": value}]
    }  # fmt: skip
    path = tmp_path / "tests.yaml"
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}]
    path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_replica_answers_what_it_can_and_refuses_the_rest() -> None:
    one = Policy(least=1, most=1)
    within = simulate(scaling.steady(30), 600, scaling.QUEUE_OR_LOADING, one, Model())
    assert within.refused == 0
    # 64 at a time, 2 s each: 32 a second.
    beyond = simulate(scaling.steady(64), 3600, scaling.QUEUE_OR_LOADING, one, Model())
    assert beyond.refused_share == pytest.approx(0.5, abs=0.15)


def test_the_number_of_replicas_follows_a_jump_without_going_beyond_what_is_needed() -> None:
    load = scaling.step(20, 60, 600, 3000)
    run = simulate(load, 7200, scaling.QUEUE_OR_LOADING, Policy(), Model())
    other = simulate(load, 7200, scaling.QUEUE_AND_LOADING, Policy(), Model())
    assert run.turns == 1  # up once, down once
    assert max(run.replicas) < max(other.replicas) / 2
    assert run.waiting[2900] == pytest.approx(0, abs=1)
    assert run.replicas[-1] == 1


def test_it_does_not_flap_where_a_queue_of_waiting_completions_does() -> None:
    load, seconds = scaling.LOADS["a day with a peak of 200 a second"]
    run = simulate(load, seconds, scaling.QUEUE_OR_LOADING, Policy(), Model())
    waiting = simulate(load, seconds, scaling.WAITING, Policy(), Model())
    assert run.turns < 10 < waiting.turns
    assert run.refused_share < 0.001 < waiting.refused_share


def test_replicas_that_fail_come_back_and_cost_little() -> None:
    load, seconds = scaling.LOADS["a day with a peak of 200 a second"]
    run = simulate(load, seconds, scaling.QUEUE_OR_LOADING, Policy(), Model(fails_every_s=4 * 3600.0), seed=3)
    assert run.refused_share < 0.03
