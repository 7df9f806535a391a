"""Numbers in a folded text, with the scale they are on: "8", "8/10", "80%", "7-8", "seven", "zero point four"."""

import math
import re
from dataclasses import dataclass, replace

_WORDS: dict[str, float] = {
    word: float(number)
    for number, words in enumerate(
        (
            "zero cero nil nul 零 〇",
            "one uno eins 一",
            "two zwei deux dos 二 两",
            "three drei trois tres tre três 三",
            "four vier quatre cuatro quattro quatro 四",
            "five fünf cinq cinco cinque 五",
            "six sechs seis 六",
            "seven sieben sept siete sette sete 七",
            "eight acht huit ocho otto oito 八",
            "nine neun neuf nueve nove 九",
            "ten zehn dix diez dieci dez 十",
        )
    )
    for word in words.split()
}
_HAN_DIGITS = "零〇一二两三四五六七八九十"
_LATIN_WORDS = "|".join(sorted((words for words in _WORDS if words not in _HAN_DIGITS), key=len, reverse=True))
_POINT = r"(?:point|komma|coma|virgule|vírgula|virgola)"
_HAN = rf"(?<![\u4e00-\u9fff])[{_HAN_DIGITS}](?:[点點][{_HAN_DIGITS}\d])?(?=[分点點/]|[^\u4e00-\u9fff]|$)"
_FIGURE = r"(?<![a-z\d_])(?<!\d[.,])(?<![^.]\.)(?:\d+(?:[.,]\d+)?)|(?<![\w.])\.\d+"
_ONE_OF = "one of (?:the|my|our|its|those|these)"
_WORD = (
    rf"\b(?!{_ONE_OF}\b)(?:{_LATIN_WORDS})"
    rf"(?:[ -]{_POINT}(?:[ -](?:\d|{_LATIN_WORDS})\b){{1,3}}|[ -]and[ -]a[ -]half\b)?\b(?!-[a-z])"
    rf"|\bpoint(?: (?:{_LATIN_WORDS})\b){{1,2}}|\bhalf\b(?= ?(?:[.,;:)\n*|]|$))|{_HAN}"
)
_NUMBER = rf"(?:{_FIGURE}|{_WORD})"
_OUT_OF = r"[ \t]*[*_]{0,2}[ \t]*(?:/|[(\[]?(?:out[ \t]+of|of|von|sur|su|de|over|aus)\b|[(\[][ \t]*/)"
_AMOUNT = re.compile(
    rf"(?P<low>{_NUMBER})"
    rf"(?:[ \t]*(?P<dash>-|\bto\b|\bbis\b|至|到)[ \t]*(?P<high>{_NUMBER}))?"
    rf"(?:[ \t]*(?P<percent>%|percent\b|per cent\b)|{_OUT_OF}[ \t]*(?P<scale>\d+(?:\.\d+)?|ten\b|one\b|five\b))?"
    r"(?![a-z_]|[.,]?\d|-[a-z])"
)
_LOWEST = (0.0, 1.0)
_HIGHEST = (1.0, 5.0, 10.0, 100.0)
_WIDEST = 0.2
"""Share of the scale that a range may span to stand for its middle."""
_SCALES = {10.0: (1.0, 5.0, 10.0, 100.0), 1.0: (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 100.0)}
_COARSE = 10.0
_NOTE = re.compile(r"(?:out of|/|\bmax\.?|maximum|highest|scale(?: of)?|满分)[ \t:]*$")


class OffScale(ValueError):
    """A number that its item can't have; its text goes behind the item's name."""


@dataclass(frozen=True)
class Amount:
    """A number, or a range, with its place in the text."""

    start: int
    end: int
    low: float
    high: float
    scale: float | None = None
    """What it is out of; None where that is not said."""
    is_scale: bool = False
    """Whether it says which numbers are possible, as "0 to 10" or "max 10", and is none itself."""

    def out_of(self, scale: float) -> "Amount":
        """The same number on a scale that is said elsewhere."""
        return self if self.scale is not None else replace(self, scale=scale)

    def on(self, highest: float) -> float | None:
        """The number on an item's scale, 0 to `highest`; None where a reader could not tell it.

        Raises:
            OffScale: If it is out of range.
        """
        scale = highest if self.scale is None else self.scale
        if scale not in _SCALES[highest]:
            raise OffScale(f"is given out of {scale:g}, and its scale is 0 to {highest:g}")
        if not self.low <= self.high <= self.low + _WIDEST * scale + 1e-9:
            return None
        number = (self.low + self.high) / 2
        if not 0 <= number <= scale:
            raise OffScale(f"must be from 0 to {scale:g}, and is {number:g}")
        if highest == 1 and scale >= _COARSE and 0 < number < 1:  # "0.7/10" is 0.7 or 0.07
            return None
        return round(number * highest / scale, 9)


def amounts(text: str) -> list[Amount]:
    """The numbers of a folded text, in its order."""
    return [_amount(match, text) for match in _AMOUNT.finditer(text)]


def _amount(match: re.Match[str], text: str) -> Amount:
    low = high = _number(match["low"])
    start, end = match.span()
    scale = 100.0 if match["percent"] else _number(match["scale"]) if match["scale"] else None
    if match["high"]:
        high = _number(match["high"])
        possible = low in _LOWEST and high in _HIGHEST
        if scale is None and possible and low < high:
            return Amount(start, end, low, high, is_scale=True)
        spaced = match["dash"] == "-" and text[match.start("dash") - 1].isspace()
        remark = scale is None and spaced and re.match(r"[ \t]+[^\W\d_]", text[end : end + 3])
        if remark or (spaced and high <= low):  # "8 - 2 dogs" is a number with a remark, "7 - 8" a range
            return Amount(start, match.end("low"), low, low)
        return Amount(start, end, low, high if low < high else -math.inf, scale)
    if scale is None and low in _HIGHEST and _NOTE.search(text[max(0, start - 12) : start]):
        return Amount(start, end, 0.0, low, is_scale=True)
    # A minus is one only where it can't be a dash.
    if re.search(r"[:=(\"'] ?-$", text[max(0, start - 3) : start]):
        low = high = -low
    return Amount(start, end, low, high, scale)


def _number(word: str) -> float:
    if word[0].isdigit() or word[0] == ".":
        return float(word.replace(",", "."))
    if word == "half":
        return 0.5
    if re.search(r"and[ -]a[ -]half$", word):
        return _WORDS[re.split(r"[ -]", word)[0]] + 0.5
    whole, *rest = re.split(rf"[ -]?(?:{_POINT}|[点點])[ -]?", word)
    number = _WORDS[whole] if whole else 0.0
    digits = "".join(
        word if word.isdigit() else f"{_WORDS[word]:g}" for word in re.split(r"[ -]", "".join(rest)) if word
    )
    return float(f"{number:g}.{digits}") if digits else number


def whole_amount(text: str) -> Amount | None:
    """The number that a folded text is, white space and marks around it aside; None if it is anything else."""
    stripped = text.lstrip(" \t\n*_`\"'~≈([{$=:|#").rstrip(" \t\n*_`\"')]}.!;,$|")
    found = amounts(stripped)
    whole = len(found) == 1 and re.fullmatch(r"[ \t)]*(?:分|点|점|points?|pts\.?|stars?)?", stripped[found[0].end :])
    return found[0] if whole and found[0].start == 0 and not found[0].is_scale else None


_SEPARATORS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\s*\n\s*",
        r"\s*;\s*",
        r"\s*\|\s*",
        r",\s+(?:and\s+)?|\s+and\s+",
        r"\s*/\s*",
        r"\s*[,、]\s*",
        r"\s+-\s+",
        r"\s+",
    )
)
_PAIR = 2
_PAIR_SEPARATORS = _SEPARATORS[1:4]
"""Of two numbers: "7/8" and "7,8" may be one number."""


def listed(text: str, count: int) -> list[Amount] | None:
    """The numbers of a list that has exactly `count` of them and nothing else, whatever separates them."""
    trimmed = text.strip(" \t\n*_`\"'()[]{}|;,").removesuffix(".")
    for separator in _SEPARATORS if count > _PAIR else _PAIR_SEPARATORS:
        parts = separator.split(trimmed, maxsplit=count)
        if len(parts) == count:
            read = [amount for amount in map(whole_amount, parts) if amount]
            if len(read) == count:
                return read
    return None
