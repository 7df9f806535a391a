"""The services of the suite, and the checkout that holds them."""

import errno
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from suite import SuiteError

CONFIGURATION = "circus.ini"
"""What circus runs, beside the package `axia` in a checkout."""

OPTIONAL = ("retrieval", "scoring", "http")
"""Services that the suite can do without."""

_HIGHEST_PORT = 65_535
_OWN_TLS = ("AXIA_TLS_ROOTS", "AXIA_TLS_CERTIFICATE", "AXIA_TLS_KEY")
"""What clients on this machine read, of which this program is one when it asks whether services are ready."""


class _Port(NamedTuple):
    setting: str
    number: int


class Service(NamedTuple):
    """One service: its name in circus.ini, and where it listens."""

    name: str
    health_name: str
    """Name under which it reports its health (grpc.health.v1); empty for HTTP, where GET /readyz answers 200."""
    host: str
    port: int
    metrics_port: int
    """Port of its Prometheus metrics; 0 if they are off."""
    encrypted: bool = False
    """Whether it speaks TLS."""

    @property
    def address(self) -> str:
        """Where programs on this machine reach it, host and port."""
        return _join(_reachable(self.host), self.port)

    @property
    def metrics_address(self) -> str:
        """Where its metrics are over HTTP, host and port; empty if they are off."""
        return _join(_reachable(self.host), self.metrics_port) if self.metrics_port else ""

    def require_free_ports(self) -> None:
        """Raises SuiteError if another process listens on one of its ports already."""
        for port in (_Port("PORT", self.port), _Port("METRICS_PORT", self.metrics_port)):
            if port.number and _is_taken(self.host, port.number):
                raise SuiteError(
                    f"{self.name} can't use {_join(self.host, port.number)}: another process already listens there. "
                    f"Stop that process, or set {_prefix(self.name)}{port.setting} to another port"
                )


def services_from(environment: Mapping[str, str], without: Collection[str] = ()) -> tuple[Service, ...]:
    """The services in the order in which they start, as their environment variables place them.

    Args:
        environment: The environment variables.
        without: Names of services that are left out, of OPTIONAL.

    Raises:
        SuiteError: If a variable does not hold a port, or a service can't be left out.
    """
    for name in without:
        if name not in OPTIONAL:
            raise SuiteError(f"the suite can't start without {name!r}: only {', '.join(OPTIONAL)} can be left out")
    services = (
        _service(environment, "inference", "axia.v1.InferenceService", port=50051, metrics_port=9101),
        _service(environment, "retrieval", "axia.v1.RetrievalService", port=50052, metrics_port=9102),
        _service(environment, "scoring", "axia.v1.ScoringService", port=50053, metrics_port=9103),
        _service(environment, "gateway", "axia.v1.GatewayService", port=50050, metrics_port=9100),
        _service(environment, "http", "", port=8080, metrics_port=9104),
    )
    return tuple(service for service in services if service.name not in without)


def wiring(services: Sequence[Service]) -> dict[str, str]:
    """Environment variables that tell the services where the others are, wherever that is; empty for those left out."""
    addresses = {service.name: service.address for service in services}
    behind = {f"AXIA_GATEWAY_{name.upper()}": addresses.get(name, "") for name in ("inference", "retrieval", "scoring")}
    return {**behind, "AXIA_HTTP_GATEWAY": addresses["gateway"]}


def encryption(folder: Path) -> dict[str, str]:
    """Environment variables by which the services use the certificates that `axia certs init` made in a folder.

    All speak TLS. Those behind the gateway ask for its certificate; the gateway and the HTTP API ask for none, because
    their callers have keys.

    Raises:
        SuiteError: If the folder lacks a file.
    """
    folder = folder.resolve()  # services run in the checkout
    authority = str(folder / "ca.pem")
    variables: dict[str, str] = {}
    for name in ("inference", "retrieval", "scoring", "gateway", "http"):
        prefix = _prefix(name)
        variables[f"{prefix}TLS_CERTIFICATE"] = str(folder / f"{name}.pem")
        variables[f"{prefix}TLS_KEY"] = str(folder / f"{name}.key")
        variables[f"{prefix}{'UPSTREAM_CA' if name in ('gateway', 'http') else 'TLS_CLIENT_CA'}"] = authority
    client_pair = [str(folder / "client.pem"), str(folder / "client.key")]
    for path in (*variables.values(), *client_pair):
        if not Path(path).is_file():
            raise SuiteError(f"{path} doesn't exist: create it with `axia certs init {folder}`")
    return variables | dict(zip(_OWN_TLS, (authority, *client_pair), strict=True))


def find_checkout() -> Path:
    """The checkout that this package is part of.

    Raises:
        SuiteError: If this isn't one.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / CONFIGURATION).is_file():
        raise SuiteError(
            f"{root} has no {CONFIGURATION}: clone the repository, run `make setup` there, and then `.venv/bin/axia up`"
        )
    return root


def _service(environment: Mapping[str, str], name: str, health_name: str, *, port: int, metrics_port: int) -> Service:
    prefix = _prefix(name)
    return Service(
        name,
        health_name,
        environment.get(f"{prefix}HOST") or "127.0.0.1",
        _port(environment, f"{prefix}PORT", port, lowest=1),
        _port(environment, f"{prefix}METRICS_PORT", metrics_port, lowest=0),
        bool(environment.get(f"{prefix}TLS_CERTIFICATE")),
    )


def _prefix(name: str) -> str:
    return f"AXIA_{name.upper()}_"


def _port(environment: Mapping[str, str], variable: str, default: int, *, lowest: int) -> int:
    text = environment.get(variable, str(default))
    if not text.isdecimal() or not lowest <= int(text) <= _HIGHEST_PORT:
        raise SuiteError(f"{variable} is {text!r}: set it to a port, {lowest} to {_HIGHEST_PORT}")
    return int(text)


def _reachable(host: str) -> str:
    """A host to connect to, for one to listen on."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}.get(host, host)  # noqa: S104 - nothing listens here


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def _is_taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do, or a port whose last connections are fading out would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            # Any other fault of the address is the service's to explain.
            return error.errno == errno.EADDRINUSE
    return False


def search_path(executable: str, environment: Mapping[str, str]) -> str:
    """PATH with the folder of a Python interpreter first, so that `python` in circus.ini is that one."""
    return os.pathsep.join(filter(None, (str(Path(executable).parent), environment.get("PATH", os.defpath))))
