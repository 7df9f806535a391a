"""Which models there are and where their replicas listen: a TOML file, or the addresses of the settings.

[[model]]
name = "llava-v1.6-34b"                              # as its servers call it
addresses = ["10.0.0.1:50051", "10.0.0.2:50051"]     # replicas; a host name stands for all that it resolves to
default = true
[model.defaults]                                     # where a request does not say
temperature = 0.7                                    # these three of every call
top_p = 0.9
max_tokens = 100
n = 3                                                # these two of detections
prompt_id = "detect/baseline"
abstain_threshold = 0.8                              # these three by axia calibrate --routes, with n
calibrated_coverage = 0.76
calibrated_images = 300
[model.limits]                                       # on top of the servers' own
max_n = 8
max_tokens = 200
concurrency = 32                                     # calls at a time, waiting ones too, through this gateway
replica_completions = 64                             # completions at a time at each replica; further calls wait
timeout_s = 60
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from axia.prompts import PromptText
from gateway.settings import GatewaySettings
from services.serving.errors import FailedPrecondition
from services.serving.limits import MAX_TEMPERATURE
from services.serving.upstream.addresses import Address

_OF_CALIBRATION = ("n", "abstain_threshold", "calibrated_coverage", "calibrated_images")
"""Defaults that belong together once a model has been calibrated."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RouteDefaults(_Part):
    """How a model is sampled where a request doesn't say; None leaves it to the protocol's own defaults."""

    temperature: float | None = Field(default=None, ge=0, le=MAX_TEMPERATURE)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1)
    """Of detections alone."""
    prompt_id: str | None = None
    """Of detections alone."""
    abstain_threshold: float | None = Field(default=None, ge=0, le=1)
    """Of detections alone; `axia calibrate` finds it."""
    calibrated_coverage: float | None = Field(default=None, ge=0, le=1)
    """Share of the labelled images that this threshold answered; an alarm tells where it moves."""
    calibrated_images: int | None = Field(default=None, ge=1)
    """How many labelled images there were."""

    @model_validator(mode="after")
    def _calibration_is_whole(self) -> "RouteDefaults":
        given = [name for name in _OF_CALIBRATION if getattr(self, name) is not None]
        if (self.calibrated_coverage, self.calibrated_images) != (None, None) and len(given) < len(_OF_CALIBRATION):
            missing = next(name for name in _OF_CALIBRATION if name not in given)
            raise ValueError(
                f"{missing}: must be set together with {given[-1]}; axia calibrate --routes writes all of them"
            )
        return self


class RouteLimits(_Part):
    """Bounds beside those of a model's servers; None adds none."""

    max_n: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    """Calls at a time, those that wait counted too."""
    replica_completions: int | None = Field(default=None, ge=1)
    """Completions at a time at each replica; further calls wait in the gateway."""
    timeout_s: float | None = Field(default=None, gt=0)


class Route(_Part):
    """One model and its replicas."""

    name: str = ""
    """As its servers call it; empty where that is still to be learned."""
    addresses: tuple[Address, ...] = Field(min_length=1)
    default: bool = False
    defaults: RouteDefaults = RouteDefaults()
    limits: RouteLimits = RouteLimits()

    @model_validator(mode="after")
    def _replicas_are_addressable(self) -> "Route":
        if len(set(self.addresses)) < len(self.addresses):
            raise ValueError("addresses: must not have the same address twice")
        for key, default, limit in (
            ("n", self.defaults.n, self.limits.max_n),
            ("max_tokens", self.defaults.max_tokens, self.limits.max_tokens),
        ):
            if default and limit and default > limit:
                raise ValueError(f"defaults.{key}: is {default}, but the limit is {limit}")
        return self


class _File(_Part):
    model: tuple[Annotated[Route, Field()], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "_File":
        names = [route.name for route in self.model]
        for index, name in enumerate(names):
            if not name:
                raise ValueError(f"model.{index}.name: is missing")
            if name in names[:index]:
                raise ValueError(f"model.{index}.name: {name!r} is used twice")
        if sum(route.default for route in self.model) > 1:
            raise ValueError("model: only one can be the default")
        return self


def load_routes(settings: GatewaySettings, prompts: Mapping[str, PromptText]) -> Sequence[Route]:
    """The models behind the gateway, the default one first.

    Raises:
        FailedPrecondition: If the file can't be read or breaks a rule, naming file, key and rule.
    """
    if settings.models is None:
        return [Route(addresses=(address,)) for address in settings.inference]
    path = settings.models
    try:
        routes = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).model
    except OSError as error:
        raise _bad(path, f"can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(path, f"is not TOML: {error}") from error
    except ValidationError as error:
        raise _bad(path, "; ".join(_fault(fault["loc"], fault["msg"]) for fault in error.errors())) from error
    for index, route in enumerate(routes):
        _check_prompt(path, index, route, prompts)
    return sorted(routes, key=lambda route: not route.default)


def _fault(place: Sequence[int | str], message: str) -> str:
    return ": ".join(filter(None, (".".join(map(str, place)), message.removeprefix("Value error, "))))


def _check_prompt(path: Path, index: int, route: Route, prompts: Mapping[str, PromptText]) -> None:
    prompt_id = route.defaults.prompt_id
    if prompt_id is None:
        return
    prompt = prompts.get(prompt_id)
    if prompt is None or prompt.role != "user" or "{" in prompt.text:
        fitting = ", ".join(p.id for p in prompts.values() if p.role == "user" and "{" not in p.text)
        raise _bad(
            path,
            f"model.{index}.defaults.prompt_id: {prompt_id!r} is not a prompt for detections; known prompts: {fitting}",
        )


def _bad(path: Path, what: str) -> FailedPrecondition:
    return FailedPrecondition(f"AXIA_GATEWAY_MODELS: {path}: {what}", reason="ROUTES_UNREADABLE")
