"""Tracing that is off: nothing of OpenTelemetry is imported, and spans are objects that do nothing."""

import os
import subprocess
import sys

import pytest

from services.serving import tracing
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
    assert tracing.check_tracing() == "OTEL_EXPORTER_OTLP_ENDPOINT"
    for name, value in off.items():
        monkeypatch.setenv(name, value)
    assert tracing.check_tracing() is None


def test_a_missing_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(tracing, "_PACKAGES", ("no_such_package.sdk",))
    with pytest.raises(tracing.FailedPrecondition, match=r"no_such_package.*pip install opentelemetry-sdk"):
        tracing.check_tracing()
