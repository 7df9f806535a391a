"""Where services are, and whether they can be there."""

import socket
from pathlib import Path

import pytest

from axia._connection.transport import TLS
from axia.identity.certs import init_certificates
from axia.testing import free_port
from suite import SuiteError, services
from suite.services import encryption, find_checkout, search_path, services_from, wiring
from suite.startup import Startup
from suite.supervisor import Supervisor


def test_services_are_where_the_documentation_says() -> None:
    placed = {s.name: (s.health_name, s.address, s.metrics_address) for s in services_from({})}
    assert placed == {
        "inference": ("axia.v1.InferenceService", "127.0.0.1:50051", "127.0.0.1:9101"),
        "retrieval": ("axia.v1.RetrievalService", "127.0.0.1:50052", "127.0.0.1:9102"),
        "scoring": ("axia.v1.ScoringService", "127.0.0.1:50053", "127.0.0.1:9103"),
        "gateway": ("axia.v1.GatewayService", "127.0.0.1:50050", "127.0.0.1:9100"),
        "http": ("", "127.0.0.1:8080", "127.0.0.1:9104"),
    }


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1:7"), ("::", "[::1]:7"), ("robot", "robot:7"), ("fd00::1", "[fd00::1]:7")],  # noqa: S104
)
def test_services_are_where_the_environment_puts_them(host: str, address: str) -> None:
    environment = {"AXIA_GATEWAY_HOST": host, "AXIA_GATEWAY_PORT": "7", "AXIA_GATEWAY_METRICS_PORT": "0"}
    gateway = next(service for service in services_from(environment) if service.name == "gateway")
    assert gateway.address == address
    assert gateway.metrics_address == ""


@pytest.mark.parametrize("value", ["", "x", "0", "65536", "-1", "1.5"])
def test_a_port_that_is_none_names_its_variable(value: str) -> None:
    with pytest.raises(SuiteError, match=r"AXIA_INFERENCE_PORT is .*: set it to a port, 1 to 65535"):
        services_from({"AXIA_INFERENCE_PORT": value})


def test_a_taken_port_names_the_variable_that_moves_the_service() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        inference = services_from({"AXIA_INFERENCE_METRICS_PORT": str(taken.getsockname()[1])})[0]
        with pytest.raises(SuiteError, match="set AXIA_INFERENCE_METRICS_PORT to another port"):
            inference._replace(port=free_port()).require_free_ports()


def test_the_services_are_told_where_the_others_were_put() -> None:
    placed = services_from({"AXIA_INFERENCE_HOST": "0.0.0.0", "AXIA_INFERENCE_PORT": "7"})  # noqa: S104
    assert wiring(placed) == {
        "AXIA_GATEWAY_INFERENCE": "127.0.0.1:7",
        "AXIA_GATEWAY_RETRIEVAL": "127.0.0.1:50052",
        "AXIA_GATEWAY_SCORING": "127.0.0.1:50053",
        "AXIA_HTTP_GATEWAY": "127.0.0.1:50050",
    }


def test_services_can_be_left_out() -> None:
    placed = services_from({}, without=["retrieval", "http"])
    assert [service.name for service in placed] == ["inference", "scoring", "gateway"]
    assert wiring(placed)["AXIA_GATEWAY_RETRIEVAL"] == ""
    assert wiring(placed)["AXIA_GATEWAY_SCORING"] == "127.0.0.1:50053"
    with pytest.raises(
        SuiteError, match="can't start without 'gateway': only retrieval, scoring, http can be left out"
    ):
        services_from({}, without=["gateway"])


def test_this_checkout_is_found() -> None:
    assert (find_checkout() / "circus.ini").is_file()


def test_without_a_checkout_the_way_to_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "__file__", str(tmp_path / "suite" / "services.py"))
    with pytest.raises(SuiteError, match=r"has no circus\.ini: clone the repository"):
        find_checkout()


def test_python_in_the_configuration_is_the_one_that_runs() -> None:
    assert search_path("/venv/bin/python", {"PATH": "/bin"}) == "/venv/bin:/bin"
    assert search_path("/venv/bin/python", {}).startswith("/venv/bin:")


def test_certificates_of_a_folder_are_each_services_own(tmp_path: Path) -> None:
    init_certificates(tmp_path, [], days=1, authority_days=1)
    variables = encryption(tmp_path)
    placed = services_from(variables)
    assert all(service.encrypted for service in placed)
    assert not any(service.encrypted for service in services_from({}))
    behind = {f"AXIA_{name}_TLS_CLIENT_CA" for name in ("INFERENCE", "RETRIEVAL", "SCORING")}
    assert {name for name in variables if name.endswith("TLS_CLIENT_CA")} == behind
    assert variables["AXIA_GATEWAY_UPSTREAM_CA"] == variables["AXIA_TLS_ROOTS"] == str(tmp_path / "ca.pem")
    (tmp_path / "scoring.key").unlink()
    with pytest.raises(SuiteError, match="axia certs init"):
        encryption(tmp_path)


def test_services_that_speak_tls_need_somebody_to_trust(tmp_path: Path) -> None:
    init_certificates(tmp_path, [], days=1, authority_days=1)
    variables = encryption(tmp_path)
    with pytest.raises(SuiteError, match="set AXIA_TLS_ROOTS"):
        Startup(Supervisor(tmp_path), services_from(variables), None)
    with pytest.raises(SuiteError, match="there are no root certificates"):
        Startup(Supervisor(tmp_path), services_from(variables), TLS(root_certificates="/nowhere"))
    Startup(Supervisor(tmp_path), services_from(variables), TLS.from_environment(variables))
