"""Whether the environment turns traces on, and whether OpenTelemetry can do what it says.

OpenTelemetry itself says little of a mistake, or quotes it: headers hold tokens, and addresses can hold passwords.
"""

import os
import re
from importlib.util import find_spec
from urllib.parse import urlsplit

from services.serving.errors import FailedPrecondition

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_CERTIFICATES = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")
_HEADER = re.compile(r"\s*[!#$%&'*+.0-9A-Z^_`a-z|~-]+\s*=[ !#-+\--:<-\[\]-~]*")
"""What OpenTelemetry takes as one; others it leaves out, and writes them into the log."""


def check_tracing() -> str | None:
    """The environment variable that turns tracing on, if one does.

    Raises:
        FailedPrecondition: If the environment asks for what can't be done.
    """
    variable = _first(_ENDPOINTS)
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    if variable is None or off:
        return None
    if not _is_address(os.environ[variable]):
        raise FailedPrecondition(
            f"{variable} is not a valid collector address; set it to the URL of the collector's OTLP gRPC port, such "
            "as http://localhost:4317, or https:// for TLS, without a user or password (OTEL_EXPORTER_OTLP_HEADERS)",
            reason="TRACING_ENDPOINT",
        )
    protocol = _first(_PROTOCOLS)
    if protocol is not None and os.environ[protocol] != "grpc":
        raise FailedPrecondition(
            f"{protocol}: only grpc is supported; leave it out, and use the collector's gRPC port (usually 4317) in "
            f"{variable}",
            reason="TRACING_PROTOCOL",
        )
    headers = _first(_HEADERS)
    if headers is not None and not all(map(_HEADER.fullmatch, filter(str.strip, os.environ[headers].split(",")))):
        raise FailedPrecondition(
            f"{headers} has an invalid header; use name=value, separated by commas, with special characters "
            "URL-encoded, such as authorization=Bearer%20TOKEN",
            reason="TRACING_HEADERS",
        )
    certificate = _first(_CERTIFICATES)
    if certificate is not None and not os.access(os.environ[certificate], os.R_OK):
        raise FailedPrecondition(
            f"{certificate}: {os.environ[certificate]} can't be read; set it to a PEM file with the authorities of the "
            "collector's certificate",
            reason="TRACING_CERTIFICATE",
        )
    missing = [name for name in _PACKAGES if not _installed(name)]
    if missing:
        raise FailedPrecondition(
            f"{variable} is set, but the packages that send traces are missing ({', '.join(missing)}); run `make "
            "setup`, or `pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc`",
            reason="TRACING_PACKAGES",
        )
    return variable


def _first(variables: tuple[str, str]) -> str | None:
    """The variable that counts: that of traces where both are set."""
    return next((name for name in variables if os.environ.get(name)), None)


def _is_address(text: str) -> bool:
    try:
        endpoint = urlsplit(text)
        # Without a port gRPC takes 443, which is right for TLS alone.
        has_port = endpoint.port is not None or endpoint.scheme == "https"
    except ValueError:  # the port is no number, or an IPv6 address is not closed
        return False
    return endpoint.scheme in ("http", "https") and bool(endpoint.hostname) and has_port and "@" not in endpoint.netloc


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a package above it
        return False
