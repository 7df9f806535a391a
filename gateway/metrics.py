"""Metrics of the gateway; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

STAGE_SECONDS = Histogram(
    "axia_gateway_stage_seconds",
    "Time of a detection in each stage: total at the gateway; decode, queue, first_token, generation at the model.",
    ["model", "stage"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
DETECTIONS = Counter(
    "axia_gateway_detections", "Detections, by outcome: agreed or abstained.", ["model", "outcome"], registry=REGISTRY
)
PARTIAL = Counter("axia_gateway_partial", "Detections that a deadline cut short.", ["model"], registry=REGISTRY)
COMPLETIONS = Counter(
    "axia_gateway_completions",
    "Completions received, by reason of their end.",
    ["model", "finish_reason"],
    registry=REGISTRY,
)
TOKENS = Counter("axia_gateway_tokens", "Tokens of the completions received.", ["model"], registry=REGISTRY)
AGREEMENT = Histogram(
    "axia_gateway_agreement",
    "Share of the completions in the largest group.",
    ["model"],
    buckets=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    registry=REGISTRY,
)
BACKEND_AVAILABLE = Gauge(
    "axia_gateway_backend_available",
    "Whether any of a model's replicas answers: 1 or 0.",
    ["address"],
    registry=REGISTRY,
)
REPLICA_AVAILABLE = Gauge(
    "axia_gateway_replica_available",
    "Whether one replica of a model says SERVING at its own address: 1 or 0.",
    ["model", "address"],
    registry=REGISTRY,
)
RETRIES = Counter(
    "axia_gateway_retries",
    "Calls that were tried again at a model's replicas before it began to answer, by what ended the attempt.",
    ["model", "reason"],
    registry=REGISTRY,
)
MODEL_IN_FLIGHT = Gauge(
    "axia_gateway_model_in_flight", "Calls that a model's servers are answering.", ["model"], registry=REGISTRY
)
SERVICE_AVAILABLE = Gauge(
    "axia_gateway_service_available",
    "Whether the retrieval or the scoring service says SERVING: 1 or 0.",
    ["service"],
    registry=REGISTRY,
)
SCORING_CALLS = Counter(
    "axia_gateway_scoring_calls",
    "Calls that the gateway's own protocols made to the scoring service: answered or failed.",
    ["method", "outcome"],
    registry=REGISTRY,
)
MISSING = Counter(
    "axia_gateway_missing",
    "Answers from which a part is missing: grouping, response_types, values, alignment, scores.",
    ["part"],
    registry=REGISTRY,
)
ASKED_AGAIN = Counter(
    "axia_gateway_asked_again",
    "Questions of a protocol that were put to a model again before it started.",
    ["model", "reason"],
    registry=REGISTRY,
)
PREFERENCE_JUDGEMENTS = Counter(
    "axia_gateway_preference_judgements",
    "Images asked about, by verdict: yes, no, refusal, unparsed, unread or failed.",
    ["model", "outcome"],
    registry=REGISTRY,
)
INTEREST_JUDGEMENTS = Counter(
    "axia_gateway_interest_judgements",
    "Images judged as a persona, by decision: stay, swipe or none.",
    ["model", "strategy", "decision"],
    registry=REGISTRY,
)
WATCH_FRAMES = Counter(
    "axia_gateway_watch_frames",
    "Frames of cameras: answered, superseded (or aborted, if already being answered) or failed.",
    ["outcome"],
    registry=REGISTRY,
)
WATCHERS = Gauge("axia_gateway_watchers", "Cameras that are being watched.", registry=REGISTRY)
PROXIED_IN_FLIGHT = Gauge(
    "axia_gateway_passed_in_flight",
    "Calls in flight that are forwarded to the retrieval or the scoring service.",
    ["service"],
    registry=REGISTRY,
)
