"""Prometheus metrics that every server has, and their port.

The registry is our own: libraries register theirs with prometheus_client's global one, and those names are not ours to
promise. docs/metrics.md lists every metric.
"""

import logging
from functools import lru_cache
from typing import Self, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

logger = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter that nobody asks for

REGISTRY = CollectorRegistry()
"""Holds every metric of this process."""

ProcessCollector(registry=REGISTRY)  # process_cpu_seconds_total, process_resident_memory_bytes and so on

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Histogram bounds for times, in seconds: from a cached look-up to a long generation."""

RPC_REQUESTS = Counter("axia_rpc_requests", "Calls that ended, by gRPC status.", ["method", "code"], registry=REGISTRY)
RPC_SECONDS = Histogram(
    "axia_rpc_seconds",
    "Time of a call at the server, in seconds.",
    ["method"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
RPC_IN_FLIGHT = Gauge("axia_rpc_in_flight", "Calls in flight.", ["method"], registry=REGISTRY)
RPC_REJECTED = Counter(
    "axia_rpc_rejected",
    "Calls that ended with an error, by its reason, such as QUEUE_FULL, DRAINING or IMAGE_DAMAGED.",
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
    """Serves the registry over HTTP while it is open."""

    def __init__(self, host: str, port: int) -> None:
        self._server, self._thread = start_http_server(port, addr=host, registry=REGISTRY)
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
