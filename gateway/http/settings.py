"""Settings of the HTTP face: environment variables with the prefix AXIA_HTTP_."""

import re

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.serving.settings import ServerSettings


class HttpSettings(ServerSettings):
    """What the HTTP face can be told."""

    model_config = SettingsConfigDict(env_prefix="AXIA_HTTP_")

    port: int = Field(default=8080, ge=0, le=65535)
    """Port for HTTP."""
    metrics_port: int = Field(default=9104, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""
    max_concurrent_calls: int = Field(default=256, ge=1)
    """Requests in flight beyond which a new one is refused with 429."""
    decode_workers: int = Field(default=2, ge=1, le=64)
    """Threads that read JSON bodies with pictures in them."""

    gateway: str = "127.0.0.1:50050"
    """Address of the gateway's gRPC port, host:port."""
    default_timeout_s: float = Field(default=120.0, gt=0)
    """Time for a call that answers once and whose caller sent no X-Request-Timeout, in seconds. A stream has none."""
    max_timeout_s: float = Field(default=600.0, gt=0, le=3600)
    """Largest X-Request-Timeout that is taken, in seconds."""
    keep_alive_s: float = Field(default=15.0, gt=0, le=50)
    """How often a comment is sent on a stream of events that has nothing else to send, in seconds."""
    max_upload_mib: float = Field(default=512.0, gt=0)
    """Size of one form with pictures to index at most, all its files together, in MiB."""
    max_upload_files: int = Field(default=1000, ge=1)
    """Files of one upload at most."""

    allowed_origins: str = ""
    """Origins of other sites whose pages may call this server, such as https://lab.example.org; separated by commas."""
    allowed_hosts: str = ""
    """Names besides localhost, 127.0.0.1 and [::1] by which this server may be called, with or without a port;
    separated by commas. While it listens on all interfaces, an empty list allows every name."""

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_whole(cls, value: str) -> str:
        for origin in listed(value):
            if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin):
                raise ValueError("must be origins such as https://lab.example.org, separated by commas")
        return value

    @field_validator("gateway")
    @classmethod
    def _address_has_a_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError("must be host:port")
        return value


def listed(value: str) -> frozenset[str]:
    """The parts of a value that is separated by commas, in lower case."""
    return frozenset(part.strip().lower() for part in value.split(",") if part.strip())


UNUSED = frozenset({"reflection", "drain_seconds", "max_image_megapixels", "max_image_side"})
"""Settings of gRPC servers that mean nothing here: the gateway behind applies its own."""
