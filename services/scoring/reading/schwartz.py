"""Schwartz's ten basic values and their four higher-order groups, by name.

Source: S. H. Schwartz, "Universals in the content and structure of values", Advances in Experimental Social Psychology
25 (1992). Hedonism shares elements of openness to change and self-enhancement there; it counts towards openness to
change here, so that each value is in one group.
"""

from collections.abc import Mapping
from types import MappingProxyType

from services.serving.errors import InvalidArgument

VALUES: tuple[str, ...] = (
    "self-direction",
    "universalism",
    "benevolence",
    "stimulation",
    "power",
    "achievement",
    "hedonism",
    "conformity",
    "tradition",
    "security",
)
"""The ten values in the order in which Value-Spectrum (arXiv 2411.11479) reports them."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openness-to-change": ("self-direction", "stimulation", "hedonism"),
        "self-enhancement": ("power", "achievement"),
        "conservation": ("conformity", "tradition", "security"),
        "self-transcendence": ("universalism", "benevolence"),
    }
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
            field, f"is {given!r}, which is no value; the ten values are {', '.join(VALUES)}", reason="VALUE_UNKNOWN"
        )
    return value


_NAMES = frozenset(VALUES)
