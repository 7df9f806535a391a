"""compose.yaml and compose.tls.yaml: images are targets, variables settings, addresses services; nothing is privileged;
each server takes what it is given."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from axia.identity.certs import init_certificates
from axia.version import __version__
from gateway.http.settings import HttpSettings
from gateway.settings import GatewaySettings
from scripts.settings_doc import page
from services.inference.settings import InferenceSettings
from services.retrieval.settings import RetrievalSettings
from services.scoring.settings import ScoringSettings
from services.serving.settings import CallerSettings, ServerSettings
from services.serving.tls import channel_tls, server_tls
from tests.support.cluster import chart
from tests.support.processes import ROOT

SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
TLS = yaml.safe_load((ROOT / "compose.tls.yaml").read_text())["services"]
SETTINGS: dict[str, type[ServerSettings]] = {
    "gateway": GatewaySettings,
    "http": HttpSettings,
    "inference": InferenceSettings,
    "retrieval": RetrievalSettings,
    "scoring": ScoringSettings,
}
KNOWN = set(re.findall(r"`(AXIA_\w+)`", page()))
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_images_are_targets_of_the_release() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    for name, service in SERVICES.items():
        target, _, tag = service["image"].removeprefix("localhost/axia-").partition(":")
        assert target in targets, name
        assert tag == f"${{AXIA_TAG:-{__version__}}}", name


def test_variables_are_settings_and_addresses_are_services() -> None:
    ports = {"gateway": 50050, "inference": 50051, "retrieval": 50052, "scoring": 50053}
    for name, service in [*SERVICES.items(), *TLS.items()]:
        for variable, value in service.get("environment", {}).items():
            assert not variable.startswith("AXIA_") or variable in KNOWN, (name, variable)
            if found := re.fullmatch(r"([a-z]+):(\d+)", value):
                assert found[1] in SERVICES, (name, variable)
                assert ports[found[1]] == int(found[2]), (name, variable)


def test_nothing_is_privileged_and_nothing_listens_beyond_this_machine() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def settings(name: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server's settings in its container, which listens on all interfaces."""
    with monkeypatch.context() as patch:
        for variable, value in {f"AXIA_{name.upper()}_HOST": "0.0.0.0", **environment}.items():  # noqa: S104
            patch.setenv(variable, value)
        return SETTINGS[name]()


@pytest.mark.parametrize("name", SERVICES)
def test_a_server_listens_in_plaintext_as_it_is_meant_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_tls(settings(name, SERVICES[name]["environment"], monkeypatch)) is None


@pytest.mark.parametrize("name", SERVICES)
def test_a_server_takes_the_certificates_of_compose_tls(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    init_certificates(tmp_path / "certs", ["gateway", "inference", "retrieval", "scoring"], 30, 30)
    (tmp_path / "keys.json").write_text("{}")
    added = TLS[name]
    mounted = dict(mount.removesuffix(":ro").split(":") for mount in added["volumes"])
    assert all((tmp_path / source).exists() for source in mounted)
    there = {inside: str(tmp_path / source) for source, inside in mounted.items()}
    environment = {**SERVICES[name]["environment"], **added["environment"]}
    given = settings(name, {key: there.get(value, value) for key, value in environment.items()}, monkeypatch)
    assert server_tls(given) is not None
    assert isinstance(given, CallerSettings) == (name in ("gateway", "http"))
    if isinstance(given, CallerSettings):
        assert channel_tls(given) is not None
    else:
        assert given.tls_client_ca is not None  # callers have to show the gateway's certificate
    # What is asked for health is a port that the server has, by TLS.
    port = given.port if name == "http" else given.metrics_port
    assert added["healthcheck"]["test"][-1] == f"https://127.0.0.1:{port}/readyz"


def test_traces_are_off_unless_an_endpoint_is_given() -> None:
    for name, service in SERVICES.items():
        assert service["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "${OTEL_EXPORTER_OTLP_ENDPOINT:-}", name


def test_the_demo_models_have_the_variables_of_the_chart() -> None:
    (server,) = (
        manifest
        for manifest in chart.rendered("cpu-demo")
        if manifest["kind"] == "Deployment" and "inference" in manifest["metadata"]["name"]
    )
    (container,) = server["spec"]["template"]["spec"]["containers"]
    charted = {variable["name"]: variable.get("value") for variable in container["env"]}
    given = SERVICES["inference"]["environment"]
    assert {name: value for name, value in given.items() if not name.startswith("OTEL_")}.items() <= charted.items()
    assert SERVICES["inference"]["command"] == container["command"]
