"""The inductive scoring questionnaire: S% and whether a picture matches the interest (arXiv 2411.11479)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from services.serving.limits import check_between

DEFAULT_THRESHOLD = 60.0
"""S% above which a picture matches, as in the paper."""

ITEM_MAXIMA: Mapping[str, float] = {
    "visual_attractiveness": 10.0,
    "curiosity_stimulation": 10.0,
    "emotional_engagement": 10.0,
    "value_expectation": 10.0,
    "preference_alignment": 1.0,
    "action_desire": 1.0,
}
"""The six items with the highest value of each; the lowest is 0. The formula of S% implies these ranges."""

_MAXIMA = tuple(ITEM_MAXIMA.items())
_WEIGHTS = tuple(10 / highest for highest in ITEM_MAXIMA.values())


class IsqItems(NamedTuple):
    """The six items of one questionnaire; None stands for one that is not known."""

    visual_attractiveness: float | None
    """v_a, 0 to 10."""
    curiosity_stimulation: float | None
    """c_s, 0 to 10."""
    emotional_engagement: float | None
    """e_e, 0 to 10."""
    value_expectation: float | None
    """v_e, 0 to 10."""
    preference_alignment: float | None
    """p_a, 0 to 1."""
    action_desire: float | None
    """a_d, 0 to 1."""


@dataclass(frozen=True)
class IsqScore:
    """The score of one questionnaire."""

    percent: float | None
    """S%, 0 to 100; None if an item is missing."""
    match: bool | None
    """Whether S% is above the threshold; None with `percent`."""
    items: IsqItems
    """The items that were used."""
    missing: tuple[str, ...]
    """Names of the items that are not known."""
    error: str = ""
    """Why the items of a text can't be used, for a person; then none of them is known."""


def score_isq(items: IsqItems, threshold: float = DEFAULT_THRESHOLD, field: str = "items") -> IsqScore:
    """Computes S% = (v_a + c_s + e_e + v_e + 10 p_a + 10 a_d) / 60 × 100, and match = S% > threshold.

    Raises:
        InvalidArgument: About `field.<item>`, if an item is out of range or not a number.
    """
    # The most frequent call of the service: an item in range costs one comparison.
    for value, (name, highest) in zip(items, _MAXIMA, strict=True):
        if value is not None and not 0 <= value <= highest:  # also true for NaN
            check_between(f"{field}.{name}", value, 0, highest)
    if None in items:
        missing = tuple(name for name, value in zip(ITEM_MAXIMA, items, strict=True) if value is None)
        return IsqScore(None, None, items, missing)
    # fsum rounds once: 36 points of 60 are 60 % exactly, and a match is strictly above.
    points = math.fsum([weight * (value or 0.0) for weight, value in zip(_WEIGHTS, items, strict=True)])
    percent = points * 100 / 60
    return IsqScore(percent, percent > threshold, items, ())


def check_threshold(field: str, threshold: float) -> None:
    """Refuses a threshold outside 0 to 100."""
    check_between(field, threshold, 0, 100)
