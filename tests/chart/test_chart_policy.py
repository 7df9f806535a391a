"""What holds for every rendered object: security, probes, limits, and references that lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from axia.prompts import load_prompts
from gateway.backends.routes import load_routes
from gateway.http.settings import HttpSettings
from gateway.settings import GatewaySettings
from loadtests.cli import EXIT_BROKEN, EXIT_UNUSABLE
from loadtests.plan import read_plan
from scripts.settings_doc import page
from services.inference.settings import InferenceSettings
from services.retrieval.settings import RetrievalSettings
from services.scoring.settings import ScoringSettings
from services.serving.settings import ServerSettings
from tests.support.cluster import chart

SETTINGS: dict[str, type[ServerSettings]] = {
    "gateway": GatewaySettings,
    "gateway.http": HttpSettings,
    "services.inference": InferenceSettings,
    "services.retrieval": RetrievalSettings,
    "services.scoring": ScoringSettings,
}
HOLDERS = ("gateway", "http", "inference", "retrieval", "scoring")
EXISTING_SECRETS = {
    "api-keys", "certificates", "collector", "hugging-face", "load-key", "openai", "qdrant", "registry", "site",
    *(f"{holder}-tls" for holder in HOLDERS),
}  # fmt: skip
"""Secrets that the renderings say exist."""
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture(params=chart.renderings())
def objects(request: pytest.FixtureRequest) -> tuple[Any, ...]:
    return chart.rendered(request.param)


def containers(objects: tuple[Any, ...]) -> Iterator[tuple[str, Any, Any]]:
    for name, pod in chart.pods(objects):
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
            yield f"{name}/{container['name']}", pod["spec"], container


def test_pods_fit_the_restricted_standard_and_beyond(objects: tuple[Any, ...]) -> None:
    for name, pod, container in containers(objects):
        container_security, security = container["securityContext"], pod["securityContext"]
        assert container_security == RESTRICTED, name
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] >= 1000, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not any("hostPath" in volume for volume in pod["volumes"]), name
        assert not any("hostPort" in port for port in container.get("ports", [])), name


def test_images_have_a_fixed_tag(objects: tuple[Any, ...]) -> None:
    for name, _, container in containers(objects):
        assert re.search(r"/[a-z-]+:v?[0-9]+\.[0-9]+\.[0-9]+[a-z-]*$", container["image"]), name


def test_containers_state_requests_and_limits(objects: tuple[Any, ...]) -> None:
    for name, _, container in containers(objects):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]) & set(resources["limits"]), name
        gpu = "nvidia.com/gpu"
        assert resources["requests"].get(gpu) == resources["limits"].get(gpu), name
        on_gpu = container["image"].partition(":")[0].endswith("inference-cuda") and not name.startswith("Job/")
        assert (gpu in resources["limits"]) == on_gpu, name


def test_servers_have_the_three_probes_at_their_port(objects: tuple[Any, ...]) -> None:
    for name, pod, container in containers(objects):
        if name.startswith(("Job", "CronJob")):
            continue
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            if "grpc" in probe:
                assert probe["grpc"]["port"] == ports["grpc"], name
                assert probe["grpc"].get("service", "") == ("" if kind == "readinessProbe" else "liveness"), name
            elif "httpGet" in probe:
                assert probe["httpGet"]["port"] in ports, name
            else:
                asked = probe["exec"]["command"][3]
                # With TLS the port of metrics answers for a gRPC server.
                port = (
                    ports["metrics"] if asked.startswith("https://") and "grpc" in ports else next(iter(ports.values()))
                )
                assert f":{port}" in asked, name
        # More than the lame duck and the drain.
        assert pod["terminationGracePeriodSeconds"] >= 45 or "/t-axia-" in name, name


def test_selectors_match_the_pods_they_are_meant_for(objects: tuple[Any, ...]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in chart.pods(objects)}

    def matching(selector: dict[str, str]) -> list[str]:
        return [name for name, pod_labels in labels.items() if selector.items() <= pod_labels.items()]

    for manifest in objects:
        kind, name, spec = manifest["kind"], manifest["metadata"]["name"], manifest.get("spec", {})
        if kind in {"Deployment", "StatefulSet"}:
            assert matching(spec["selector"]["matchLabels"]) == [f"{kind}/{name}"]
        elif kind == "Service":
            assert len(matching(spec["selector"])) == 1, name
        elif kind == "PodDisruptionBudget":
            assert len(matching(spec["selector"]["matchLabels"])) == 1, name
        elif kind == "NetworkPolicy":
            assert matching(spec["podSelector"]["matchLabels"]), name
            for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
                for peer in [*rule.get("from", []), *rule.get("to", [])]:
                    if "podSelector" in peer:
                        assert matching(peer["podSelector"]["matchLabels"]) or "http" in str(peer), name


def test_what_is_referred_to_is_there(objects: tuple[Any, ...]) -> None:
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in objects}
    secrets = EXISTING_SECRETS | {
        manifest["spec"]["secretName"] for manifest in objects if manifest["kind"] == "Certificate"
    }
    for name, pod, container in containers(objects):
        assert ("ServiceAccount", pod["serviceAccountName"]) in there
        maker = next(
            manifest
            for manifest in objects
            if f"{manifest['kind']}/{manifest['metadata']['name']}" == name.rpartition("/")[0]
        )
        claims = [claim["metadata"]["name"] for claim in maker["spec"].get("volumeClaimTemplates", [])]
        volumes = {volume["name"] for volume in pod["volumes"]} | set(claims)
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes, name
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there, name
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in there, name
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets, name
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                assert variable["valueFrom"]["secretKeyRef"]["name"] in secrets, name
        assert {secret["name"] for secret in pod.get("imagePullSecrets", [])} <= secrets
    for manifest in objects:
        if manifest["kind"] == "StatefulSet":
            assert ("Service", manifest["spec"]["serviceName"]) in there
        if target := manifest.get("spec", {}).get("scaleTargetRef"):
            assert (target["kind"], target["name"]) in there
            scaled = next(
                one for one in objects if (one["kind"], one["metadata"]["name"]) == tuple(target.values())[1:]
            )
            assert "replicas" not in scaled["spec"]


def test_ports_of_services_policies_and_routes_are_those_of_containers(objects: tuple[Any, ...]) -> None:
    ports: dict[str, dict[str, int]] = {}
    for name, pod in chart.pods(objects):
        named = [port for container in pod["spec"]["containers"] for port in container.get("ports", [])]
        ports[name] = {port["name"]: port["containerPort"] for port in named}
    labels = {name: pod["metadata"]["labels"] for name, pod in chart.pods(objects)}
    services: dict[str, dict[str, int]] = {}
    for manifest in objects:
        if manifest["kind"] == "Service":
            (pod,) = (name for name, known in labels.items() if manifest["spec"]["selector"].items() <= known.items())
            for port in manifest["spec"]["ports"]:
                assert ports[pod][port["targetPort"]] == port["port"]
            services[manifest["metadata"]["name"]] = {port["name"]: port["port"] for port in manifest["spec"]["ports"]}
    # Addresses in environment variables are those of Services, with their ports.
    for _, _, container in containers(objects):
        for variable in container.get("env", []):
            for host, port in re.findall(r"((?:t-axia|values)-[a-z-]+)[a-z0-9-]*:([0-9]+)", variable.get("value", "")):
                assert int(port) in services[host].values(), variable
    for manifest in objects:
        if manifest["kind"] in {"GRPCRoute", "HTTPRoute"}:
            for rule in manifest["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    assert backend["port"] in services[backend["name"]].values()
        if manifest["kind"] == "Ingress":
            backend = manifest["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
            assert backend["port"]["name"] in services[backend["name"]]


def test_servers_take_their_environment(objects: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    known = set(re.findall(r"^\| `(AXIA_\w+)`", page(), re.MULTILINE))
    seen = 0
    for name, _, container in containers(objects):
        if container["command"][:2] != ["python", "-m"] or container["command"][2] == "loadtests":
            continue
        seen += 1
        settings = SETTINGS[container["command"][2]]
        with monkeypatch.context() as patch:
            for variable in container["env"]:
                assert not variable["name"].startswith("AXIA_") or variable["name"] in known, (name, variable)
                patch.setenv(variable["name"], variable.get("value", "secret"))
            loaded = settings()
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert loaded.host == "0.0.0.0"  # noqa: S104 - in a container
        assert (loaded.port, loaded.metrics_port) == (ports.get("grpc") or ports["http"], ports["metrics"])
    assert seen >= 2


def test_the_gateway_takes_the_routing_table(objects: tuple[Any, ...], tmp_path: Any) -> None:
    (table,) = (
        manifest
        for manifest in objects
        if manifest["kind"] == "ConfigMap" and manifest["metadata"]["name"].endswith("-routing")
    )
    path = tmp_path / "models.toml"
    path.write_text(table["data"]["models.toml"])
    services = {manifest["metadata"]["name"] for manifest in objects if manifest["kind"] == "Service"}
    for route in load_routes(GatewaySettings(models=path), load_prompts()):
        (address,) = route.addresses
        assert address.removesuffix(":50051") in services


def test_connections_are_allowed_by_name_alone() -> None:
    objects = chart.rendered("production")
    policies = {
        manifest["metadata"]["name"]: manifest["spec"] for manifest in objects if manifest["kind"] == "NetworkPolicy"
    }
    everyone = policies["t-axia"]
    assert everyone["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"][0]["port"] for rule in everyone["egress"]] == [53]
    scoring = policies["t-axia-scoring"]
    assert scoring["egress"] == []
    (allowed,) = scoring["ingress"]
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in allowed["from"]] == [
        "gateway"
    ]
    (public,) = policies["t-axia-http"]["ingress"]
    assert [peer["namespaceSelector"]["matchLabels"] for peer in public["from"]] == [
        {"kubernetes.io/metadata.name": "gateways"}
    ]
    # A model that was downloaded beforehand connects to nothing.
    assert policies["t-axia-inference-llava-v1-6-34b"]["egress"] == []


def components(name: str) -> dict[str, tuple[dict[str, Any], list[Any]]]:
    """The environment of each server, and where its policy lets it connect."""
    objects = chart.rendered(name)
    policies = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "NetworkPolicy"}
    found = {}
    for pod_name, _, container in containers(objects):
        workload = pod_name.split("/")[1]
        environment = {variable["name"]: variable for variable in container.get("env", [])}
        found[workload] = (environment, policies[workload]["egress"])
    return found


def test_every_server_sends_traces_to_the_collector_and_may_connect_to_it() -> None:
    servers = components("traced")
    assert set(servers) == {"t-axia-gateway", "t-axia-http", "t-axia-scoring", "t-axia-inference-demo"}
    allowed = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "ports": [{"port": 4317, "protocol": "TCP"}],
    }
    for name, (environment, egress) in servers.items():
        values = {variable: found.get("value") for variable, found in environment.items()}
        assert values["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector.monitoring:4317", name
        assert values["OTEL_TRACES_SAMPLER_ARG"] == "0.1", name
        # Kubernetes fills in variables that come before.
        assert next(iter(environment)) == "K8S_POD_NAME", name
        assert values["OTEL_RESOURCE_ATTRIBUTES"] == (
            "k8s.pod.name=$(K8S_POD_NAME),k8s.namespace.name=axia,deployment.environment.name=the%20lab"
        )
        assert environment["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]["name"] == "collector"
        assert egress.count(allowed) == 1, name
    samplers = {name: environment["OTEL_TRACES_SAMPLER"]["value"] for name, (environment, _) in servers.items()}
    # Where callers come from outside, they have no say; the servers behind follow the gateway.
    assert samplers == {
        "t-axia-gateway": "traceidratio",
        "t-axia-http": "traceidratio",
        "t-axia-scoring": "parentbased_traceidratio",
        "t-axia-inference-demo": "parentbased_traceidratio",
    }


def test_a_collector_outside_the_cluster_is_reached_by_its_address() -> None:
    allowed = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    for environment, egress in components("traced-elsewhere").values():
        assert environment["OTEL_TRACES_SAMPLER"]["value"] == "parentbased_traceidratio"
        assert egress.count(allowed) == 1
        assert "OTEL_EXPORTER_OTLP_HEADERS" not in environment


def test_servers_read_the_authorities_of_a_collectors_certificate() -> None:
    (traced,) = {
        (variable["value"], mount["mountPath"], str(volume["secret"]["items"]))
        for _, pod, container in containers(chart.rendered("traced-elsewhere"))
        for variable in container["env"]
        if variable["name"] == "OTEL_EXPORTER_OTLP_CERTIFICATE"
        for mount in container["volumeMounts"]
        if mount["name"] == "collector"
        for volume in pod["volumes"]
        if volume["name"] == "collector"
    }
    assert traced == ("/etc/axia/collector/ca.crt", "/etc/axia/collector", "[{'key': 'root.pem', 'path': 'ca.crt'}]")


@pytest.mark.parametrize("name", [name for name in chart.renderings() if not name.startswith("traced")])
def test_without_an_endpoint_nothing_is_said_of_traces(name: str) -> None:
    for pod, _, container in containers(chart.rendered(name)):
        assert not [one["name"] for one in container.get("env", []) if one["name"].startswith(("OTEL_", "K8S_"))], pod


def test_a_load_test_sends_a_plan_that_its_program_takes(tmp_path: Path) -> None:
    objects = chart.rendered("load-test")
    (config,) = (one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "t-axia-loadtest")
    path = tmp_path / "plan.json"
    path.write_text(config["data"]["plan.json"])
    plan = read_plan(str(path))
    assert plan.scenarios == {"detect": 1, "http-detect": 2}
    assert len(plan.arrivals()) > 200
    assert plan.budgets["all"].max_errors == 0
    (job,) = (one for one in objects if one["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["/etc/axia/plan.json", "--out=/tmp/load", "--n=3", "--model=demo"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment == {
        "AXIA_TARGET": "t-axia-gateway-headless:50050",
        "AXIA_HTTP_TARGET": "http://t-axia-http:8080",
    }
    # A broken budget is the result; only where nothing answered yet, it is tried again.
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [EXIT_BROKEN])
    assert EXIT_UNUSABLE not in rule["onExitCodes"]["values"]


def test_a_load_test_with_another_plan_is_another_job() -> None:
    def job(*sets: str) -> str:
        done = chart.template(sets=("loadTest.enabled=true", *sets))
        (name,) = (one["metadata"]["name"] for one in done.objects if one["kind"] == "Job")
        return str(name)

    assert job() == job()
    others = (
        "loadTest.completions=5", "loadTest.model=a", "loadTest.plan.name=b", "image.tag=9.9.9",
        "image.pullPolicy=Always", "http.enabled=false", "loadTest.resources.limits.cpu=3",
        "loadTest.nodeSelector.disk=ssd",
    )  # fmt: skip
    # All of a Job's Pod: helm can't upgrade a Job of the same name to another one.
    assert len({job(), *map(job, others)}) == 1 + len(others)
    assert job("loadTest.keepSeconds=5") == job()


def test_the_port_of_a_collector_that_names_none_is_that_which_grpc_takes() -> None:
    done = chart.template(sets=("telemetry.otlp.endpoint=https://collector.a", "telemetry.otlp.namespace=a"))
    policies = {one["metadata"]["name"]: one["spec"] for one in done.objects if one["kind"] == "NetworkPolicy"}
    assert [rule["ports"] for rule in policies["t-axia-scoring"]["egress"]] == [[{"port": 443, "protocol": "TCP"}]]


def test_a_load_test_may_reach_the_gateway_and_the_http_api_and_nothing_else() -> None:
    policies = {
        one["metadata"]["name"]: one["spec"] for one in chart.rendered("load-test") if one["kind"] == "NetworkPolicy"
    }
    reached = [
        rule["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for rule in policies["t-axia-loadtest"]["egress"]
    ]
    assert reached == ["gateway", "http"]
    for name in ("t-axia-gateway", "t-axia-http"):
        (rule,) = policies[name]["ingress"]
        asking = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
        assert "loadtest" in {labels["app.kubernetes.io/component"] for labels in asking}, name


def test_a_load_test_with_tls_gets_the_authorities_and_no_private_key() -> None:
    (job,) = (one for one in chart.rendered("load-test-with-tls-and-a-key") if one["kind"] == "Job")
    spec = job["spec"]["template"]["spec"]
    (tls,) = (volume["secret"] for volume in spec["volumes"] if volume["name"] == "tls")
    assert [item["key"] for item in tls["items"]] == ["ca.crt"]
    environment = {variable["name"]: variable for variable in spec["containers"][0]["env"]}
    assert environment["AXIA_TLS_ROOTS"]["value"] == "/etc/axia/tls/ca.crt"
    assert environment["AXIA_HTTP_TARGET"]["value"] == "https://t-axia-http:8080"
    assert environment["AXIA_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "load-key", "key": "api-key"}


def test_scaling_takes_no_queue_for_a_fault() -> None:
    (scaled,) = (manifest for manifest in chart.rendered("production") if manifest["kind"] == "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    query = trigger["metadata"]["query"]
    assert {"axia_inference_waiting", "axia_inference_running", "axia_inference_loading"} <= set(
        re.findall(r"axia_\w+", query)
    )
    assert 'service="t-axia-inference-llava-v1-6-34b"' in query
