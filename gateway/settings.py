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
    """Addresses of inference servers, host:port, separated by commas. Those that hold the same model are its replicas.
    The first is the default model's. Not used where AXIA_GATEWAY_MODELS is set."""
    models: Path | None = None
    """A TOML file with models, the addresses of their replicas, defaults and limits; docs/routing.md describes it."""
    retrieval: OptionalAddresses = ("127.0.0.1:50052",)
    """Addresses of the retrieval service, host:port, several replicas separated by commas. Empty: none."""
    scoring: OptionalAddresses = ("127.0.0.1:50053",)
    """Addresses of the scoring service, host:port, several replicas separated by commas. Empty: none."""

    max_text_chars: int = Field(default=16_384, ge=1)
    """Characters that a prompt may have. Of an answer, so many are read for its verdict, meaning or figures; the answer
    itself stays whole."""
    default_timeout_s: float = Field(default=120.0, gt=0)
    """Time limit of a call without a deadline, and for one question of a protocol, in seconds."""
    deadline_margin_s: float = Field(default=0.15, ge=0, le=10)
    """How long before the caller's deadline a detection is closed at most, so that what is done still arrives, in
    seconds. It is a tenth of the caller's time at most.

    Beside it 4% of the caller's time are left, for gRPC may tell a server a deadline that much too late.
    """
    refresh_s: float = Field(default=2.0, gt=0)
    """How often the inference servers are asked for their model, and each replica for its health, in seconds."""
    scoring_timeout_s: float = Field(default=1.0, gt=0)
    """Time for the scoring service to read a detection's completions or one answer; what takes longer is missing."""
    scoring_reserve_s: float = Field(default=0.1, ge=0, le=10)
    """How much earlier a deadline ends a detection's sampling or a judge model at most so that scoring fits in, in
    seconds. It is what scoring was measured to take, and 15% of the caller's time at most."""
    table_timeout_s: float = Field(default=60.0, gt=0)
    """Time for the scoring service to compute a table of preference, or to read what a judge model says of many
    answers, in seconds."""

    model_attempts: int = Field(default=4, ge=1, le=5)
    """How often one call is tried on a model's replicas before it started, the first time included."""
    replica_completions: int = Field(default=128, ge=1)
    """Completions that one replica of a model is given at a time, where the routing table says nothing else; calls
    beyond it wait in the gateway, by priority and in turns between callers. The default is twice what an inference
    server runs at a time, and half of what it takes."""
    most_waiting: int = Field(default=512, ge=0)
    """Calls that may wait for one model in the gateway. Of more, the last in order is refused with
    RESOURCE_EXHAUSTED."""
    priority: Priority = "normal"
    """Which of the calls that wait for a model come first where a caller's key says nothing else: those that are high,
    then normal, then low."""
    picture_affinity: bool = False
    """Whether calls about one image go to one replica of a model, whose engine then has it in its cache, unless that
    replica is much busier than the others."""
    ask_attempts: int = Field(default=5, ge=1, le=100)
    """How often a question of a protocol is sent to a model that is busy or unavailable before it counts as failed."""
    ask_pause_s: float = Field(default=0.5, ge=0, le=60)
    """Pause before the second of these attempts, in seconds; it doubles each time, up to 10 seconds."""
    protocol_concurrency: int = Field(default=8, ge=1, le=256)
    """Images of one preference or interest call, or answers for a model judge, that are in progress or waiting at the
    same time."""
    max_interest_pictures: int = Field(default=64, ge=1, le=1024)
    """Images that one JudgeInterest call may have."""
    max_passed_calls: int = Field(default=256, ge=1)
    """Calls in flight that are forwarded to the retrieval service, and the same number to the scoring service."""
    watch_freshness_s: float = Field(default=2.0, gt=0)
    """Age at which a frame that is being processed is dropped in favour of a newer one, in seconds."""
