"""What an answer to the questionnaire says beside scores: possible answers, corrections and sums."""

import re

PLACES = re.compile(r"\b(?:coordinat|bbox|bounding box|pixel|positions?\b|probabilit)")
"""What numbers without names may be instead of scores."""
_VALUE = r"(?:yes|no|true|false|[01]|y|n)"
_MEANS = r"(?:=|:|for|means|is|-)"
_CHOICE = re.compile(
    rf"[(\[] ?{_VALUE} ?(?:/|\||or|,) ?{_VALUE} ?[)\]]"
    rf"|[(\[] ?{_VALUE} ?{_MEANS} ?{_VALUE} ?(?:,|;|/|or|and)? ?{_VALUE} ?{_MEANS} ?{_VALUE} ?[)\]]"
    r"|\b(?:yes ?(?:/|\||or) ?no|no ?(?:/|\||or) ?yes|y ?/ ?n|true ?(?:/|\||or) ?false)\b"
)
"""Which answers are possible: "(Yes/No)", "(0 or 1)", "(1 for yes, 0 for no)"."""
_UNCHECKED = re.compile(r"(?:\[ ?\]|☐) ?(?:yes|no|true|false)\b|\[x\] ?(?=yes|no|true|false)|[☑☒]")
_RANGE = re.compile(r"(?:∈|\bin) ?(?=[(\[])|[(\[] ?([01]) ?(?:,|;|\.\.\.?|…) ?(1|5|10|100) ?[)\]]")
_NOTE = re.compile(r"[(\[] ?\d{1,3} ?%? ?[)\]](?=[*_ ]*:[*_ ]*\d)")
"""A weight or the number of a footnote between a name and its score: "(20%): 8"."""
_OTHERS = re.compile(r"\"(?:weight|confidence|certaint|probabilit)[a-z_]*\" ?: ?\{[^{}]{0,400}\}")
"""An object with something else about the items than their scores."""
_STRUCK = re.compile(r"~~[^~\n]{1,60}~~")
_TERM = r"\d{1,3}(?:\.\d{1,3})?"
_REMARK = r"(?: ?\([^()\n]{1,40}\)| for [a-z ]{1,30})?"
_SUM = re.compile(rf"{_TERM}{_REMARK}(?: ?[-+] ?{_TERM}{_REMARK}){{1,8}} ?= ?(?=\d)")
"""A sum that ends in the score: "10 - 2 = 8"."""
_SHARE = re.compile(rf"({_TERM}) ?[x×*] ?{_TERM} ?= ?{_TERM}")
"""A score with its weight and its share of S%: "8 × 0.25 = 2"."""
_FORMULA = re.compile(r"[^\n.;:!?]{0,80}(?:\+[^\n+]{1,60}){3,12}[^\n]{0,200}")
"""A sum of the items, as in S%."""
_GLUED = re.compile(r"(?<=\d)(?=(?:pts?|points?|stars?)\b)")
_POINT_SCALE = re.compile(r"(?<=\d) ?[(\[]?(?:on|of|out of) (?:an? |the )?(\d{1,3})[- ]point (?:likert )?scale[)\]]?")
_CUT = re.compile(r"\b0\.\s*\Z")
_STOPPED = re.compile(r"\d\.[ \t]*\n")
_FEWEST_LINES = 3


def without_legends(folded: str) -> str:
    """A folded text without what names the possible answers, was struck out or computes something from the scores."""
    text = _CHOICE.sub(" ", _UNCHECKED.sub(" ", _STRUCK.sub(" ", _OTHERS.sub(" ", folded))))
    text = _NOTE.sub(" ", _RANGE.sub(lambda match: f"({match[1]}-{match[2]})" if match[1] else " ", text))
    if "=" in text:
        text = _SUM.sub(" ", _SHARE.sub(r"\1", text))
    if "+" in text:
        text = _FORMULA.sub(" ", text)
    text = _POINT_SCALE.sub(r"/\1", _GLUED.sub(" ", text))
    # "0." at the end may be 0, or what is left of 0.4.
    cut = text.count("\n") >= _FEWEST_LINES and not _STOPPED.search(text)
    return _CUT.sub("", text) if cut else text
