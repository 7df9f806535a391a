"""Settings that every server has, and loading them with messages that name the variable at fault."""

import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from axia.identity.keys import Priority
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
    """PEM file with this server's certificate and its certificate chain. If set, the server uses TLS, also for metrics.
    The server reads this and the other TLS files again when they change."""
    tls_key: Path | None = None
    """PEM file with the private key of the certificate."""
    tls_client_ca: Path | None = None
    """PEM file with certificate authorities. If set, callers need a certificate from one of these authorities (mutual
    TLS). The metrics port doesn't need a client certificate."""
    tls_client_names: Annotated[Listed, EMPTY_IS_MEANT] = ()
    """Names (subject alternative names), separated by commas; a caller's certificate must have one of them. Health
    checks don't need a name. Empty: all certificates of the authorities are accepted."""
    allow_plaintext: bool = False
    """Whether this server may listen beyond the loopback interface without TLS."""
    keys: Path | None = None
    """File of API keys, written by `axia keys`; read again when it changes. Without keys and tokens, every client that
    reaches this server may make all calls."""
    oidc_issuer: str = ""
    """Issuer of accepted tokens (JWT), equal to their claim `iss`. Empty: no tokens are accepted."""
    oidc_audience: str = ""
    """This server's name in the claim `aud` of tokens."""
    oidc_jwks: str = ""
    """Path or https URL of the issuer's JSON Web Key Set (JWKS)."""
    oidc_algorithms: Listed = ("RS256", "ES256")
    """Accepted signature algorithms of tokens, separated by commas; only asymmetric algorithms are allowed."""
    oidc_roles_claim: str = "roles"
    """Claim with the roles: a list, or a text separated by spaces. Use dots for nested objects, as in
    realm_access.roles."""
    oidc_models_claim: str = "models"
    """Claim with the names of the models that the caller may use. Tokens without this claim may use all models."""
    oidc_priority_claim: str = ""
    """Claim with the priority of the caller: low, normal or high. Empty: tokens have no priority of their own."""
    oidc_max_priority: Priority = "high"
    """Highest priority that this claim can give. A higher one counts as this priority."""
    oidc_requests_per_minute_claim: str = ""
    """Claim with the caller's own rate limit, in calls per minute: a whole number. Empty: no claim is read."""
    oidc_max_requests_per_minute: int = Field(default=0, ge=0, le=1_000_000_000)
    """Maximum rate limit that this claim can give, in calls per minute. A larger limit counts as this one. 0: no
    maximum."""
    oidc_images_per_minute_claim: str = ""
    """Claim with the caller's own rate limit, in images per minute: a whole number. Empty: no claim is read."""
    oidc_max_images_per_minute: int = Field(default=0, ge=0, le=1_000_000_000)
    """Maximum rate limit that this claim can give, in images per minute. A larger limit counts as this one. 0: no
    maximum."""
    oidc_calls_in_flight_claim: str = ""
    """Claim with the caller's own maximum number of concurrent calls: a whole number. Empty: no claim is read."""
    oidc_max_calls_in_flight: int = Field(default=0, ge=0, le=1_000_000_000)
    """Maximum number of concurrent calls that this claim can give. A larger number counts as this one. 0: no
    maximum."""
    audit_log: Path | None = None
    """File of the audit log, with one line for each call: caller, method, ids, and whether the call was allowed."""
    requests_per_minute: int = Field(default=0, ge=0)
    """Rate limit of each caller, in calls per minute; more calls are refused with RESOURCE_EXHAUSTED. A key can have
    its own limit. 0: no limit. All callers without a key or token count as one caller."""
    images_per_minute: int = Field(default=0, ge=0)
    """Rate limit of each caller, in images per minute. Streams of images wait instead of being refused. 0: no limit."""
    image_mib_per_minute: int = Field(default=0, ge=0)
    """Rate limit of each caller, in MiB of encoded images per minute. 0: no limit."""
    calls_in_flight: int = Field(default=0, ge=0)
    """Maximum number of concurrent calls of each caller. 0: no limit."""
    open_watches: int = Field(default=0, ge=0)
    """Maximum number of concurrent WatchValues calls of each caller. 0: no limit."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum log level."""
    log_content: bool = False
    """Whether the log may contain texts that can repeat images, prompts and answers: the texts of exceptions within a
    request, error messages of an endpoint, and DEBUG records of libraries. Use it only for debugging."""
    core_dumps: bool = False
    """Whether the kernel may write a core dump when this process crashes, and debuggers of the same user may attach.
    Its memory contains images and texts."""
    reflection: bool = False
    """Whether gRPC server reflection is on, so that clients can list services and methods."""
    drain_seconds: float = Field(default=30.0, ge=0, le=3600)
    """Time that calls in flight have to finish after SIGTERM before they are cancelled, in seconds."""
    lame_duck_seconds: float = Field(default=0.5, ge=0, le=600)
    """Time after SIGTERM in which the server still accepts new calls while its health is NOT_SERVING, in seconds. Then
    the port is closed. Clients that watch health need this time; on Kubernetes about 5. With 0, gRPC cancels calls that
    arrive at the moment when the port is closed."""
    max_connection_age_s: float = Field(default=300.0, ge=0, le=86_400)
    """Maximum age of a client's connection, in seconds. Then the client reconnects, so that it finds new replicas
    behind a host name; calls in flight continue. gRPC varies it by 10%. 0: no maximum."""
    slow_reader_s: float = Field(default=20.0, gt=0, le=3600)
    """Timeout for a caller to read each message of a stream, in seconds, plus 1 second for every 8 KiB. After the
    timeout the call is ended, so that slow readers don't use the resources of other callers."""
    max_concurrent_calls: int = Field(default=1024, ge=1)
    """Maximum number of calls in flight; more calls are refused with RESOURCE_EXHAUSTED."""
    max_image_mib: float = Field(default=20.0, gt=0, le=256)
    """Maximum encoded size of an image, in MiB."""
    max_image_megapixels: float = Field(default=64.0, gt=0, le=1000)
    """Maximum number of pixels of an image, in millions."""
    max_image_side: int = Field(default=16_384, ge=1)
    """Maximum width and height of an image, in pixels."""
    used_image_megapixels: float = Field(default=16.0, ge=0, le=1000)
    """Larger images are reduced to this number of pixels when they are decoded, in millions; 0: never. If the model's
    processor uses fewer pixels, the limit is four times the processor's number, and at least 4 megapixels."""
    decoded_images_mib: float = Field(default=512.0, gt=0)
    """Maximum memory for decoded images that wait for the model's processor, in MiB; more images wait before they are
    decoded."""
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
        prefix = self.model_config.get("env_prefix", "")
        maxima = {name: name.replace("_max_", "_") + "_claim" for name in type(self).model_fields if "oidc_max" in name}
        return {
            maximum: f"it is the maximum of a claim, and {prefix}{claim.upper()} is not set"
            for maximum, claim in maxima.items()
            if not getattr(self, claim)
        }


class ServiceSettings(ServerSettings):
    """Settings of a service behind the gateway, which alone calls it."""

    tls_client_names: Annotated[Listed, EMPTY_IS_MEANT] = ("axia-gateway",)
    """Names (subject alternative names), separated by commas; a caller's certificate must have one of them. Health
    checks don't need a name. Empty: all certificates of the authorities are accepted."""


class CallerSettings(ServerSettings):
    """Settings of a server that calls others of the suite."""

    upstream_ca: Path | None = None
    """PEM file with certificate authorities. If set, this server uses TLS for its calls to other servers. Their
    certificates must be from one of these authorities, and must contain the host name or address that this server
    uses."""
    upstream_certificate: Path | None = None
    """PEM file with the client certificate for these calls; default: the server's own certificate."""
    upstream_key: Path | None = None
    """PEM file with the private key of this certificate."""


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
