"""Metrics of the scoring service; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge

from services.serving.metrics import REGISTRY

ITEMS = Counter(
    "axia_scoring_items",
    "What was scored, by method: sentences, answers, questionnaires, outcomes, models, ratings.",
    ["method"],
    registry=REGISTRY,
)
PREFERENCE_VERDICTS = Counter(
    "axia_scoring_preference_verdicts",
    "Preference answers read, by verdict: yes, no, refusal, unparsed.",
    ["verdict"],
    registry=REGISTRY,
)
MISALIGNMENTS = Counter(
    "axia_scoring_misalignments", "Misaligned answers, by class.", ["misalignment_class"], registry=REGISTRY
)
READER_INFO = Gauge(
    "axia_scoring_reader_info",
    "1 if the reader model named by the labels is loaded, 0 if there is none.",
    ["model", "revision"],
    registry=REGISTRY,
)
READER_TEXTS = Counter(
    "axia_scoring_reader_texts",
    "Different texts and pairs of a call that were read, by task, and whether the model computed them or they were "
    "remembered.",
    ["task", "source"],
    registry=REGISTRY,
)
