"""Brings what a model wrote to one form: one kind of digits, dashes and quotation marks, no idle markup."""

import re
import unicodedata

_GONE = dict.fromkeys(
    [
        *(*range(9), *range(11, 32), 127, 0xAD, 0xFE0E, 0xFE0F, 0x20E3, 0x2060, 0xFEFF, *range(0x200B, 0x2010)),
        *(0xB2, 0xB3, 0xB9, 0x2070, *range(0x2074, 0x207A)),  # superscript digits number footnotes
    ]
)
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹣－"), "-")
_QUOTES = {**dict.fromkeys(map(ord, "“”„‟«»「」『』″"), '"'), **dict.fromkeys(map(ord, "‘’‚‛′´"), "'")}
_BARS = dict.fromkeys(map(ord, "│┃║｜¦"), "|")
_OTHERS = {
    ord("٫"): ".",
    ord("٪"): "%",
    ord("\u2044"): "/",
    ord("、"): ",",
    ord("，"): ", ",
    ord("；"): ";",
    ord("。"): ". ",
}
_VULGAR = {"½": ".5", "¼": ".25", "¾": ".75", "⅓": ".333", "⅔": ".667", "⅕": ".2", "⅖": ".4", "⅗": ".6", "⅘": ".8"}
_CIRCLED = {ord("①") + digit: f"({digit + 1}) " for digit in range(10)}
_TABLE = {
    **_GONE,
    **_DASHES,
    **_QUOTES,
    **_BARS,
    **_OTHERS,
    **_CIRCLED,
    ord("🔟"): "10",
    ord("ﷺ"): " ",
    ord("ﷻ"): " ",
    ord("\r"): "\n",
    ord("\t"): "\t",
}

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.S)
_RUN = re.compile(r"((\D)\2{19})\2+")
"""More of one character than any layout needs; none of the patterns that read a text has to be quick on them."""
_ROW_TAG = re.compile(r"</?(?:p|br|li|ul|ol|tr|div|h[1-6]|table|tbody|thead)\b[^<>\n]{0,200}>")
_CELL_TAG = re.compile(r"</?(?:td|th)\b[^<>\n]{0,200}>")
_PLAIN_TAG = re.compile(r"</?(?:b|strong|i|em|u|span|code|mark|sub|font)\b[^<>\n]{0,200}>")
_LATEX = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|boxed|textsubscript)\{([^{}\n]{0,60})\}")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}\n]{0,12})\}\{([^{}\n]{0,12})\}")
_SUBSCRIPT = re.compile(r"\b([a-z])[ _]?\{([a-z])\}|\b([a-z])_\{?([a-z])\}?(?![a-z])")
_ARROW = re.compile(r"[→⇒➡➔➜➝⟶⟹►▶👉⮕]|(?<!-)-{1,2}>|={1,2}>")
_POLES = re.compile(
    r"[(\[] ?0 ?(?:=|:|is|means|-)[^()\[\]\d\n]{1,40}\b(10|1|100) ?(?:=|:|is|means|-)[^()\[\]\d\n]{1,40}[)\]]"
)
"""A scale with its ends named: "(0 = dull, 10 = superb)"."""
_FILLED, _EMPTY = "★⭐🌟█▓■●🟩🟦🟨🔵⚫🟢🔴🟡⬛", "☆░□○⬜⚪▢▱✩"
_GAUGE = re.compile(rf"(?:[{_FILLED}] ?){{1,20}}(?:[{_EMPTY}] ?){{0,20}}|(?:[{_EMPTY}] ?){{5,20}}")
_LONGEST_OF_FIVE = 5
_FULL_GAUGES = (5, 10)


def fold(text: str) -> str:
    """The text in lower case and in one form of digits, dashes, quotation marks, arrows and gauges."""
    for sign, decimal in _VULGAR.items():
        if sign in text:
            text = re.sub(rf"(\d) ?{sign}", rf"\g<1>{decimal}", text).replace(sign, f"0{decimal}")
    text = unicodedata.normalize("NFKC", text.translate(_TABLE)).lower().translate(_TABLE)
    text = re.sub(r"\d", lambda digit: str(unicodedata.digit(digit[0])), text)
    text = _RUN.sub(r"\1", _THOUGHT.sub("\n", text))
    text = _PLAIN_TAG.sub("", _CELL_TAG.sub(" | ", _ROW_TAG.sub("\n", text)))
    text = re.sub(r"^[ \t]*(?:```|~~~)[a-z]*", "", text, flags=re.M).replace("`", "")
    text = _fold_latex(text)
    text = re.sub(r"<([\d.,/ ]{1,9})>", r"(\1)", _ARROW.sub(" = ", text))
    text = _POLES.sub(r"(0-\1)", text)
    text = re.sub(r"\bbetween (?:an? )?([\w.]{1,6}) and (?:an? )?([\w.]{1,6})\b", r"\1 to \2", text)
    return "\n".join(_fold_gauges(text))


def _fold_latex(text: str) -> str:
    if "\\" in text:
        text = _FRACTION.sub(r"\1/\2", _LATEX.sub(r"\1", text.replace("\\_", "_").replace("\\%", "%")))
        text = re.sub(r"\\(?:quad|,|;|!|\(|\)|\[|\]|rightarrow|to)(?![a-z])", " ", text)
    text = _SUBSCRIPT.sub(lambda match: f"{match[1] or match[3]}_{match[2] or match[4]}", text)
    return text.replace("$", " ")


def _fold_gauges(text: str) -> list[str]:
    """Lines in which stars and bars are numbers where they alone say one, and gone elsewhere."""
    lines = text.split("\n")
    longest = max((len(gauge[0].replace(" ", "")) for gauge in _GAUGE.finditer(text)), default=0)
    if not longest:
        return lines
    if any(sign in text for sign in _EMPTY) and longest in _FULL_GAUGES:
        whole = longest
    else:
        whole = 10 if longest > _LONGEST_OF_FIVE else 0
    return [_GAUGE.sub(lambda gauge, line=line: _gauge(gauge, line, whole), line) for line in lines]  # type: ignore[misc]


def _gauge(gauge: re.Match[str], line: str, whole: int) -> str:
    signs = gauge[0].replace(" ", "")
    filled = sum(sign in _FILLED for sign in signs)
    behind = line[gauge.end() : gauge.end() + 200]
    in_front = line[max(0, gauge.start() - 200) : gauge.start()]
    if re.match(r"[^a-z\d\n]*\.?\d", behind) or re.search(r"\d\W{0,3}$", in_front.replace(")", "x")):
        return " "
    if filled < len(signs):
        return f" {filled}/{len(signs)} " if len(signs) in _FULL_GAUGES else " "
    return f" {filled}/{whole} " if filled > 1 and filled <= whole else " "
