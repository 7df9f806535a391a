"""Metrics of the scoring service; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge

from services.serving.metrics import REGISTRY

ITEMS = Counter(
    "axia_scoring_items",
    "Items scored, by method: sentences, answers, questionnaires, outcomes, models or ratings.",
    ["method"],
    registry=REGISTRY,
)
PREFERENCE_VERDICTS = Counter(
    "axia_scoring_preference_verdicts",
    "Preference answers, by verdict: yes, no, refusal or unparsed.",
    ["verdict"],
    registry=REGISTRY,
)
MISALIGNMENTS = Counter(
    "axia_scoring_misalignments", "Misaligned answers, by class.", ["misalignment_class"], registry=REGISTRY
)
READER_INFO = Gauge(
    "axia_scoring_reader_info",
    "1 if the reader model that the labels name is loaded, otherwise 0.",
    ["model", "revision"],
    registry=REGISTRY,
)
READER_TEXTS = Counter(
    "axia_scoring_reader_texts",
    "Distinct texts and pairs of texts of a call, by task (relation, type or verdict) and source: computed by the "
    "reader model or remembered from an earlier call (cache hit).",
    ["task", "source"],
    registry=REGISTRY,
)
