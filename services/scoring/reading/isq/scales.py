"""A scale that an answer to the questionnaire states once, for all items."""

import re

_NUMBER = r"(?:\d{1,3}|one|five|ten|hundred)"
_END = rf"(?P<high>{_NUMBER})(?:\.0)?\b"
_RANGE = rf"\b(?:[01](?:\.0)?|one|zero)(?: ?[(\[=:][^()\[\]\n\d]{{1,24}}[)\]]?)? ?(?:-|to|and) ?{_END}"
_SCALE = re.compile(
    rf"\b(?:scale|range|ratings?|scores?|rated|scored|marks|points|normali[sz]ed)\b[^\n\d]{{0,24}}?(?:{_RANGE}"
    rf"|(?:out of|/) ?(?P<of>{_NUMBER})\b)"
    rf"|{_RANGE.replace('high', 'before')} (?:rating )?scale\b"
    r"|\b(?P<points>\d{1,3}|five|ten)[- ]point (?:likert |rating )?scale\b"
)
_FIELD = re.compile(
    r"^[\s{]*\"(?:[a-z]+_)?(?:scale|range|max)(?:_[a-z]+)?\" ?: ?"
    r"(?P<value>\"[^\"\n]{1,24}\"|\[[^\]\n]{1,16}\]|\{[^}\n]{1,40}\}|\d{1,3})",
    re.M,
)
_WORDS = {"one": 1.0, "five": 5.0, "ten": 10.0, "hundred": 100.0}
_OTHER = re.compile(r"total|sum\b|overall|average|mean\b|%|last two|preference|action|\|")
"""What is in a line whose scale isn't that of all items, or is that of a column."""
_USUAL = 10.0


def scale_of_all(folded: str, first: int, last: int) -> float | None:
    """The highest number of the one scale that a text says all items are on; None if that is 10 or not said.

    Args:
        folded: The text.
        first: Where it names the first item.
        last: Where the name of the last item ends.
    """
    if re.search(r"\b[01] ?(?:-|to) ?10\b|/ ?10\b|\bout of (?:10|ten)\b|\b(?:10|ten)[- ]point\b", folded):
        return None
    behind = folded[last:].partition("\n")[2]
    lines = [line for text in (folded[:first], behind) for line in text.split("\n") if not _OTHER.search(line)]
    found = {_number(next(filter(None, match.groups()))) for line in lines for match in _SCALE.finditer(line)}
    for field in _FIELD.finditer(folded[:first]):
        found.add(max(map(float, re.findall(r"\d{1,3}", field["value"])), default=_USUAL))
    # Scores that each state the scale are read by it.
    stated = {high for high in found if re.search(rf"\d ?/ ?{high:g}\b", folded[first:last])}
    others = found - {_USUAL} - stated
    return others.pop() if len(found) == 1 and others else None


def _number(word: str) -> float:
    return _WORDS[word] if word in _WORDS else float(word)
