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
    """The reader model: "packaged" for the one of this release, or a folder as `make reader-model` writes it. Empty:
    none, and what needs it answers FAILED_PRECONDITION."""
    reader_threads: int = Field(default=0, ge=0, le=256)
    """Threads that the reader model computes with; 0 takes one a core."""
    reader_cache: int = Field(default=50_000, ge=0)
    """Texts and pairs of texts whose results are remembered, about 0.5 KB a pair and 2 KB a sentence; 0
    remembers none."""
    workers: int = Field(default=2, ge=1, le=64)
    """Threads that compute larger requests outside the event loop."""

    max_chars: int = Field(default=16_384, ge=1)
    """Characters that one text may have."""
    max_sentences: int = Field(default=10_000, ge=1)
    """Sentences, answers to align, questionnaires, outcomes and misalignments that one request may have."""
    max_completions: int = Field(default=256, ge=1)
    """Maximum completions that one request may summarize."""
    max_answers: int = Field(default=200_000, ge=1)
    """Preference answers, ratings, and completions of a model that one request may have."""
    max_models: int = Field(default=32, ge=1)
    """Models that one request may compare."""
