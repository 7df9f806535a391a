"""Schwartz's four higher-order groups of the ten values, and the names that requests give a value.

Source: S. H. Schwartz, "Universals in the content and structure of values", Advances in Experimental Social Psychology
25 (1992). Hedonism shares elements of openness to change and self-enhancement there; it counts towards openness to
change here, as in axia's lexicon, so that each value is in one group.
"""

from collections.abc import Mapping
from types import MappingProxyType

from axia.lexicon import VALUES, load_lexicon
from services.serving.errors import InvalidArgument

_LEXICON = load_lexicon()
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {group.id: tuple(value.id for value in _LEXICON.members(group.id)) for group in _LEXICON.group}
)
"""The values of each higher-order group."""

_SHOWN_CHARS = 40


def check_value(field: str, name: str) -> str:
    """The value that a name stands for; letter case does not count, and spaces or underscores may stand for hyphens.

    Raises:
        InvalidArgument: About `field`, with reason VALUE_UNKNOWN, if there is no such value.
    """
    value = name if name in _NAMES else "-".join(name.casefold().replace("_", " ").split())
    if value not in _NAMES:
        given = name if len(name) <= _SHOWN_CHARS else f"{name[:_SHOWN_CHARS]}…"
        raise InvalidArgument(
            field, f"is {given!r}, which is not a value; the ten values are {', '.join(VALUES)}", reason="VALUE_UNKNOWN"
        )
    return value


_NAMES = frozenset(VALUES)
