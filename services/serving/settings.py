"""Settings that every server has, and loading them with messages that name the variable at fault."""

import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.serving.environment import EMPTY_IS_MEANT, EnvironmentSource, Listed, service_links
from services.serving.logs import tell

SettingsT = TypeVar("SettingsT", bound="ServerSettings")

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Of tokens, those that can be allowed: all asymmetric. With HS256 whoever knows the public key could sign."""


class ServerSettings(BaseSettings):
    """Settings of one server, read from environment variables with the server's prefix."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all interfaces, as in a container."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port for gRPC; 0 chooses a free port and logs it."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""
    tls_certificate: Path | None = None
    """PEM file with this server's certificate and those that lead from it to its authority. With it the server speaks
    TLS, metrics included. It is read again when it changes, as are the other files of TLS."""
    tls_key: Path | None = None
    """PEM file with the private key of the certificate."""
    tls_client_ca: Path | None = None
    """PEM file with authorities. With it callers must show a certificate of one of them (mutual TLS); the port of
    metrics asks for none."""
    tls_client_names: Annotated[Listed, EMPTY_IS_MEANT] = ()
    """Names of which a caller's certificate must have one (subject alternative name), separated by commas; health is
    told without. Empty: every certificate of the authorities is taken."""
    allow_plaintext: bool = False
    """Whether this server may listen beyond the loopback interface without TLS."""
    keys: Path | None = None
    """File of API keys, which `axia keys` writes; read again when it changes. Without keys and tokens, everybody who
    reaches this server may call everything."""
    oidc_issuer: str = ""
    """Issuer of the tokens (JWT) that are taken, as their `iss` says it; empty takes none."""
    oidc_audience: str = ""
    """This server's name in the `aud` of tokens."""
    oidc_jwks: str = ""
    """Path or https address of the issuer's keys, a JSON Web Key Set."""
    oidc_algorithms: Listed = ("RS256", "ES256")
    """Algorithms of tokens that are taken, asymmetric ones alone; separated by commas."""
    oidc_roles_claim: str = "roles"
    """Claim that holds the roles, a list or a text with spaces; dots lead into objects, as in realm_access.roles."""
    oidc_models_claim: str = "models"
    """Claim that holds the names of the models that may be called; tokens without it may call all."""
    audit_log: Path | None = None
    """File that gets a line for each decision on a call: who, what, which ids, and whether it was let in."""
    requests_per_minute: int = Field(default=0, ge=0)
    """Calls a minute of one caller beyond which a further one is refused with RESOURCE_EXHAUSTED, unless its key says
    otherwise; 0 sets no bound. Callers without a key or token count as one."""
    images_per_minute: int = Field(default=0, ge=0)
    """The same for images in requests; streams of images wait instead."""
    image_mib_per_minute: int = Field(default=0, ge=0)
    """The same for the size of images as they are sent, in MiB."""
    calls_in_flight: int = Field(default=0, ge=0)
    """Calls of one caller at a time, likewise."""
    open_watches: int = Field(default=0, ge=0)
    """Calls of WatchValues of one caller at a time, likewise."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum log level."""
    log_content: bool = False
    """Whether the log may hold what can repeat images, prompts and answers: the texts of exceptions within a request,
    what an endpoint says of one, and records of libraries at the level DEBUG. To look into a fault; never needed
    otherwise."""
    core_dumps: bool = False
    """Whether the kernel may write this process's memory, with images and texts in it, to disk when it crashes, and
    debuggers of the same user may attach."""
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
    slow_reader_s: float = Field(default=20.0, gt=0, le=3600)
    """Time for a caller to take each message of a stream, beside a second for every 8 KiB, in seconds. A call whose
    caller takes longer is ended, so that it keeps nothing from others."""
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

    @field_validator("oidc_algorithms")
    @classmethod
    def _algorithms_are_asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        others = [name for name in value if name not in ALGORITHMS]
        if others or not value:
            raise ValueError(f"must be some of {', '.join(sorted(ALGORITHMS))}")
        return value

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


class ServiceSettings(ServerSettings):
    """Settings of a service behind the gateway, which alone calls it."""

    tls_client_names: Annotated[Listed, EMPTY_IS_MEANT] = ("axia-gateway",)
    """Names of which a caller's certificate must have one (subject alternative name), separated by commas; health is
    told without. Empty: every certificate of the authorities is taken."""


class CallerSettings(ServerSettings):
    """Settings of a server that calls others of the suite."""

    upstream_ca: Path | None = None
    """PEM file with authorities. With it the servers that this one calls are called by TLS, and their certificates must
    be from one of these, with the host name or address in them by which they are called."""
    upstream_certificate: Path | None = None
    """PEM file with the certificate to show to them, where it isn't the server's own."""
    upstream_key: Path | None = None
    """PEM file with its private key."""


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
