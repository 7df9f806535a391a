"""Asks a server for its health: python -m services.serving.probe ADDRESS [SERVICE].

A container's health check, and Kubernetes' where its own can't reach the port. ADDRESS is host:port, for gRPC's health
service, or an address that answers 200: with TLS, https:// and /healthz or /readyz at the port of metrics. SERVICE is a
name that the server reports, such as "liveness", which is SERVING while a model is loaded too; left out, it is the
server's readiness. The exit code is 0 if the server is healthy, 1 if not, 2 if it was called wrongly.
"""

import argparse
import ssl
import sys
import urllib.error
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_S = 3.0
_HTTP_OK = 200


def main(arguments: list[str] | None = None) -> int:
    """Asks once and returns the exit code."""
    parser = argparse.ArgumentParser("python -m services.serving.probe", description="Asks a server for its health.")
    parser.add_argument("address", help="host:port for gRPC, or http(s)://host:port/path")
    parser.add_argument("service", nargs="?", default="", help="name of a service; the whole server if left out")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, help="seconds to wait (%(default)g)")
    options = parser.parse_args(arguments)
    fault = _http_fault(options.address, options.timeout) if "://" in options.address else _grpc_fault(options)
    if fault:
        sys.stderr.write(f"{options.address} is not healthy: {fault}\n")
    return 1 if fault else 0


def _grpc_fault(options: argparse.Namespace) -> str:
    """What is wrong with a gRPC server; empty if nothing."""
    # A proxy that http_proxy names can't know this machine's ports.
    with grpc.insecure_channel(options.address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=options.service)
            status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=options.timeout).status
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}"
    return (
        ""
        if status == health_pb2.HealthCheckResponse.SERVING
        else health_pb2.HealthCheckResponse.ServingStatus.Name(status)
    )


def _http_fault(address: str, timeout_s: float) -> str:
    """What is wrong with an HTTP server; empty if nothing."""
    if not address.startswith(("http://", "https://")):
        return "only http://, https:// and gRPC's host:port are known"
    # Certificates name the server by other names than a probe does, and it sends nothing that is secret.
    context = ssl._create_unverified_context()  # noqa: S323
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(address, timeout=timeout_s) as response:
            status: int = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError as error:
        return str(error)
    return "" if status == _HTTP_OK else f"HTTP {status}"


if __name__ == "__main__":
    sys.exit(main())
