"""Addresses of gRPC servers in settings: host:port."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from services.serving.environment import EMPTY_IS_MEANT, Listed

_LARGEST_PORT = 65_535
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\],@]+):(?P<port>\d{1,5})")


def checked_address(text: str) -> str:
    """An address without white space around it.

    Raises:
        ValueError: If it isn't host:port, saying what to change.
    """
    text = text.strip()
    if "://" in text:
        scheme, _, rest = text.partition("://")
        raise ValueError(f"must be host:port without {scheme}://, such as {rest.strip('/') or 'axia-inference:50051'}")
    match = _ADDRESS.fullmatch(text)
    if not match or not 0 < int(match["port"]) <= _LARGEST_PORT:
        raise ValueError(f"must be host:port, IPv6 as [::1]:port; {text!r} is not")
    return text


def _checked_or_empty(text: str) -> str:
    return checked_address(text) if text.strip() else ""


Address = Annotated[str, AfterValidator(checked_address)]
OptionalAddress = Annotated[str, EMPTY_IS_MEANT, AfterValidator(_checked_or_empty)]
"""An address, or an empty text for none."""
Addresses = Annotated[
    Listed, AfterValidator(lambda own: tuple(checked_address(part) for part in own)), Field(min_length=1)
]
