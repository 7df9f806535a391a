"""Turns a text into its opposite by one word: near misses that no author writes often enough."""

import re

_OPPOSITES = (
    ("within reach", "out of reach"),
    ("plugged in", "unplugged"),
    ("turned on", "turned off"),
    ("switched on", "switched off"),
    ("left on", "turned off"),
    ("open", "closed"),
    ("locked", "unlocked"),
    ("lit", "unlit"),
    ("empty", "full"),
    ("wet", "dry"),
    ("broken", "intact"),
    ("covered", "uncovered"),
    ("attended", "unattended"),
    ("blocked", "clear"),
    ("fastened", "unfastened"),
    ("loose", "tight"),
    ("running", "stopped"),
    ("alone", "with an adult"),
    ("asleep", "awake"),
    ("crying", "smiling"),
    ("without", "with"),
    ("no", "a"),
    ("isn't", "is"),
    ("is not", "is"),
    ("has not", "has"),
    ("are not", "are"),
)
_SWAPS = {one: other for pair in _OPPOSITES for one, other in (pair, pair[::-1])} | {"is": "is not", "are": "are not"}
_ONLY_FROM = ("with", "a", "has", "clear", "full")
"""Words whose opposite by this table would often not be one."""
_PATTERN = re.compile(
    r"\b(" + "|".join(sorted((word for word in _SWAPS if word not in _ONLY_FROM), key=len, reverse=True)) + r")\b"
)


def opposites(text: str) -> list[str]:
    """The text with one of its words replaced by the opposite, once for each word that has one."""
    return [f"{text[: found.start()]}{_SWAPS[found.group()]}{text[found.end() :]}" for found in _PATTERN.finditer(text)]
