"""Settings of the HTTP API: environment variables with the prefix AXIA_HTTP_."""

import os
import re
from collections.abc import Mapping
from types import MappingProxyType

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.serving.environment import Listed
from services.serving.settings import CallerSettings, load_settings
from services.serving.upstream.addresses import Addresses

_NOTICES_TOLD = "AXIA_NOTICES_TOLD"
"""Environment variable by which a process says to those that it starts that it has reported what is ignored."""


class HttpSettings(CallerSettings):
    """What the HTTP API can be told."""

    model_config = SettingsConfigDict(env_prefix="AXIA_HTTP_")

    port: int = Field(default=8080, ge=0, le=65535)
    """Port for HTTP."""
    metrics_port: int = Field(default=9104, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""
    max_concurrent_calls: int = Field(default=256, ge=1)
    """Maximum number of requests in flight; more requests are refused with 429."""
    decode_workers: int = Field(default=2, ge=1, le=64)
    """Threads that read JSON bodies with images in them."""

    gateway: Addresses = ("127.0.0.1:50050",)
    """Addresses of the gateway's gRPC port, host:port, several replicas separated by commas."""
    default_timeout_s: float = Field(default=120.0, gt=0)
    """Default timeout of calls without the header X-Request-Timeout, in seconds. Streams have no default timeout."""
    max_timeout_s: float = Field(default=600.0, gt=0, le=3600)
    """Maximum value of the header X-Request-Timeout, in seconds."""
    keep_alive_s: float = Field(default=15.0, gt=0, le=50)
    """Interval of keep-alive comments on an idle stream of server-sent events, in seconds."""
    slow_client_s: float = Field(default=20.0, gt=0, le=3600)
    """Timeout for a caller to send the body, and to read each part of the answer, in seconds, plus 1 second for every 8
    KiB. Slower requests are ended, with 408 while the body is being sent. When the maximum number of requests is
    reached, a request whose body has stalled for a second is ended at once, and others take its place."""
    max_upload_mib: float = Field(default=512.0, gt=0)
    """Maximum size of one upload of images to index, all files together, in MiB."""
    max_upload_files: int = Field(default=1000, ge=1)
    """Maximum number of files in one upload."""

    allowed_origins: Listed = ()
    """Origins of web pages that may call this server (CORS), such as https://lab.example.org; separated by commas."""
    allowed_hosts: Listed = ()
    """Host names that requests may use in addition to localhost, 127.0.0.1 and [::1], with or without a port; separated
    by commas. If the server listens on all interfaces and the list is empty, every name is allowed."""

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_whole(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin, re.IGNORECASE):
                raise ValueError("must be origins such as https://lab.example.org, separated by commas")
        return value

    def without_effect(self) -> Mapping[str, str]:
        """Settings of gRPC servers that mean nothing here."""
        return UNUSED


def load_http_settings() -> HttpSettings:
    """The settings from the environment; of the processes that BentoML's server has, the first reports what is ignored.

    Otherwise as `services.serving.settings.load_settings`.
    """
    settings = load_settings(HttpSettings, notices=_NOTICES_TOLD not in os.environ)
    os.environ[_NOTICES_TOLD] = "1"
    return settings


UNUSED = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "keys", "oidc_issuer", "oidc_audience", "oidc_jwks", "oidc_algorithms", "oidc_roles_claim",
                "oidc_models_claim", "oidc_priority_claim", "oidc_max_priority", "oidc_requests_per_minute_claim",
                "oidc_max_requests_per_minute", "oidc_images_per_minute_claim", "oidc_max_images_per_minute",
                "oidc_calls_in_flight_claim", "oidc_max_calls_in_flight", "audit_log", "requests_per_minute",
                "images_per_minute", "image_mib_per_minute", "calls_in_flight", "open_watches",
            ),
            "the gateway checks credentials, and the HTTP API sends them to it; set it on the gateway",
        ),
        "tls_client_names": "every certificate from the authorities in AXIA_HTTP_TLS_CLIENT_CA is accepted",
        "slow_reader_s": "set slow_client_s instead",
        "reflection": "the HTTP API has no gRPC; set it on the gateway",
        "max_connection_age_s": "HTTP connections have no maximum age",
        "drain_seconds": "requests continue until their own deadlines",
        "max_image_megapixels": "the gateway's own limit applies",
        "max_image_side": "the gateway's own limit applies",
    }
)  # fmt: skip
"""Settings that have no effect here, each with why."""
