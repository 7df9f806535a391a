"""Tracing that is off: nothing of OpenTelemetry is imported, and spans are objects that do nothing."""

import os
import subprocess
import sys

import pytest

from services.serving import tracing, tracing_environment
from services.serving.errors import FailedPrecondition
from services.serving.tracing_environment import check_tracing
from tests.support import processes

SERVERS = ["gateway.server", "services.scoring.server", "services.retrieval.servicer", "services.inference.servicer"]


def test_no_server_imports_opentelemetry_while_tracing_is_off() -> None:
    code = (
        f"import sys, {', '.join(SERVERS)}\n"
        "from services.serving.tracing import start_tracing, span\n"
        "start_tracing('gateway')\n"
        "with span('a') as opened: opened.set({'b': 1})\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_spans_and_headers_are_nothing_while_tracing_is_off() -> None:
    assert tracing.span("a") is tracing.stream_span("b") is tracing.NO_SPAN
    assert tracing.incoming_span("c", [("traceparent", f"00-{'1' * 32}-{'2' * 16}-01")], {}) is tracing.NO_SPAN
    assert tracing.trace_headers() == tracing.untraced_headers() == ()
    assert tracing.trace_ids() is None
    assert not tracing.current_span().recording


@pytest.mark.parametrize(
    "off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}]
)
def test_the_standard_variables_turn_it_off(monkeypatch: pytest.MonkeyPatch, off: dict[str, str]) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert check_tracing() == "OTEL_EXPORTER_OTLP_ENDPOINT"
    for name, value in off.items():
        monkeypatch.setenv(name, value)
    assert check_tracing() is None


def test_a_missing_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(tracing_environment, "_PACKAGES", ("no_such_package.sdk",))
    with pytest.raises(FailedPrecondition, match=r"no_such_package.*pip install opentelemetry-sdk"):
        check_tracing()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ENDPOINT", "http://[::1", "is not a valid collector address"),
        ("ENDPOINT", "http://collector:otlp", "is not a valid collector address"),
        ("ENDPOINT", "http://collector", "URL of the collector's OTLP gRPC port"),
        ("ENDPOINT", "grpc://axia:s3cret@collector:4317", "is not a valid collector address"),
        ("ENDPOINT", "http://axia:s3cret@collector:4317", "without a user or password"),
        ("HEADERS", "authorization: Bearer s3cret", "OTEL_EXPORTER_OTLP_HEADERS has an invalid header"),
        ("HEADERS", "a=b,authorization=s3cret;x", "authorization=Bearer%20TOKEN"),
        ("CERTIFICATE", "/nowhere/ca.pem", "/nowhere/ca.pem can't be read"),
    ],
)
def test_a_mistake_is_told_with_what_to_do_and_without_secrets(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-scope-orgid=axia, authorization=Bearer s3cret==")
    assert check_tracing() == "OTEL_EXPORTER_OTLP_ENDPOINT"
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    with pytest.raises(FailedPrecondition) as refused:
        check_tracing()
    assert message in refused.value.message
    assert "s3cret" not in refused.value.message


def test_a_protocol_of_traces_counts_before_the_one_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")  # of metrics, say
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
    assert check_tracing() == "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), ("OTEL_BSP_MAX_QUEUE_SIZE", "1")]
)
def test_what_opentelemetry_refuses_is_no_crash(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(variable, value)
    with pytest.raises(FailedPrecondition, match=r"OpenTelemetry can't use one of its variables"):
        tracing.start_tracing("gateway")
    assert tracing.span("a") is tracing.NO_SPAN
