"""Settings of the retrieval service: environment variables with the prefix AXIA_RETRIEVAL_."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.retrieval.encoder.keyword_prompts import PLACE
from services.retrieval.encoder.protocol import DEMO_ENCODER
from services.retrieval.encoder.views import split_fit
from services.serving.environment import Listed
from services.serving.settings import ServiceSettings

_MAX_PROMPTS = 100


class RetrievalSettings(ServiceSettings):
    """What the retrieval service can be told."""

    model_config = SettingsConfigDict(env_prefix="AXIA_RETRIEVAL_")

    port: int = Field(default=50052, ge=0, le=65535)
    """Port for gRPC; 0 chooses a free port and logs it."""
    metrics_port: int = Field(default=9102, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""

    encoder: str = Field(default=DEMO_ENCODER, min_length=1)
    """An open_clip architecture and its pretrained tag such as ViT-B-32/laion2b_s34b_b79k, or "local-dir:" and a
    folder; the demo CLIP if unset. "?fit=pad" or "?fit=tiles" after it makes the encoder see all of a wide or tall
    image, not its middle square alone. What was indexed with another encoder, or another fit, has to be indexed again,
    by StartReindex."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the encoder is computed; auto uses CUDA if there is a GPU."""
    encoder_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the encoder; auto takes bfloat16 where it is faster and the vectors stay the same."""
    encoder_threads: int = Field(default=0, ge=0, le=256)
    """Threads that the encoder computes with on a CPU; 0 takes one a core."""
    encode_batch: int = Field(default=0, ge=0, le=1024)
    """Maximum images or texts in one batch of the encoder; 0 takes 8 on a CPU and 32 on CUDA."""
    encode_queue: int = Field(default=1024, ge=1)
    """Images and texts that may wait for the encoder; beyond it requests are refused with RESOURCE_EXHAUSTED."""
    text_cache: int = Field(default=10_000, ge=0)
    """Texts whose vectors are cached in memory."""

    data: Path = Path(".axia/retrieval")
    """Folder of the index and of the images; created if it doesn't exist."""
    pictures: str = ""
    """Where images are stored: a folder or a URL that fsspec knows, such as s3://bucket/pictures; a folder under `data`
    if unset."""
    qdrant_url: str = ""
    """gRPC address of a Qdrant server, such as http://localhost:6334; unset: Qdrant Edge in this process, in `data`."""
    qdrant_api_key: SecretStr = SecretStr("")
    """Key of the Qdrant server; never logged."""
    qdrant_shard_number: int = Field(default=1, ge=1, le=256)
    """Shards of a new collection on a Qdrant server."""
    qdrant_replication_factor: int = Field(default=1, ge=1, le=64)
    """Copies of each shard of a new collection on a Qdrant server."""
    hnsw_m: int = Field(default=16, ge=4, le=128)
    """Edges of each node of the HNSW graph (m): more improve recall and need more memory."""
    hnsw_ef_construct: int = Field(default=100, ge=4, le=2000)
    """Candidates for the neighbours of each node while the HNSW graph is built (ef_construct)."""
    quantization: bool = True
    """Whether the HNSW graph is searched by vectors of 8-bit integers: twice as fast, for a quarter more memory. What
    it finds is scored again by the vectors themselves."""
    build_threshold: int = Field(default=4_000, ge=100)
    """Images outside the HNSW index from which one is built for them, by Qdrant Edge; fewer are searched exactly."""
    settle_seconds: float = Field(default=30.0, gt=0, le=86_400)
    """Seconds without an addition or a deletion after which Qdrant Edge builds all images into one HNSW index, if
    enough of them are outside the largest: one is searched faster than several."""
    lexicon: Path | None = None
    """The lexicon of values, a TOML file; axia's own if unset."""
    keyword_prompts: Listed = ("{}",)
    """Sentences that keywords of a search by value are put into at {} before they are encoded, such as
    "a photo of {}"; with several, their vectors are averaged. A sentence that has a comma needs the list as JSON."""

    max_k: int = Field(default=1_000, ge=1, le=10_000)
    """Images that one page of a search may have."""
    max_results: int = Field(default=10_000, ge=1, le=1_000_000)
    """Images that all pages of a search may have together. Deep pages are slow: every image before them is found
    again."""
    max_keyword_k: int = Field(default=100, ge=1, le=1_000)
    """Images a keyword that a search by value may have."""
    max_ids: int = Field(default=1_000, ge=1, le=100_000)
    """Ids that one request may name."""
    max_query_chars: int = Field(default=4_096, ge=1)
    """Characters that a query may have."""
    max_filter_entries: int = Field(default=64, ge=1, le=1_024)
    """Platforms, and sources, that a filter may name."""
    ingest_window: int = Field(default=32, ge=1, le=1_024)
    """Images of one stream that may be under way without an acknowledgement that was read."""
    max_ingesting: int = Field(default=128, ge=1, le=10_000)
    """Images of all streams together that may be under way."""
    check_seconds: float = Field(default=5.0, gt=0, le=600)
    """How often the vector store and the image store are checked, in seconds."""

    sweep_seconds: float = Field(default=86_400.0, ge=0, le=31_536_000)
    """Time between two looks for files of the image store that no image has, which are removed, and for images
    without a file; the first is a minute after the start. 0 turns them off."""

    @property
    def picture_url(self) -> str:
        """Where images are kept."""
        return self.pictures or str(self.data / "pictures")

    @field_validator("encoder")
    @classmethod
    def _the_fit_exists(cls, encoder: str) -> str:
        split_fit(encoder)
        return encoder

    @field_validator("keyword_prompts")
    @classmethod
    def _every_prompt_has_one_place(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(prompts) <= _MAX_PROMPTS or any(prompt.count(PLACE) != 1 for prompt in prompts):
            raise ValueError(
                f"give 1 to {_MAX_PROMPTS} sentences, each with {PLACE} once, where the keyword goes, such as "
                f"a photo of {PLACE}"
            )
        return prompts

    @model_validator(mode="after")
    def _queue_has_room_for_ingest(self) -> "RetrievalSettings":
        if self.encode_queue < self.max_ingesting:
            raise ValueError("ENCODE_QUEUE must be at least MAX_INGESTING, or the encoder would refuse an ingest")
        return self

    @model_validator(mode="after")
    def _a_page_fits_into_the_results(self) -> "RetrievalSettings":
        if self.max_results < self.max_k:
            raise ValueError("MAX_RESULTS must be at least MAX_K, or no page could have as many images")
        return self
