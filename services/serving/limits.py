"""Checks of numbers and texts in requests, with messages that name the field and say what would be right."""

import math
from collections.abc import Sequence
from functools import lru_cache

from ahocorasick_rs import AhoCorasick

from services.serving.errors import InvalidArgument

MAX_SEED = 2**53 - 1
"""Largest seed: every JSON reader keeps integers up to here exactly."""
MAX_TEMPERATURE = 2.0
MAX_WITHIN_S = 86_400
"""Longest time that a call may state for its answer, in seconds."""

TOLD_TOO_LATE = 0.04
"""Share of the time left by which gRPC may tell a server a deadline too late.

It rounds the time up by as much as 1%, and where it is less than 3% shorter than that of a call before on the same
connection it sends the longer one again (`TimeoutCompressorImpl` in gRPC's C core).
"""


def check_between(field: str, value: float, low: float, high: float) -> None:
    """Refuses a number outside low..high, or that is not a number at all."""
    if not low <= value <= high:  # also false for NaN
        raise InvalidArgument(
            field, f"must be from {_exact(low)} to {_exact(high)}, and is {_exact(value)}", reason="OUT_OF_RANGE"
        )


def check_top_p(field: str, value: float) -> None:
    """Refuses a top_p that is not above 0 and at most 1."""
    if not 0 < value <= 1:
        raise InvalidArgument(field, f"must be above 0 and at most 1, and is {_exact(value)}", reason="OUT_OF_RANGE")


def _exact(value: float) -> str:
    """A number with all its digits: a rounded one could read as the bound that it breaks."""
    return "not a number" if math.isnan(value) else str(value).removesuffix(".0")


def check_text(field: str, text: str, max_chars: int) -> None:
    """Refuses an empty or overlong text."""
    if not text.strip():
        raise InvalidArgument(field, "must not be empty", reason="TEXT_EMPTY")
    if len(text) > max_chars:
        raise InvalidArgument(
            field, f"has {len(text):,} characters, at most {max_chars:,} are allowed", reason="TEXT_TOO_LONG"
        )


def check_special_tokens(field: str, text: str, special_tokens: Sequence[str]) -> None:
    """Refuses a text that holds special tokens of the model.

    An image placeholder in plain text can crash an engine's worker, and a role marker lets a caller speak as the model.
    """
    found = _automaton(tuple(special_tokens)).find_matches_as_strings(text)
    if found:
        raise InvalidArgument(
            field,
            f"contains {found[0]!r}, which has a special meaning to the model; leave it out",
            reason="SPECIAL_TOKEN",
        )


@lru_cache(maxsize=16)
def _automaton(tokens: tuple[str, ...]) -> AhoCorasick:
    """Finds any of some texts in one pass; some tokenizers have six thousand."""
    return AhoCorasick([token for token in tokens if token])
