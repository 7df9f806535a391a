"""Metrics of the retrieval service; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

SEARCHES = Counter("axia_retrieval_searches", "Searches, by kind: text, image, id, value.", ["kind"], registry=REGISTRY)
STAGE_SECONDS = Histogram(
    "axia_retrieval_stage_seconds",
    "Time in each stage: decode, encode and search of a search; prepare, embed, store and index of an ingest.",
    ["stage"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
INGESTED = Counter(
    "axia_retrieval_ingested",
    "Images acknowledged, by outcome: indexed, duplicate, rejected.",
    ["outcome"],
    registry=REGISTRY,
)
REJECTED = Counter(
    "axia_retrieval_rejected", "Images that an ingest refused, by reason.", ["reason"], registry=REGISTRY
)
INGESTING = Gauge("axia_retrieval_ingesting", "Images being ingested.", registry=REGISTRY)
DELETED = Counter("axia_retrieval_deleted", "Images deleted.", registry=REGISTRY)
IMAGES = Gauge("axia_retrieval_images", "Images that searches reach.", registry=REGISTRY)
INDEXED_IMAGES = Gauge("axia_retrieval_indexed_images", "Images under an HNSW index.", registry=REGISTRY)
BUILDING = Gauge("axia_retrieval_building", "Whether an HNSW index is being built: 1 or 0.", registry=REGISTRY)
STORE_AVAILABLE = Gauge(
    "axia_retrieval_store_available",
    "Whether the vector store and the image store answer: 1 or 0.",
    registry=REGISTRY,
)
REINDEXING = Gauge("axia_retrieval_reindexing", "Whether a re-index runs: 1 or 0.", registry=REGISTRY)
REINDEX_DONE = Gauge("axia_retrieval_reindex_done", "Images that the latest re-index has done.", registry=REGISTRY)
REINDEX_TOTAL = Gauge(
    "axia_retrieval_reindex_total", "Images of the latest re-index, as far as known.", registry=REGISTRY
)
ENCODER_INFO = Gauge(
    "axia_retrieval_encoder_info",
    "1 for the encoder in use, which the labels name.",
    ["encoder", "revision", "store"],
    registry=REGISTRY,
)
