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
LOADING = Gauge("axia_inference_loading", "Whether the model is being loaded: 1 or 0.", registry=REGISTRY)
KV_CACHE_USAGE = Gauge(
    "axia_inference_kv_cache_usage", "Share of vLLM's key-value cache that is in use, 0 to 1.", registry=REGISTRY
)
PREEMPTIONS = Counter(
    "axia_inference_preemptions",
    "Completions that vLLM preempted because its key-value cache was full; they are computed again.",
    registry=REGISTRY,
)
PREFIX_CACHE = Counter(
    "axia_inference_prefix_cache_tokens",
    "Tokens of prompts that were in vLLM's prefix cache (hit) and that were computed (miss).",
    ["outcome"],
    registry=REGISTRY,
)
PICTURE_CACHE = Counter(
    "axia_inference_picture_cache",
    "Images that vLLM's processor had in its cache (hit) and that it processed (miss).",
    ["outcome"],
    registry=REGISTRY,
)
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
