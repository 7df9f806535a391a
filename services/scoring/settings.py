"""Settings of the scoring service: environment variables with the prefix AXIA_SCORING_."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.scoring.reading.model import DEFAULT_READER
from services.serving.environment import EMPTY_IS_MEANT
from services.serving.settings import ServiceSettings


class ScoringSettings(ServiceSettings):
    """What the scoring service can be told."""

    model_config = SettingsConfigDict(env_prefix="AXIA_SCORING_")

    port: int = Field(default=50053, ge=0, le=65535)
    """Port for gRPC; 0 chooses a free port and logs it."""
    metrics_port: int = Field(default=9103, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""

    reader: Annotated[str, EMPTY_IS_MEANT] = DEFAULT_READER
    """The reader model: "packaged" for the model in this release, or a folder written by `make reader-model`. Empty: no
    reader model; calls that need it fail with FAILED_PRECONDITION."""
    reader_threads: int = Field(default=0, ge=0, le=256)
    """Number of threads of the reader model; 0: one per core."""
    reader_cache: int = Field(default=50_000, ge=0)
    """Size of the cache of results of the reader model, in texts and pairs of texts; a pair needs about 0.5 KB and a
    sentence 2 KB. 0: no cache."""
    workers: int = Field(default=2, ge=1, le=64)
    """Number of threads for larger requests, which are computed outside the event loop."""

    max_chars: int = Field(default=16_384, ge=1)
    """Maximum number of characters of one text."""
    max_sentences: int = Field(default=10_000, ge=1)
    """Maximum number of sentences, answers to align, questionnaires, outcomes and misalignments in one request."""
    max_completions: int = Field(default=256, ge=1)
    """Maximum number of completions in one request."""
    max_answers: int = Field(default=200_000, ge=1)
    """Maximum number of preference answers, of ratings, and of completions of a model in one request."""
    max_models: int = Field(default=32, ge=1)
    """Maximum number of models in one comparison."""
