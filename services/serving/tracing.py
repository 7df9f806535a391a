"""Traces by OpenTelemetry: spans of calls and of their stages, sent to a collector by OTLP over gRPC.

OpenTelemetry's own environment variables turn them on and configure them; docs/tracing.md lists the spans. Without
OTEL_EXPORTER_OTLP_ENDPOINT nothing of OpenTelemetry is imported, and a span is an object that does nothing.

Spans hold names, numbers and reasons of errors. Images, prompts, answers and texts of exceptions never get into one:
that is why exceptions aren't recorded with OpenTelemetry's own means, and why only the trace's own headers are passed
on, no baggage.

This is the only module that imports OpenTelemetry. The exporter is the one for gRPC: the servers have grpcio anyway,
and the one for HTTP would add another HTTP client.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from axia.version import __version__
from services.serving.errors import FailedPrecondition, ServiceError

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

Kind = Literal["internal", "server", "client"]
Value = str | bool | int | float | Sequence[str]

HEADERS = ("traceparent", "tracestate")
"""Keys of metadata, and names of HTTP headers, in which a trace travels (W3C Trace Context)."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")
_MAX_HEADER_LENGTH = 512
"""Of what callers send in HEADERS: as much as the standard asks servers to pass on. A longer one is dropped."""
_FLUSH_S = 3.0
"""How long a server that ends waits for the collector to take the last spans."""


class Span:
    """A span that records nothing: what there is while tracing is off. As a context manager it ends with its block."""

    __slots__ = ()

    @property
    def recording(self) -> bool:
        """Whether attributes go anywhere, so that a caller can leave out the work of computing them."""
        return False

    def rename(self, name: str) -> None:
        """Gives it another name."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Adds attributes."""

    def event(self, name: str, attributes: Mapping[str, Value] | None = None) -> None:
        """Adds an event that happens now."""

    def fail(self, error_type: str) -> None:
        """Marks it as failed, by the reason of an error and never by its text."""

    def end(self) -> None:
        """Ends it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        pass


NO_SPAN = Span()


class _OpenSpan(Span):
    """A span of OpenTelemetry's, which may turn out not to be sampled.

    Args:
        span: The span.
        current: Whether what its block does belongs to it.
    """

    __slots__ = ("_current", "_token", "span")

    def __init__(self, span: trace.Span, *, current: bool) -> None:
        self.span = span
        self._current = current
        self._token: Token[_OpenSpan | None] | None = None

    @property
    def recording(self) -> bool:
        return self.span.is_recording()

    def rename(self, name: str) -> None:
        self.span.update_name(name)

    def set(self, attributes: Mapping[str, Value]) -> None:
        self.span.set_attributes(attributes)

    def event(self, name: str, attributes: Mapping[str, Value] | None = None) -> None:
        self.span.add_event(name, attributes)

    def fail(self, error_type: str) -> None:
        from opentelemetry.trace import StatusCode

        self.span.set_attribute("error.type", error_type)
        self.span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        self.span.end()

    def __enter__(self) -> Self:
        if self._current:
            self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if self._token is not None:
            with suppress(ValueError):  # the block ended in another context, which goes with this span
                _current.reset(self._token)
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self.span.set_attribute("axia.cancelled", True)  # the caller went, or has a newer frame: no failure
        elif error is not None:
            self.fail(error.reason if isinstance(error, ServiceError) else type(error).__name__)
        self.end()


class _Tracing:
    """What is there while tracing is on."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.trace import propagation
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.provider = provider
        # Not the global provider: what libraries trace by themselves may hold content.
        self._tracer = provider.get_tracer("axia", __version__)
        self._headers = TraceContextTextMapPropagator()
        self._kinds: dict[Kind, trace.SpanKind] = {
            "internal": trace.SpanKind.INTERNAL,
            "server": trace.SpanKind.SERVER,
            "client": trace.SpanKind.CLIENT,
        }
        self._within = propagation.set_span_in_context
        self._nowhere = Context()

    def start(self, name: str, kind: Kind, attributes: Mapping[str, Value] | None, begin_ns: int | None) -> trace.Span:
        """A span below the current one."""
        parent = _current.get()
        context = self._nowhere if parent is None else self._within(parent.span, self._nowhere)
        return self._tracer.start_span(name, context, self._kinds[kind], attributes, start_time=begin_ns)

    def receive(self, name: str, headers: Mapping[str, str], attributes: Mapping[str, Value]) -> trace.Span:
        """A span below the one that a request names, if it names one."""
        context = self._headers.extract(headers, self._nowhere)
        return self._tracer.start_span(name, context, self._kinds["server"], attributes)

    def headers_of(self, span: trace.Span) -> tuple[tuple[str, str], ...]:
        """What a request that belongs to a span has in its headers."""
        carrier: dict[str, str] = {}
        self._headers.inject(carrier, self._within(span, self._nowhere))
        return tuple(carrier.items())


_current: ContextVar[_OpenSpan | None] = ContextVar("current_span", default=None)
_tracing: _Tracing | None = None


def start_tracing(service: str) -> None:
    """Turns tracing on where the environment says so.

    Args:
        service: Name of the server, which is "axia-" and this in traces, unless the environment gives another.

    Raises:
        FailedPrecondition: If the environment asks for what can't be done.
    """
    global _tracing  # noqa: PLW0603 - as logs, it belongs to the process
    variable = check_tracing()
    if variable is None or _tracing is not None:
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = Resource({"service.name": f"axia-{service}", "service.namespace": "axia", "service.version": __version__})
    provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    # As for channels between the servers: http_proxy is often set for a model hub, and knows no collector.
    options: Any = (("grpc.enable_http_proxy", 0),)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(channel_options=options)))
    # It would quote what callers send where that isn't as the standard wants it.
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)
    _tracing = _Tracing(provider)
    logger.info("traces go to the collector at %s", urlsplit(os.environ[variable]).hostname)


def check_tracing() -> str | None:
    """The environment variable that turns tracing on, if one does.

    Raises:
        FailedPrecondition: If the environment asks for what can't be done.
    """
    variable = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    if variable is None or off:
        return None
    endpoint = urlsplit(os.environ[variable])
    if endpoint.scheme not in ("http", "https") or not endpoint.hostname:
        raise FailedPrecondition(
            f"{variable}: {os.environ[variable]!r} is not a collector's address; set it to an address for OTLP over "
            "gRPC, such as http://localhost:4317, or https:// for TLS",
            reason="TRACING_ENDPOINT",
        )
    for name in _PROTOCOLS:
        if os.environ.get(name, "grpc") != "grpc":
            raise FailedPrecondition(
                f"{name}: only grpc is supported; leave it out, and set the collector's gRPC port (usually 4317) in "
                f"{variable}",
                reason="TRACING_PROTOCOL",
            )
    missing = [name for name in _PACKAGES if not _installed(name)]
    if missing:
        raise FailedPrecondition(
            f"{variable} is set, and the packages that send traces are missing ({', '.join(missing)}); run `make "
            "setup`, or `pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc`",
            reason="TRACING_PACKAGES",
        )
    return variable


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a package above it
        return False


async def stop_tracing() -> None:
    """Sends what is left, as far as the collector takes it in time, and turns tracing off."""
    global _tracing
    if _tracing is None:
        return
    provider, _tracing = _tracing.provider, None
    # A thread that the process doesn't wait for: a collector that is away must not keep a server from its end.
    ending = threading.Thread(target=provider.shutdown, daemon=True)
    ending.start()
    await asyncio.to_thread(ending.join, _FLUSH_S)
    if ending.is_alive():
        logger.warning("the collector did not take the last spans within %g s; they are lost", _FLUSH_S)


def span(name: str, attributes: Mapping[str, Value] | None = None, kind: Kind = "internal") -> Span:
    """A span below the current one, to be entered at once; what its block does belongs to it."""
    if _tracing is None:
        return NO_SPAN
    return _OpenSpan(_tracing.start(name, kind, attributes, None), current=True)


def stream_span(name: str, attributes: Mapping[str, Value] | None = None, kind: Kind = "internal") -> Span:
    """The same for the body of a generator, whose consumer works between its steps: nothing else belongs to it but what
    is called with `trace_headers` of it."""
    if _tracing is None:
        return NO_SPAN
    return _OpenSpan(_tracing.start(name, kind, attributes, None), current=False)


def incoming_span(name: str, headers: Iterable[tuple[str, Any]], attributes: Mapping[str, Value]) -> Span:
    """The span of a request, below the one that its headers name; current from now on, for the rest of the task.

    Args:
        name: Its name.
        headers: The request's headers, or metadata, with names in lower case.
        attributes: Of the span.
    """
    if _tracing is None:
        return NO_SPAN
    given = {
        key: value
        for key, value in headers
        if key in HEADERS and isinstance(value, str) and len(value) <= _MAX_HEADER_LENGTH
    }
    opened = _OpenSpan(_tracing.receive(name, given, attributes), current=False)
    _current.set(opened)
    return opened


def record_span(name: str, begin: float, end: float, attributes: Mapping[str, Value] | None = None) -> None:
    """Adds a span that is over, below the current one.

    Args:
        name: Its name.
        begin: When it began, as `time.perf_counter` told it.
        end: When it ended.
        attributes: Of the span.
    """
    if _tracing is None:
        return
    offset = time.time() - time.perf_counter()
    begin_ns, end_ns = (round((moment + offset) * 1e9) for moment in (begin, max(begin, end)))
    _tracing.start(name, "internal", attributes, begin_ns).end(end_ns)


def current_span() -> Span:
    """The span that the current task works on."""
    return _current.get() or NO_SPAN


def trace_headers(of: Span = NO_SPAN) -> tuple[tuple[str, str], ...]:
    """What a request to another server has in its headers so that its spans come below a span: `of`, or the current
    one."""
    found = of if isinstance(of, _OpenSpan) else _current.get()
    return () if _tracing is None or found is None else _tracing.headers_of(found.span)


def untraced_headers() -> tuple[tuple[str, str], ...]:
    """What a request has in its headers so that other servers begin no trace for it: one that a server asks by itself,
    again and again."""
    return () if _tracing is None else (("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"),)


def trace_ids() -> tuple[str, str] | None:
    """The ids of the current trace and span in hexadecimal; None outside of one."""
    found = _current.get()
    if found is None:
        return None
    context = found.span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
