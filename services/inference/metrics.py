"""Metrics of the inference service; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

STAGE_SECONDS = Histogram(
    "axia_inference_stage_seconds",
    "Time of a request in each stage: decode, queue, first_token, generation.",
    ["stage"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
COMPLETIONS = Counter(
    "axia_inference_completions", "Completions that ended, by reason.", ["finish_reason"], registry=REGISTRY
)
TOKENS = Counter("axia_inference_tokens", "Tokens, by kind: prompt or completion.", ["kind"], registry=REGISTRY)
RUNNING = Gauge("axia_inference_running", "Completions being generated, by the engine's own count.", registry=REGISTRY)
WAITING = Gauge("axia_inference_waiting", "Completions waiting, by the engine's own count.", registry=REGISTRY)
ENDPOINT_RETRIES = Counter(
    "axia_inference_endpoint_retries",
    "Completions asked for again at an OpenAI-compatible endpoint, by what had failed.",
    ["reason"],
    registry=REGISTRY,
)
MODEL_INFO = Gauge(
    "axia_inference_model_info",
    "Always 1; the labels name the model.",
    ["model", "revision", "engine", "engine_version"],
    registry=REGISTRY,
)
