"""Every rendering of the chart: lint, and the schemas of four versions of Kubernetes and of custom resources."""

import copy

import pytest

from tests.support import chart

CUSTOM = {"Certificate", "GRPCRoute", "HTTPRoute", "InferencePool", "PrometheusRule", "ScaledObject", "ServiceMonitor"}


@pytest.mark.parametrize("name", [None, *chart.PROFILES])
def test_the_chart_lints_strictly(name: str | None) -> None:
    files = [chart.PROFILES[name]] if name else []
    done = chart.run("lint", "--strict", str(chart.CHART), *chart.options(files))
    assert done.code == 0, done.text + done.error


@pytest.mark.parametrize("version", chart.KUBERNETES)
@pytest.mark.parametrize("name", list(chart.PROFILES))
def test_each_object_of_a_profile_is_valid_in_each_version(name: str, version: str) -> None:
    found = {f"{own['kind']}/{own['metadata']['name']}": chart.faults(own, version) for own in chart.rendered(name)}
    assert len(found) == len(chart.rendered(name)), "two objects of one kind have one name"
    assert {name: own for name, own in found.items() if own} == {}


@pytest.mark.parametrize("name", list(chart.SWITCHES))
def test_each_object_of_the_switches_is_valid(name: str) -> None:
    found = {f"{own['kind']}/{own['metadata']['name']}": chart.faults(own, "1.37") for own in chart.rendered(name)}
    assert len(found) == len(chart.rendered(name)), "two objects of one kind have one name"
    assert {name: own for name, own in found.items() if own} == {}


def test_the_renderings_hold_every_kind_of_object() -> None:
    kinds = {own["kind"] for name in chart.renderings() for own in chart.rendered(name)}
    assert kinds >= CUSTOM
    assert {own["apiVersion"].partition("/")[0] for name in chart.renderings() for own in chart.rendered(name)} >= {
        "v1", "apps", "batch", "policy", "autoscaling", "networking.k8s.io",
    }  # fmt: skip


def test_the_validation_finds_what_is_wrong() -> None:
    deployment = copy.deepcopy(next(own for own in chart.rendered("defaults") if own["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["colour"] = "red"
    assert "colour" in str(chart.faults(deployment, "1.34"))
    scaled = copy.deepcopy(next(own for own in chart.rendered("production") if own["kind"] == "ScaledObject"))
    del scaled["spec"]["triggers"]
    assert "triggers" in str(chart.faults(scaled, "1.34"))


def test_rendering_twice_gives_the_same() -> None:
    files = [chart.PROFILES["production"]]
    assert chart.template(files).text == chart.template(files).text
