"""Every rendering of the chart: lint, and the schemas of four versions of Kubernetes and of custom resources."""

import copy

import pytest

from tests.support.cluster import chart

CUSTOM = {"Certificate", "GRPCRoute", "HTTPRoute", "InferencePool", "PrometheusRule", "ScaledObject", "ServiceMonitor"}


@pytest.mark.parametrize("name", [None, *chart.PROFILES])
def test_the_chart_lints_strictly(name: str | None) -> None:
    files = [chart.PROFILES[name]] if name else []
    done = chart.run("lint", "--strict", str(chart.CHART), *chart.options(files))
    assert done.code == 0, done.text + done.error


@pytest.mark.parametrize("version", chart.KUBERNETES)
@pytest.mark.parametrize("name", list(chart.PROFILES))
def test_each_object_of_a_profile_is_valid_in_each_version(name: str, version: str) -> None:
    found = {
        f"{manifest['kind']}/{manifest['metadata']['name']}": chart.faults(manifest, version)
        for manifest in chart.rendered(name)
    }
    assert len(found) == len(chart.rendered(name)), "two objects of one kind have one name"
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("name", list(chart.SWITCHES))
def test_each_object_of_the_switches_is_valid(name: str) -> None:
    found = {
        f"{manifest['kind']}/{manifest['metadata']['name']}": chart.faults(manifest, "1.37")
        for manifest in chart.rendered(name)
    }
    assert len(found) == len(chart.rendered(name)), "two objects of one kind have one name"
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_the_renderings_hold_every_kind_of_object() -> None:
    kinds = {manifest["kind"] for name in chart.renderings() for manifest in chart.rendered(name)}
    assert kinds >= CUSTOM
    versions = {manifest["apiVersion"] for name in chart.renderings() for manifest in chart.rendered(name)}
    assert {version.partition("/")[0] for version in versions} >= {
        "v1", "apps", "batch", "policy", "autoscaling", "networking.k8s.io",
    }  # fmt: skip


def test_the_validation_finds_what_is_wrong() -> None:
    deployment = copy.deepcopy(
        next(manifest for manifest in chart.rendered("defaults") if manifest["kind"] == "Deployment")
    )
    deployment["spec"]["template"]["spec"]["containers"][0]["colour"] = "red"
    assert "colour" in str(chart.faults(deployment, "1.34"))
    scaled = copy.deepcopy(
        next(manifest for manifest in chart.rendered("production") if manifest["kind"] == "ScaledObject")
    )
    del scaled["spec"]["triggers"]
    assert "triggers" in str(chart.faults(scaled, "1.34"))


def test_rendering_twice_gives_the_same() -> None:
    files = [chart.PROFILES["production"]]
    assert chart.template(files).text == chart.template(files).text
