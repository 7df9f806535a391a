"""What an answer to the questionnaire says beside scores: choices, a scale for all items, corrections and sums."""

import re

from services.scoring.isq_amounts import Amount, amounts

PLACES = re.compile(r"coordinat|bbox|bounding box|pixel|position")
"""What numbers without names may be instead of scores."""
_VALUE = r"(?:yes|no|true|false|[01]|y|n)"
_MEANS = r"(?:=|:|for|means|is|-)"
_CHOICE = re.compile(
    rf"[(\[] ?{_VALUE} ?(?:/|\||or|,) ?{_VALUE} ?[)\]]"
    rf"|[(\[] ?{_VALUE} ?{_MEANS} ?{_VALUE} ?(?:,|;|/|or|and)? ?{_VALUE} ?{_MEANS} ?{_VALUE} ?[)\]]"
    r"|\b(?:yes ?(?:/|\||or) ?no|no ?(?:/|\||or) ?yes|y ?/ ?n)\b"
)
"""Which answers are possible: "(Yes/No)", "(0 or 1)", "(1 for yes, 0 for no)"."""
_STRUCK = re.compile(r"~~[^~\n]{1,60}~~")
_SUM = re.compile(r"\d{1,3}(?:\.\d{1,3})?(?: ?[-+*×] ?\d{1,3}(?:\.\d{1,3})?){1,8} ?= ?(?=\d)")
"""A sum that ends in the score: "10 - 2 = 8"."""
_FORMULA = re.compile(r"[^\n.;:!?]{0,80}(?:\+[^\n+]{1,60}){3,12}[^\n]{0,200}")
"""A sum of the items, as in S%."""
_GLUED = re.compile(r"(?<=\d)(?=(?:pts?|points?|stars?)\b)")
_POINT_SCALE = re.compile(r" ?[(\[]?(?:on|of|out of) (?:an? |the )?(\d{1,3})[- ]point (?:likert )?scale[)\]]?")
_CUT = re.compile(r"\b0\.\s*\Z")
_STOPPED = re.compile(r"\d\.[ \t]*\n")
_FEWEST_LINES = 3
_SCALE = re.compile(
    r"\b(?:scale|range)\b[\"' ]{0,3}(?:[:=]|of|from|is|was|goes|used|used:|between)?[\"' ]{0,3}(?:from )?"
    r"(?P<range>[01](?:\.0)? ?(?:-|to) ?\d{1,3})\b"
)


def without_legends(folded: str) -> str:
    """A folded text without what names the possible answers, was struck out or computes something from the scores."""
    text = _CHOICE.sub(" ", _STRUCK.sub(" ", folded))
    if "+" in text:
        text = _FORMULA.sub(" ", _SUM.sub(" ", text))
    elif "=" in text:
        text = _SUM.sub(" ", text)
    text = _POINT_SCALE.sub(r"/\1", _GLUED.sub(" ", text))
    # "0." at the end may be 0, or what is left of 0.4.
    cut = text.count("\n") >= _FEWEST_LINES and not _STOPPED.search(text)
    return _CUT.sub("", text) if cut else text


def scale_of_all(folded: str, first_name: int) -> Amount | None:
    """The one scale that a text says all items are on, before it names the first; None if that is 0 to 10 or not said.

    Args:
        folded: The text.
        first_name: Where it names the first item.
    """
    stated = [own for own in _SCALE.finditer(folded) if own.start() < first_name or folded[own.start() - 1] == '"']
    scales = {(own.low, own.high): own for match in stated for own in amounts(match["range"])}
    if len(scales) != 1:
        return None
    scale = scales.popitem()[1]
    return None if scale.high == 10 or re.search(r"\b[01] ?(?:-|to) ?10\b", folded) else scale  # noqa: PLR2004
