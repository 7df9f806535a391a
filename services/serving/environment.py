"""Reading settings from environment variables as charts, compose files and Kubernetes write them.

- An empty value counts as unset, but where a setting says what an empty one means.
- A whole number may be a float: Helm writes 1048576 as 1.048576e+06.
- Numbers, booleans and choices may stand in quotes, which `docker --env-file` keeps, and choices in any case.
- Lists are JSON or separated by commas.
- Variables that Kubernetes injects for each Service are ignored: a Service named axia-gateway injects
  AXIA_GATEWAY_PORT=tcp://10.96.0.12:50050.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, NoDecode

_LINK_NAME = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://[\w.:\[\]]+$")
_JSON_LIST = re.compile(r'\s*\[\s*("|\])')
"""How a JSON list of texts begins, and an IPv6 address in brackets does not."""
_QUOTES = ('"', "'")


class EmptyIsMeant:
    """Marks a text setting whose empty value means something other than unset."""


EMPTY_IS_MEANT: Final = EmptyIsMeant()


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _JSON_LIST.match(value):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("must be a list: texts separated by commas, or JSON") from None


# pydantic-settings would read JSON itself, and end the server with a traceback where it can't.
Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""Texts, as JSON or separated by commas."""


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes injected a variable, for a Service whose name begins as the variables of a server do."""
    name = name.upper()
    return bool(_LINK_NAME.search(name)) or (name.endswith("_PORT") and bool(_LINK_ADDRESS.match(value)))


def service_links(prefix: str) -> list[str]:
    """Names of the variables with a prefix that Kubernetes injected, in order."""
    return sorted(
        name for name, value in os.environ.items() if name.upper().startswith(prefix) and is_service_link(name, value)
    )


class EnvironmentSource(EnvSettingsSource):
    """Environment variables as this module's description says."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        loaded = super()._load_env_vars()
        return {name: value for name, value in loaded.items() if not is_service_link(name, value or "")}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of a setting, None where it counts as unset."""
        value, key, is_complex = super().get_field_value(field, field_name)
        if not isinstance(value, str):
            return value, key, is_complex
        if not value.strip():
            return (value.strip() if EMPTY_IS_MEANT in field.metadata else None), key, is_complex
        return _plain(value, list(_types(field.annotation))), key, is_complex


def _types(annotation: object) -> Iterable[object]:
    """The types and choices that a setting may be."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _types(part)
    elif origin is Literal:
        yield from get_args(annotation)
    else:
        yield annotation


def _plain(value: str, types: list[object]) -> str:
    """A value without what is lost on it."""
    if str in types or not any(isinstance(kind, str) or kind in (int, float, bool) for kind in types):
        return value
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1].strip()
    choices = {choice.casefold(): choice for choice in types if isinstance(choice, str)}
    if int in types:
        text = _whole(text)
    return choices.get(text.casefold(), text)


def _whole(text: str) -> str:
    """A whole number that is written as a float, as an integer; any other text as it is."""
    try:
        int(text)
    except ValueError:
        pass
    else:
        return text  # a float would lose digits
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text
