"""Metrics of the retrieval service; docs/metrics.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

from services.serving.metrics import REGISTRY, SECONDS_BUCKETS

SEARCHES = Counter(
    "axia_retrieval_searches", "Searches, by kind: text, picture, id or value.", ["kind"], registry=REGISTRY
)
STAGE_SECONDS = Histogram(
    "axia_retrieval_stage_seconds",
    "Duration of each stage, in seconds: decode, encode and search of a search; prepare, embed, store and index of "
    "an ingested image, including the wait for its batch.",
    ["stage"],
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
INGESTED = Counter(
    "axia_retrieval_ingested",
    "Images, by their acknowledgement: indexed, duplicate or rejected.",
    ["outcome"],
    registry=REGISTRY,
)
REJECTED = Counter(
    "axia_retrieval_rejected",
    "Images that were refused, by reason, such as IMAGE_UNREADABLE or IMAGE_TOO_LARGE.",
    ["reason"],
    registry=REGISTRY,
)
INGESTING = Gauge("axia_retrieval_ingesting", "Images being ingested.", registry=REGISTRY)
DELETED = Counter("axia_retrieval_deleted", "Images deleted.", registry=REGISTRY)
IMAGES = Gauge("axia_retrieval_images", "Images that searches can find.", registry=REGISTRY)
INDEXED_IMAGES = Gauge(
    "axia_retrieval_indexed_images", "Images in an HNSW index; the others are searched exactly.", registry=REGISTRY
)
BUILDING = Gauge("axia_retrieval_building", "1 while an HNSW index is being built, otherwise 0.", registry=REGISTRY)
STORE_AVAILABLE = Gauge(
    "axia_retrieval_store_available",
    "1 if the vector store and the image store answer, otherwise 0.",
    registry=REGISTRY,
)
REINDEXING = Gauge("axia_retrieval_reindexing", "1 while a re-index runs, otherwise 0.", registry=REGISTRY)
REINDEX_DONE = Gauge("axia_retrieval_reindex_done", "Images that the latest re-index has encoded.", registry=REGISTRY)
REINDEX_TOTAL = Gauge(
    "axia_retrieval_reindex_total", "Images that the latest re-index has to encode, as far as known.", registry=REGISTRY
)
ENCODER_INFO = Gauge(
    "axia_retrieval_encoder_info",
    "1 for the encoder in use, which the labels name.",
    ["encoder", "revision", "store"],
    registry=REGISTRY,
)
