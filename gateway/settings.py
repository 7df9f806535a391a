"""Settings of the gateway: environment variables with the prefix AXIA_GATEWAY_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from axia.identity.keys import Priority
from services.serving.settings import CallerSettings
from services.serving.upstream.addresses import Addresses, OptionalAddresses


class GatewaySettings(CallerSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="AXIA_GATEWAY_")

    port: int = Field(default=50050, ge=0, le=65535)
    """Port for gRPC; 0 chooses a free port and logs it."""
    metrics_port: int = Field(default=9100, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""

    inference: Addresses = ("127.0.0.1:50051",)
    """Addresses of inference servers, host:port, separated by commas. Servers with the same model are its replicas. The
    first address is that of the default model. Ignored if AXIA_GATEWAY_MODELS is set."""
    models: Path | None = None
    """A TOML file with models, the addresses of their replicas, defaults and limits; docs/routing.md describes it."""
    retrieval: OptionalAddresses = ("127.0.0.1:50052",)
    """Addresses of the retrieval service, host:port, several replicas separated by commas. Empty: none."""
    scoring: OptionalAddresses = ("127.0.0.1:50053",)
    """Addresses of the scoring service, host:port, several replicas separated by commas. Empty: none."""

    max_text_chars: int = Field(default=16_384, ge=1)
    """Maximum number of characters of a prompt. This is also how many characters of an answer are read for its verdict,
    meaning or numbers; the answer itself isn't shortened."""
    default_timeout_s: float = Field(default=120.0, gt=0)
    """Default timeout of calls without a deadline, and timeout of one question of a protocol, in seconds."""
    deadline_margin_s: float = Field(default=0.15, ge=0, le=10)
    """Maximum time by which a detection ends before the caller's deadline, so that the completions that are done reach
    the caller, in seconds. It is at most a tenth of the caller's timeout. Another 4% of the timeout are reserved,
    because the deadline that gRPC reports to a server can be late by this much.
    """
    refresh_s: float = Field(default=2.0, gt=0)
    """Interval between requests to inference servers for their model, and between health checks of each replica, in
    seconds."""
    scoring_timeout_s: float = Field(default=1.0, gt=0)
    """Timeout for the scoring service to read the completions of a detection or one answer, in seconds. After the
    timeout, these parts are missing from the answer."""
    scoring_reserve_s: float = Field(default=0.1, ge=0, le=10)
    """Maximum time before the deadline that is reserved for scoring, in seconds: sampling and judge models end earlier
    by this time. The actual time is the measured duration of scoring, and at most 15% of the caller's timeout."""
    table_timeout_s: float = Field(default=60.0, gt=0)
    """Timeout for the scoring service to compute a table of preference, or to read the verdicts of a judge model on
    many answers, in seconds."""

    model_attempts: int = Field(default=4, ge=1, le=5)
    """Maximum attempts of one call on a model's replicas, including the first. A call is retried only if the model has
    not started to answer."""
    replica_completions: int = Field(default=128, ge=1)
    """Maximum concurrent completions that the gateway sends to one replica of a model; the routing table can set
    another value for a model. More calls wait in the gateway's queue, by priority and in fair shares between callers.
    The default is twice the number that an inference server runs at a time, and half of the number that it accepts."""
    most_waiting: int = Field(default=512, ge=0)
    """Maximum number of calls that wait for one model in the gateway. If there are more, the last call in the queue is
    refused with RESOURCE_EXHAUSTED."""
    priority: Priority = "normal"
    """Default priority in the queue of a model, for callers whose key has no priority: high, normal or low."""
    picture_affinity: bool = False
    """Whether all calls about the same image go to the same replica of a model, whose cache then has the image. If this
    replica is much busier than the others, calls go to another replica."""
    ask_attempts: int = Field(default=5, ge=1, le=100)
    """Maximum attempts of a question of a protocol if the model is busy or unavailable."""
    ask_pause_s: float = Field(default=0.5, ge=0, le=60)
    """Pause before the second attempt, in seconds. The pause doubles with each attempt, up to 10 seconds (exponential
    backoff)."""
    protocol_concurrency: int = Field(default=8, ge=1, le=256)
    """Maximum number of images of one preference or interest call, or of answers for a judge model, that are in
    progress or waiting at the same time."""
    max_interest_pictures: int = Field(default=64, ge=1, le=1024)
    """Maximum number of images of one JudgeInterest call."""
    max_passed_calls: int = Field(default=256, ge=1)
    """Maximum number of forwarded calls in flight to the retrieval service, and also to the scoring service."""
    watch_freshness_s: float = Field(default=2.0, gt=0)
    """Age of a frame in seconds after which it is dropped if a newer frame has come, even if it is being processed."""
