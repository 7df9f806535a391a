"""Metrics of the inference service; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

STAGE_SECONDS = Histogram(
    "axia_inference_stage_seconds",
    "Duration of each stage of a request, in seconds: decode, queue, first_token or generation.",
    ["stage"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
COMPLETIONS = Counter(
    "axia_inference_completions",
    "Finished completions, by finish reason: stop, sentence, length or reasoning; cancelled if the caller closed the "
    "call, its deadline passed or another completion failed.",
    ["finish_reason"],
    registry=REGISTRY,
)
TOKENS = Counter(
    "axia_inference_tokens", "Tokens: prompt (including image tokens) or completion.", ["kind"], registry=REGISTRY
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
    "Prompt tokens: cache hit if they were in vLLM's prefix cache, miss if they had to be computed.",
    ["outcome"],
    registry=REGISTRY,
)
PICTURE_CACHE = Counter(
    "axia_inference_picture_cache",
    "Images: cache hit if they were in the cache of vLLM's processor, miss if they had to be processed.",
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
