"""The inductive scoring questionnaire: S% and whether a picture matches the interest (arXiv 2411.11479)."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from services.serving.errors import InvalidArgument
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


_NAMES = {
    "visual_attractiveness": r"visual[\s_-]*attractiveness|v_a",
    "curiosity_stimulation": r"curiosity[\s_-]*stimulation|c_s",
    "emotional_engagement": r"emotional[\s_-]*engagement|e_e",
    "value_expectation": r"value[\s_-]*expectation|v_e",
    "preference_alignment": r"preference[\s_-]*alignment|p_a",
    "action_desire": r"action[\s_-]*desire|a_d",
}
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)"
# A remark in brackets after a name, such as "(v_a)", "(0-10)" or, if the number follows, "(0/1)".
_ASIDE = (
    r"[ \t]*[(\[][^)\]\n\d]{0,20}(?:\d+\s*(?:-|–|—|to|or|and)\s*\d+)?[^)\]\n\d]{0,20}[)\]]"
    r"|[ \t]*[(\[]0\s*/\s*\d+[)\]](?=[ \t:=\"'*|]+\d)"
)
# Between a name and its number only words that say "this is its value"; any other word could start another statement.
_LINK = (
    r"(?:[ \t:=\"'*`|>~–—()]|-(?!\d)|"
    r"\b(?:score|rating|value|level|is|of|as|at|an?|i|rate|rated|give|given|gets?|would)\b)"
)
_SCALE = r"(?:[ \t]*(?:/|out[ \t]+of)[ \t]*(?P<scale>\d+(?:\.\d+)?))?"
# Not a part of something else: of a longer number, a percentage, a fraction, a range.
_WHOLE = r"(?![\d%]|[ \t]*%|[.,/:]\d|[ \t]*(?:-|–|—|to\b|or\b)[ \t]*\d)"
_ITEM = re.compile("|".join(f"(?P<{name}>(?<![a-z0-9])(?:{pattern})(?![a-z0-9]))" for name, pattern in _NAMES.items()))
_GIVEN = re.compile(
    rf"(?:{_ASIDE})?{_LINK}{{1,40}}(?:(?P<number>{_NUMBER}){_SCALE}{_WHOLE}|(?P<word>yes|no|true|false)\b)"
)
# On the next line only if it stands there alone: otherwise it may count the next item of a list.
_GIVEN_BELOW = re.compile(
    rf"(?:{_ASIDE})?{_LINK}{{0,40}}\s*\n\s*[*_]*(?P<number>{_NUMBER}){_SCALE}[*_]*[ \t]*(?:\n|$)(?P<word>)"
)
_BARE = re.compile(rf"[\s\[(]*{_NUMBER}(?:[\s,;]+{_NUMBER}){{5}}[\s\])]*")
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def parse_isq(text: str, field: str = "text") -> IsqItems:
    """Reads the six items from a model's answer.

    An item is its name (or its symbol, such as v_a) with a number right after it, as in "Visual attractiveness (0-10):
    8/10", in prose, in a Markdown table or in JSON; preference alignment and action desire may be yes or no. Six bare
    numbers and nothing else are the items in order. An item that is absent, given as a range, in percent or in words,
    or given twice with different numbers, is None: nothing is guessed.

    Raises:
        InvalidArgument: About `field`, naming the item, if one is out of its range or on another scale.
    """
    # NFKC writes ½ as 1⁄2, with a slash of its own.
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\u2044", "/")
    if _BARE.fullmatch(folded):
        bare = [float(text) for text in re.findall(_NUMBER, folded)]
        for (name, highest), value in zip(ITEM_MAXIMA.items(), bare, strict=True):
            _check_item(field, name, value, highest)
        return IsqItems(*bare)
    found: dict[str, set[float]] = {}
    for mention in _ITEM.finditer(folded):
        given = _GIVEN.match(folded, mention.end()) or _GIVEN_BELOW.match(folded, mention.end())
        name = str(mention.lastgroup)
        if given and (number := _number(field, name, given)) is not None:
            found.setdefault(name, set()).add(number)
    given_numbers = (found.get(name, set()) for name in ITEM_MAXIMA)
    return IsqItems(*(min(numbers) if len(numbers) == 1 else None for numbers in given_numbers))


def _number(field: str, name: str, given: re.Match[str]) -> float | None:
    highest = ITEM_MAXIMA[name]
    if given["word"]:
        return _WORDS[given["word"]] if highest == 1 else None
    number = float(given["number"])
    if given["scale"] and float(given["scale"]) != highest:
        raise InvalidArgument(
            field,
            f"{name} is given out of {given['scale'][:20]}, and its scale is 0 to {highest:g}",
            reason="OUT_OF_RANGE",
        )
    _check_item(field, name, number, highest)
    return number


def _check_item(field: str, name: str, number: float, highest: float) -> None:
    if not 0 <= number <= highest:
        raise InvalidArgument(field, f"{name} must be from 0 to {highest:g}, and is {number:g}", reason="OUT_OF_RANGE")
