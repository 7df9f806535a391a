"""What vLLM finds in its environment."""

import os

import pytest

from services.inference.engines.vllm.environment import prepare_environment
from services.inference.settings import InferenceSettings


def test_vllm_sends_no_spans_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = InferenceSettings(offline=True)
    monkeypatch.setattr(os, "environ", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9"})
    prepare_environment(settings)
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in os.environ
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
