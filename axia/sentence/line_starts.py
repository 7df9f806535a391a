"""Markup around an answer that is no part of it: list markers, headings, code fences, blockquote marks and tags."""

import re
from typing import NamedTuple


class Start(NamedTuple):
    """Markup at the start of an answer or of one of its lines."""

    length: int
    """Characters, 0 if there is none."""
    heading: bool = False
    listed: bool = False
    asks: bool | None = None
    """Whether a question follows that the model repeats, or the answer to one; None if the markup doesn't tell."""


START_WINDOW = 48
"""Characters that `start_of_line` needs at most to decide."""
_NOTHING = Start(0)
_NEVER = re.compile(r"(?!)")
_ROLES = "(?:assistant|model|user|human|system)"
_ASKS = re.compile(r"\[INST|user|human|system", re.IGNORECASE)
_ANSWERS = re.compile(r"/INST|assistant|model|answer|response", re.IGNORECASE)
_NAMED = r"final_answer|answer|response|output|conclusion|result"


class _Form(NamedTuple):
    """A form of markup."""

    first: str
    """Characters that it begins with."""
    whole: re.Pattern[str]
    beginning: re.Pattern[str]
    """What may still become one."""
    start: Start


_FORMS = (
    _Form("`~", re.compile(r"```[\w+#.-]{0,20}\n|```|~~~"), re.compile(r"`{1,2}|~{1,2}|```[\w+#.-]{0,20}"), _NOTHING),
    _Form("#", re.compile(r"#{1,6}(?=\s)"), re.compile(r"#{1,6}"), Start(0, heading=True)),
    _Form(">", re.compile(r">"), _NEVER, _NOTHING),
    _Form(
        "<[",
        re.compile(
            rf"<\|start_header_id\|>{_ROLES}<\|end_header_id\|>|<(?:\|im_start\||start_of_turn)>(?:{_ROLES})?"
            rf"|<\|[\w ]{{1,24}}\|>|</?(?:{_NAMED}|s|bos|image|img)>|\[/?(?:INST|OUT|ANSWER|RESPONSE)\]:?",
            re.IGNORECASE,
        ),
        re.compile(
            r"<\|[\w ]{0,24}\|?|<\|[\w ]{1,24}\|>(?:\w{0,10}|\w{1,10}<[\w|]{0,16})|</?\w{0,13}|<start_of_turn>\w{0,10}"
            r"|\[/?[A-Z]{0,8}\]?",
            re.IGNORECASE,
        ),
        _NOTHING,
    ),
    _Form(
        "-*•+–—‣▪●·◦",
        re.compile(r".(?=\s)(?:\s?\[[ xX]\](?=\s))?"),
        re.compile(r".(?:\s?\[?[ xX]?\]?)?"),
        Start(0, listed=True),
    ),
    _Form(
        "(0123456789",
        re.compile(r"\(?\d{1,3}[.)](?=\s)|\([a-zA-Z]\)(?=\s)|\d\ufe0f?\u20e3"),
        re.compile(r"\(?\d{0,3}[.)]?|\([a-zA-Z]?\)?|\d\ufe0f?"),
        Start(0, listed=True),
    ),
    _Form(
        "abcdefghivxABCDEFGH",
        re.compile(r"(?:[a-zA-Z]\)|[a-hj-z]\.|i{1,3}\.|iv\.)(?=\s)(?!\s[a-z]\.)"),
        re.compile(r"(?:[a-zA-Z][.)]?|i{1,3}\.?|iv\.?)(?:\s[a-z]?)?"),
        Start(0, listed=True),
    ),
)


def start_of_line(text: str, *, complete: bool) -> Start | None:
    """Finds a list marker, heading, code fence, blockquote mark or tag at the start of a text.

    Args:
        text: What stands at the start, START_WINDOW characters if there are as many.
        complete: Whether nothing will follow, or the text has that many characters.

    Returns:
        What there is; None if further text decides.
    """
    for form in _FORMS:
        if text[0] not in form.first:
            continue
        if not complete and form.beginning.fullmatch(text):
            return None
        if found := form.whole.match(text):
            asks = True if _ASKS.search(found[0]) else False if _ANSWERS.search(found[0]) else None
            return form.start._replace(length=found.end(), asks=asks)
    return _NOTHING


_END_TAG = re.compile(rf"</(?:{_NAMED}|s)>|<\|[\w ]{{1,24}}\|>|<(?:eos|end_of_turn)>", re.IGNORECASE)
_END_TAG_BEGINNING = re.compile(r"</?\w{0,12}|<\|[\w ]{0,24}\|?", re.IGNORECASE)


def ends_answer(text: str, *, complete: bool) -> bool | None:
    """Whether a text begins with a tag that ends the answer, such as ``</answer>``; None if further text decides."""
    if not complete and _END_TAG_BEGINNING.fullmatch(text):
        return None
    return _END_TAG.match(text) is not None
