"""Prometheus metrics of the HTTP API; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

REQUESTS = Counter(
    "axia_http_requests",
    "Finished requests, by HTTP status; 499 if the caller closed the connection first.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    "axia_http_seconds",
    "Duration of a request, including the events of a stream, in seconds.",
    ["method", "route"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("axia_http_in_flight", "Requests in flight.", registry=REGISTRY)
