"""How a client reaches its gateway: encryption, the API key, and which calls may be repeated."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

Pem = str | os.PathLike[str] | bytes
"""Path of a PEM file, or its bytes."""

API_KEY_VARIABLE = "AXIA_API_KEY"
"""Environment variable with the API key to send where none is given."""

MAX_MESSAGE_BYTES = 32 * 2**20
"""Size of a request and of an answer at most. Servers may take less."""

_READS = {
    "axia.v1.GatewayService": ("ListModels",),
    "axia.v1.RetrievalService": (
        "SearchByText", "SearchByImage", "SearchByValue", "ListValues", "ListImages", "GetStats", "GetReindex",
    ),
    "axia.v1.ScoringService": ("",),
}  # fmt: skip
"""Calls that change nothing and sample nothing, by service; an empty name stands for all."""


@dataclass(frozen=True)
class TLS:
    """TLS settings of a connection.

        >>> TLS()                                # the gateway's certificate is from a public authority
        >>> TLS(root_certificates="ca.pem")      # it is from your own authority
        >>> TLS(root_certificates="ca.pem", certificate="robot.pem", key="robot.key")   # with a client certificate

    Args:
        root_certificates: Trusted authorities. Default: those that come with gRPC.
        certificate: The client's certificate chain; requires `key`.
        key: The client's private key.
        server_name: Expected name in the gateway's certificate, if it differs from the address.

    Raises:
        ValueError: If there is a certificate without a key, or a key without a certificate.
    """

    root_certificates: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate needs its key: give both, or neither")

    def __repr__(self) -> str:
        return f"TLS(server_name={self.server_name!r}, with_certificate={self.certificate is not None})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "TLS | None":
        """The settings from AXIA_TLS_ROOTS, AXIA_TLS_CERTIFICATE and AXIA_TLS_KEY, which are paths, and
        AXIA_TLS_SERVER_NAME; None if none of them is set and AXIA_TLS is not 1."""
        names = ("ROOTS", "CERTIFICATE", "KEY", "SERVER_NAME")
        roots, certificate, key, server_name = (environment.get(f"AXIA_TLS_{name}") or None for name in names)
        if not any((roots, certificate, key, server_name)) and environment.get("AXIA_TLS") != "1":
            return None
        return cls(roots, certificate, key, server_name)

    def credentials(self) -> "grpc.ChannelCredentials":
        """Reads the files.

        Raises:
            OSError: If one can't be read.
        """
        import grpc

        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.root_certificates, "root certificates"),
            private_key=_read(self.key, "private key"),
            certificate_chain=_read(self.certificate, "certificate"),
        )

    @property
    def options(self) -> list[tuple[str, int | str]]:
        """Options of the channel."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


def _read(pem: Pem | None, what: str) -> bytes | None:
    if pem is None or isinstance(pem, bytes):
        return pem
    try:
        return Path(pem).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there are no {what} at {os.fspath(pem)}: give the path of a PEM file") from None


def resolve_api_key(api_key: str | None) -> str | None:
    """The API key to send: as given, or from AXIA_API_KEY; None if neither is.

    Raises:
        ValueError: If it can't stand in a header. The message does not repeat it.
    """
    key = api_key or os.environ.get(API_KEY_VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("the API key must be printable ASCII without spaces or line ends")
    return key


def service_config(*, replicas: bool = False) -> str:
    """How gRPC balances calls and which it repeats: those alone that change nothing and sample nothing.

    A detection is never repeated from here, because it may have sampled; the gateway repeats it where it knows better.

    Args:
        replicas: Whether there are several addresses; calls then go to those alone whose health says SERVING.
    """
    names = [
        {"service": service} | ({"method": method} if method else {})
        for service, methods in _READS.items()
        for method in methods
    ]
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config: dict[str, object] = {
        # A host name may stand for several gateways; gRPC's default would use the first that answers.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": names, "retryPolicy": policy}],
    }
    if replicas:
        config["healthCheckConfig"] = {"serviceName": "axia.v1.GatewayService"}
    return json.dumps(config)
