"""Metrics of the gateway; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

STAGE_SECONDS = Histogram(
    "axia_gateway_stage_seconds",
    "Duration of each stage of a detection, in seconds: total at the gateway; decode, queue, first_token, generation "
    "at the model.",
    ["model", "stage"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
DETECTIONS = Counter(
    "axia_gateway_detections", "Detections that agreed or abstained.", ["model", "outcome"], registry=REGISTRY
)
PARTIAL = Counter("axia_gateway_partial", "Detections that a deadline ended early.", ["model"], registry=REGISTRY)
COMPLETIONS = Counter(
    "axia_gateway_completions",
    "Completions received, by finish reason.",
    ["model", "finish_reason"],
    registry=REGISTRY,
)
TOKENS = Counter("axia_gateway_tokens", "Tokens of the completions received.", ["model"], registry=REGISTRY)
AGREEMENT = Histogram(
    "axia_gateway_agreement",
    "Agreement of detections: share of the completions in the largest group, 0 to 1.",
    ["model"],
    buckets=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    registry=REGISTRY,
)
CALIBRATED_COVERAGE = Gauge(
    "axia_gateway_calibrated_coverage",
    "Share of the labelled images that a model answered at its calibration, 0 to 1.",
    ["model"],
    registry=REGISTRY,
)
CALIBRATED_DETECTIONS = Counter(
    "axia_gateway_calibrated_detections",
    "Detections with the same sampling as at the model's calibration: answered or abstained.",
    ["model", "outcome"],
    registry=REGISTRY,
)
COVERAGE_DRIFT = Gauge(
    "axia_gateway_coverage_drift",
    "Evidence that the share of answered images is lower or higher than at calibration, "
    "0 to 1.5. From 1 on, it counts as a change.",
    ["model", "direction"],
    registry=REGISTRY,
)
RESPONSE_TYPES = Counter(
    "axia_gateway_response_types",
    "Completions by response type; unspecified if a completion is not an answer or can't be judged.",
    ["model", "type"],
    registry=REGISTRY,
)
BACKEND_AVAILABLE = Gauge(
    "axia_gateway_backend_available",
    "1 if at least one replica of a model is available, otherwise 0; the label has the addresses of all replicas.",
    ["address"],
    registry=REGISTRY,
)
REPLICA_AVAILABLE = Gauge(
    "axia_gateway_replica_available",
    "1 if the health of the replica is SERVING, otherwise 0.",
    ["model", "address"],
    registry=REGISTRY,
)
RETRIES = Counter(
    "axia_gateway_retries",
    "Calls retried on a model's replicas before the model began to answer, by the reason of the failure.",
    ["model", "reason"],
    registry=REGISTRY,
)
MODEL_IN_FLIGHT = Gauge(
    "axia_gateway_model_in_flight", "Calls in flight to the servers of a model.", ["model"], registry=REGISTRY
)
MODEL_WAITING = Gauge(
    "axia_gateway_model_waiting", "Calls that wait in the gateway for a model's replicas.", ["model"], registry=REGISTRY
)
MODEL_WAIT_SECONDS = Histogram(
    "axia_gateway_model_wait_seconds",
    "Time that calls waited in the gateway for a model's replicas, in seconds; calls that didn't wait are not counted.",
    ["model"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
SERVICE_AVAILABLE = Gauge(
    "axia_gateway_service_available",
    "1 if the health of the service (retrieval or scoring) is SERVING, otherwise 0.",
    ["service"],
    registry=REGISTRY,
)
SCORING_CALLS = Counter(
    "axia_gateway_scoring_calls",
    "Calls of the gateway's protocols to the scoring service: answered or failed.",
    ["method", "outcome"],
    registry=REGISTRY,
)
MISSING = Counter(
    "axia_gateway_missing",
    "Answers without a part: grouping, response_types, values, alignment or scores.",
    ["part"],
    registry=REGISTRY,
)
ASKED_AGAIN = Counter(
    "axia_gateway_asked_again",
    "Questions of a protocol retried before the model started to answer, by the reason of the failure.",
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
    "Camera frames: answered, superseded while waiting, aborted while being answered, or failed.",
    ["outcome"],
    registry=REGISTRY,
)
WATCH_AGE_SECONDS = Histogram(
    "axia_gateway_watch_age_seconds",
    "Age of a camera frame when its answer was ready, in seconds since the frame was received.",
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
WATCHERS = Gauge("axia_gateway_watchers", "Watches in progress.", registry=REGISTRY)
PROXIED_IN_FLIGHT = Gauge(
    "axia_gateway_passed_in_flight",
    "Calls in flight that are forwarded to the retrieval or the scoring service.",
    ["service"],
    registry=REGISTRY,
)
