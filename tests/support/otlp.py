"""A collector of traces for tests: takes OTLP over gRPC and keeps the spans."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc


class Span(NamedTuple):
    """One span, and the service that it is of."""

    service: str
    resource: dict[str, Any]
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    begin_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    failed: bool


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests: list[bytes] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        self.requests.append(request.SerializeToString())
        return otlp.ExportTraceServiceResponse()

    @property
    def raw(self) -> bytes:
        """All that came, byte for byte."""
        return b"".join(self.requests)

    @property
    def spans(self) -> list[Span]:
        """The spans that came, in the order of their ends at each server."""
        return [
            span for request in self.requests for span in _spans(otlp.ExportTraceServiceRequest.FromString(request))
        ]

    def wait_for(self, *names: str, timeout: float = 15.0) -> list[Span]:
        """Waits until a span with each of these names came; returns all that did."""
        deadline = time.monotonic() + timeout
        while missing := set(names) - {span.name for span in self.spans}:
            assert time.monotonic() < deadline, f"no spans {missing}; there are {[span.name for span in self.spans]}"
            time.sleep(0.05)
        return self.spans


def _spans(request: otlp.ExportTraceServiceRequest) -> Iterator[Span]:
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    service=resource["service.name"],
                    resource=resource,
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    begin_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    attributes=_attributes(span.attributes),
                    events=[(event.name, _attributes(event.attributes)) for event in span.events],
                    failed=span.status.code == 2,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def collector(certificates: Path | None = None) -> Iterator[Collector]:
    """A collector on a free port, with TLS if there is a folder of `axia certs init`."""
    servicer = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    if certificates:
        leaf = [((certificates / "client.key").read_bytes(), (certificates / "client.pem").read_bytes())]
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(leaf))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    servicer.endpoint = f"{'https' if certificates else 'http'}://127.0.0.1:{port}"
    server.start()
    try:
        yield servicer
    finally:
        server.stop(0).wait()
