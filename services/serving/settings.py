"""Settings that every server has, and loading them with messages that name the variable at fault."""

import difflib
import logging
import os
from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.serving.environment import EnvironmentSource, service_links
from services.serving.logs import tell

SettingsT = TypeVar("SettingsT", bound="ServerSettings")


class ServerSettings(BaseSettings):
    """Settings of one server, read from environment variables with the server's prefix."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all interfaces, as in a container."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port for gRPC; 0 chooses a free port and logs it."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum log level."""
    reflection: bool = False
    """Whether clients may ask for the contract by gRPC reflection."""
    drain_seconds: float = Field(default=30.0, ge=0, le=3600)
    """How long calls in flight may continue after SIGTERM before they are cancelled, in seconds."""
    lame_duck_seconds: float = Field(default=0.5, ge=0, le=600)
    """How long new calls are still taken after SIGTERM, while health says NOT_SERVING, before the port is closed: time
    until clients that watch health know. On Kubernetes about 5. With 0, gRPC cancels a call that arrives at the
    moment at which the port is closed."""
    max_connection_age_s: float = Field(default=300.0, ge=0, le=86_400)
    """Age at which a client's connection is replaced by a new one, so that clients find replicas that were added behind
    a host name, in seconds; calls in flight continue. gRPC varies it by 10%. 0: never."""
    max_concurrent_calls: int = Field(default=1024, ge=1)
    """Calls in flight beyond which a new one is refused with RESOURCE_EXHAUSTED."""
    max_image_mib: float = Field(default=20.0, gt=0, le=256)
    """Maximum encoded size of an image, in MiB."""
    max_image_megapixels: float = Field(default=64.0, gt=0, le=1000)
    """Maximum pixels of an image, in millions."""
    max_image_side: int = Field(default=16_384, ge=1)
    """Maximum width and height of an image, in pixels."""
    used_image_megapixels: float = Field(default=16.0, ge=0, le=1000)
    """Pixels to which a larger image is reduced when it is decoded, in millions; 0 sets no bound. Where a model's
    processor makes fewer pixels of each image, the bound is four times those, and 4 megapixels at least."""
    decoded_images_mib: float = Field(default=512.0, gt=0)
    """Memory for decoded images until a model's processor has taken them, in MiB; further ones wait."""
    decode_workers: int = Field(default=2, ge=1, le=64)
    """Threads that decode images."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment variables; nothing else."""
        return init_settings, EnvironmentSource(settings_cls)

    def without_effect(self) -> Mapping[str, str]:
        """Settings that have no effect with the values of the others, each with the reason."""
        return {}


def load_settings(cls: type[SettingsT], *, notices: bool = True) -> SettingsT:
    """Loads settings from the environment, or ends the process with a message that names each bad variable.

    A variable with the right prefix and an unknown name is reported on standard error and otherwise ignored: it may be
    a slip. So are a setting that has no effect, and variables that Kubernetes injects.

    Args:
        cls: The settings.
        notices: Whether to report what is ignored; another process that read the same variables may have done so.
    """
    prefix = cls.model_config.get("env_prefix", "")
    service = prefix.removeprefix("AXIA_").strip("_").lower()
    if notices:
        _tell_ignored(cls, prefix, service)
    try:
        settings = cls()
    except ValidationError as error:
        for problem in error.errors():
            message = problem["msg"].removeprefix("Value error, ")
            if not problem["loc"]:  # about several fields: its text begins with the name of the one to change
                tell(service, logging.ERROR, f"{prefix}{message}")
                continue
            name = str(problem["loc"][0])  # a place within a list is no variable
            variable = f"{prefix}{name}".upper()
            given = (
                ""
                if problem["type"] == "missing" or _may_hold_secrets(cls, name)
                else f" (given: {problem['input']!r})"
            )
            tell(service, logging.ERROR, f"{variable}: {message}{given}")
        raise SystemExit(2) from None
    without_effect: Mapping[str, str] = settings.without_effect() if notices else {}
    for name, why in without_effect.items():
        if name in settings.model_fields_set:
            tell(service, logging.WARNING, f"{prefix}{name.upper()} has no effect: {why}")
    return settings


def _tell_ignored(cls: type[ServerSettings], prefix: str, service: str) -> None:
    """Reports variables with the prefix that are no settings."""
    known = {f"{prefix}{name}".upper() for name in cls.model_fields}
    injected = service_links(prefix)
    if injected:
        tell(
            service,
            logging.INFO,
            f"{', '.join(injected)}: ignored; Kubernetes sets such variables for a Service, and enableServiceLinks: "
            "false in the Pod's specification keeps them out",
        )
    for name in sorted(os.environ):
        if prefix and name.startswith(prefix) and name not in known and name not in injected:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            tell(service, logging.WARNING, f"{name} is not a setting and is ignored{hint}")


def _may_hold_secrets(cls: type[ServerSettings], name: str) -> bool:
    """Whether a setting is a JSON object, which may hold keys."""
    field = cls.model_fields.get(name)
    return field is not None and isinstance(field.get_default(call_default_factory=False), dict)
