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
    """An open_clip architecture and its pretrained tag, such as ViT-B-32/laion2b_s34b_b79k, or "local-dir:" and a
    folder; default: the demo CLIP. With the suffix "?fit=pad" or "?fit=tiles" the encoder sees the whole of a wide or
    tall image, not only the square in the middle. After a change of the encoder or of fit, index the images again with
    StartReindex."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the encoder; auto uses CUDA if there is a GPU."""
    encoder_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Data type of the encoder; auto uses bfloat16 for images, and for texts, if it is faster and the vectors stay the
    same."""
    encoder_threads: int = Field(default=0, ge=0, le=256)
    """Number of threads of the encoder on a CPU; 0: one per core."""
    encode_batch: int = Field(default=0, ge=0, le=1024)
    """Maximum batch size of the encoder, in images or texts; 0: 8 on a CPU and 32 on CUDA."""
    encode_queue: int = Field(default=1024, ge=1)
    """Maximum number of images and texts that wait for the encoder; more requests are refused with
    RESOURCE_EXHAUSTED."""
    text_cache: int = Field(default=10_000, ge=0)
    """Size of the cache of text vectors in memory, in texts."""

    data: Path = Path(".axia/retrieval")
    """Folder of the index and of the images; created if it doesn't exist."""
    pictures: str = ""
    """Image store: a folder or a URL that fsspec supports, such as s3://bucket/pictures; default: a folder under
    `data`."""
    qdrant_url: str = ""
    """gRPC address of a Qdrant server, such as http://localhost:6334; default: Qdrant Edge in this process, in
    `data`."""
    qdrant_api_key: SecretStr = SecretStr("")
    """API key of the Qdrant server; never logged."""
    qdrant_shard_number: int = Field(default=1, ge=1, le=256)
    """Number of shards of a new collection on a Qdrant server."""
    qdrant_replication_factor: int = Field(default=1, ge=1, le=64)
    """Number of copies of each shard of a new collection on a Qdrant server."""
    hnsw_m: int = Field(default=16, ge=4, le=128)
    """Edges of each node of the HNSW graph (m): more improve recall and need more memory."""
    hnsw_ef_construct: int = Field(default=100, ge=4, le=2000)
    """Candidates for the neighbours of each node while the HNSW graph is built (ef_construct)."""
    quantization: bool = True
    """Whether the HNSW graph is searched with 8-bit vectors: twice as fast, with a quarter more memory. Results are
    scored again with the full vectors."""
    build_threshold: int = Field(default=4_000, ge=100)
    """Number of images outside the HNSW index at which Qdrant Edge builds an index for them; below this number they are
    searched exactly."""
    settle_seconds: float = Field(default=30.0, gt=0, le=86_400)
    """Idle time after which Qdrant Edge builds one HNSW index of all images, if enough images are outside the largest
    index, in seconds. Idle means without additions and deletions. One index is faster to search than several."""
    lexicon: Path | None = None
    """The lexicon of values, a TOML file; default: axia's own."""
    keyword_prompts: Listed = ("{}",)
    """Prompt templates for the keywords of a search by value, such as "a photo of {}"; the keyword replaces {}. With
    several templates, their vectors are averaged. If a template contains a comma, write the list as JSON."""

    max_k: int = Field(default=1_000, ge=1, le=10_000)
    """Maximum number of images on one page of a search."""
    max_results: int = Field(default=10_000, ge=1, le=1_000_000)
    """Maximum number of images on all pages of a search together. Later pages are slow, because all earlier images are
    searched again."""
    max_keyword_k: int = Field(default=100, ge=1, le=1_000)
    """Maximum number of images per keyword in a search by value."""
    max_ids: int = Field(default=1_000, ge=1, le=100_000)
    """Maximum number of ids in one request."""
    max_query_chars: int = Field(default=4_096, ge=1)
    """Maximum number of characters of a query."""
    max_filter_entries: int = Field(default=64, ge=1, le=1_024)
    """Maximum number of platforms, and of sources, in a filter."""
    ingest_window: int = Field(default=32, ge=1, le=1_024)
    """Maximum number of images of one stream in progress: sent, but without an acknowledgement that the caller has
    read."""
    max_ingesting: int = Field(default=128, ge=1, le=10_000)
    """Maximum number of images in progress in all streams together."""
    check_seconds: float = Field(default=5.0, gt=0, le=600)
    """Interval between checks of the vector store and the image store, in seconds."""

    sweep_seconds: float = Field(default=86_400.0, ge=0, le=31_536_000)
    """Interval between clean-ups of the image store, in seconds: they remove files without an image, and look for
    images without a file. The first starts a minute after the server. 0: no clean-ups."""

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
