"""Metrics of the inference service; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

STAGE_SECONDS = Histogram(
    "axia_inference_stage_seconds",
    "Time of a request in each stage, in seconds: decode, queue, first_token or generation.",
    ["stage"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
COMPLETIONS = Counter(
    "axia_inference_completions",
    "Completions that ended: stop, sentence, length or reasoning; cancelled if the caller closed the call, its "
    "deadline passed or another completion failed.",
    ["finish_reason"],
    registry=REGISTRY,
)
TOKENS = Counter(
    "axia_inference_tokens", "Tokens: prompt (those of images included) or completion.", ["kind"], registry=REGISTRY
)
RUNNING = Gauge("axia_inference_running", "Completions being generated, as counted by the engine.", registry=REGISTRY)
WAITING = Gauge("axia_inference_waiting", "Completions waiting, as counted by the engine.", registry=REGISTRY)
LOADING = Gauge("axia_inference_loading", "1 while the model is loading, otherwise 0.", registry=REGISTRY)
KV_CACHE_USAGE = Gauge(
    "axia_inference_kv_cache_usage", "Share of vLLM's key-value cache in use, 0 to 1.", registry=REGISTRY
)
PREEMPTIONS = Counter(
    "axia_inference_preemptions",
    "Completions that vLLM preempted because its key-value cache was full; they are computed again.",
    registry=REGISTRY,
)
PREFIX_CACHE = Counter(
    "axia_inference_prefix_cache_tokens",
    "Prompt tokens that were in vLLM's prefix cache (hit) or had to be computed (miss).",
    ["outcome"],
    registry=REGISTRY,
)
PICTURE_CACHE = Counter(
    "axia_inference_picture_cache",
    "Images that were in the cache of vLLM's processor (hit) or had to be processed (miss).",
    ["outcome"],
    registry=REGISTRY,
)
ENDPOINT_RETRIES = Counter(
    "axia_inference_endpoint_retries",
    "Completions retried at an OpenAI-compatible endpoint, by the reason of the failure.",
    ["reason"],
    registry=REGISTRY,
)
MODEL_INFO = Gauge(
    "axia_inference_model_info",
    "Always 1; the labels name the model.",
    ["model", "revision", "engine", "engine_version"],
    registry=REGISTRY,
)
