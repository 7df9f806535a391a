"""Prometheus metrics that every server has, and their port, which answers probes as well.

The registry is our own: libraries register theirs with prometheus_client's global one, and those names are not ours to
promise. docs/metrics.md lists every metric.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any, Self, TypeVar
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    make_wsgi_app,
)

logger = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter that nobody asks for

REGISTRY = CollectorRegistry()
"""Holds every metric of this process."""

ProcessCollector(registry=REGISTRY)  # process_cpu_seconds_total, process_resident_memory_bytes and so on

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Histogram bounds for times, in seconds: from a cached look-up to a long generation."""

_REQUEST_S = 10.0
"""Time for a client of the metrics port to send its request, its handshake included."""

_LINE_BYTES = 65536
"""Length of the longest request line."""

RPC_REQUESTS = Counter("axia_rpc_requests", "Finished calls, by gRPC status.", ["method", "code"], registry=REGISTRY)
RPC_SECONDS = Histogram(
    "axia_rpc_seconds",
    "Duration of a call at the server, in seconds.",
    ["method"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
RPC_IN_FLIGHT = Gauge("axia_rpc_in_flight", "Calls in flight.", ["method"], registry=REGISTRY)
RPC_REJECTED = Counter(
    "axia_rpc_rejected",
    "Calls that ended with an error, by the reason of the error, such as QUEUE_FULL, DRAINING or IMAGE_DAMAGED.",
    ["method", "reason"],
    registry=REGISTRY,
)

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


@lru_cache(maxsize=4096)
def series(metric: MetricT, *labels: str) -> MetricT:
    """The series of a metric with these labels: `metric.labels`, looked up once, for metrics that every call counts.

    Looking one up takes longer than counting does.
    """
    return metric.labels(*labels)


class MetricsServer:
    """Serves /metrics while it is open, and beside it what probes ask that can't speak gRPC or have no certificate:
    /healthz, 200 while the process runs, and /readyz, 200 while it can answer and else 503.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        ready: Whether the server can answer; asked in other threads.
        tls: Encrypts it; None for plaintext.

    Raises:
        OSError: If it can't listen there.
    """

    def __init__(
        self, host: str, port: int, ready: Callable[[], bool] = lambda: True, tls: ssl.SSLContext | None = None
    ) -> None:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = type("_Listening", (_Server,), {"address_family": family, "tls": tls})
        self._server = listening(address[:2], _QuietHandler)
        self._server.set_app(_application(ready))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stops answering and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each connection in a thread of its own."""

    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accepts a connection. Its thread makes the handshake, or one client could keep all others waiting."""
        connection, address = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs what a connection broke by; its client's fault, as a rule."""
        logger.debug("a connection to the metrics port ended", exc_info=True)


class _QuietHandler(WSGIRequestHandler):
    """Logs no requests."""

    timeout = _REQUEST_S

    def handle(self) -> None:
        """Answers one request, as the base class does but for errors: it prints them to stderr."""
        self.raw_requestline = self.rfile.readline(_LINE_BYTES + 1)
        if len(self.raw_requestline) > _LINE_BYTES:
            self.requestline = self.request_version = self.command = ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif self.parse_request():
            writer: Any = self.wfile
            answer: Any = _Answer(self.rfile, writer, self.get_stderr(), self.get_environ(), multithread=True)
            answer.request_handler = self
            server: Any = self.server
            answer.run(server.get_app())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Says nothing."""


class _Answer(ServerHandler):
    """Logs an error as all other code does."""

    def log_exception(self, exc_info: Any) -> None:
        """Logs what an answer broke by: a client that left, as a scrape that takes too long does, is no error."""
        level = logging.DEBUG if isinstance(exc_info[1], OSError) else logging.ERROR
        logger.log(level, "an answer from the metrics port failed", exc_info=exc_info)


def _application(ready: Callable[[], bool]) -> Any:
    metrics: Any = make_wsgi_app(REGISTRY)

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get("PATH_INFO", "")
        if path not in ("/healthz", "/readyz"):
            try:
                return metrics(environ, start_response)
            except (TypeError, ValueError):  # prometheus_client can't read some versions in an Accept header
                return metrics(environ | {"HTTP_ACCEPT": ""}, start_response)
        well = path == "/healthz" or ready()
        start_response("200 OK" if well else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"ok\n" if well else b"not ready\n"]

    return answer
