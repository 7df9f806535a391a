"""Short answers in other languages than English: yes, no, "I like it", "none".

Which words mean what is data, data/yes_no.toml and data/nothing.toml. Nothing is guessed: an answer is read only if
each of its parts is listed, all under one language.
"""

import functools
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from services.scoring.reading.answer_form import said_by_signs
from services.scoring.reading.readable import INVISIBLE

_DATA = Path(__file__).parents[1] / "data"
_MAX_CHARS = 200
"""What is longer consists of more than a yes or a no."""
_ENGLISH = frozenset({"no", "ya", "oo", "si", "hai"})
"""Listed for another language, but English too, or used by people who write English."""

Verdict = Literal["yes", "no"]

_MEANS: Mapping[str, Verdict] = {"yes": "yes", "like": "yes", "stress": "yes", "no": "no", "dislike": "no"}
"""What each list of yes_no.toml speaks for; "polite" speaks for nothing."""

_JOINED = {
    ("yes", "like"): "like",
    ("yes", "stress"): "yes",
    ("yes", "polite"): "yes",
    ("no", "dislike"): "dislike",
    ("no", "polite"): "no",
}
"""Lists whose forms may follow each other without punctuation, and what both together say."""

_MARKS = re.compile("[\u0300-\u036f]")
"""Combining accents that stay apart after composition, such as the dot that case folding leaves of a Turkish İ."""
_ARABIC = str.maketrans(dict.fromkeys("\u0640\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652")) | str.maketrans(
    "أإآ", "ااا"
)
_BREAKS = re.compile(r"[.,;:!…。、，；！।॥۔،؛\n\r]+|\s[-–—]+\s|—")
# Letters and their marks, digits and apostrophes make up words; all else is Markdown, punctuation or a picture.
_NOT_WORDS = re.compile(r"[^\w\u0590-\u05c7\u0610-\u065f\u0900-\u0eff'-]+|_+")
_UNDECIDED = re.compile(r"[?？؟]|~~")


def plain_verdict(text: str) -> Verdict | None:
    """The yes or no that an answer in another language than English consists of.

    Punctuation, Markdown and most emoji don't count. None where the answer says anything else, asks, contradicts itself
    or means yes in one language and no in another. "No" alone, which is English too, is no.

    >>> plain_verdict("Oui, j'aime bien.")
    'yes'
    >>> plain_verdict("不喜欢。")
    'no'
    >>> plain_verdict("No, me gusta.") is None
    True
    """
    if _UNDECIDED.search(text):
        return None
    said = [_said(kinds) for kinds in _readings(_parts(text)).values()]
    verdict = said[0] if said and all(one == said[0] for one in said) else None
    signs = said_by_signs(text)
    return verdict if signs is None or signs.value == verdict else None


def short_answer_language(text: str) -> str:
    """The language (ISO 639-1) of an answer that is nothing but yes, no, "I like it", "none" or similar.

    Where several languages have the answer, the first in the data. "" if it says anything else, or is English too.
    """
    parts = _parts(text)
    if not parts or _ENGLISH.issuperset(parts):
        return ""
    return next(iter(_readings(parts)), "")


def _said(kinds: tuple[str, ...]) -> Verdict | None:
    verdicts = {_MEANS[kind] for kind in kinds if kind in _MEANS}
    # "Much" says something beside a yes alone, and "no, nothing" more than no.
    if len(verdicts) != 1 or "nothing" in kinds or set(kinds) <= {"stress", "polite"}:
        return None
    return verdicts.pop()


def _readings(parts: list[str]) -> dict[str, tuple[str, ...]]:
    """The list that each part is in, for each language that has every part."""
    found = {}
    for language, forms in _forms().items():
        kinds = tuple(_kind(part, forms) for part in parts)
        if kinds and "" not in kinds:
            found[language] = kinds
    return found


def _kind(part: str, forms: Mapping[str, str]) -> str:
    kind = forms.get(part)
    if kind is not None:
        return kind
    # "Oui j'aime bien", without the comma. Only where both say the same: "no me gusta" is a dislike, listed as such.
    first, _, rest = part.partition(" ")
    return _JOINED.get((forms.get(first, ""), forms.get(rest, "")), "")


def _parts(text: str) -> list[str]:
    """What stands between punctuation, spelled as in the data; nothing if the text is too long to be a short answer."""
    text = text.strip()
    if len(text) > _MAX_CHARS:
        return []
    words = (_NOT_WORDS.sub(" ", piece).split() for piece in _BREAKS.split(_spelled(text)))
    return [part for word in words if (part := " ".join(word).strip("'-"))]


def _spelled(text: str) -> str:
    """One spelling of what readers take for the same word."""
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).replace("’", "'").replace("ʼ", "'")
    text = unicodedata.normalize("NFKC", text.casefold().replace("ı", "i").translate(_ARABIC))
    return _MARKS.sub("", text)


def read_lists(name: str) -> dict[str, dict[str, list[str]]]:
    """The lists of one of the data files, by language and kind; all in nothing.toml are of the kind "nothing"."""
    lists = tomllib.loads((_DATA / name).read_text(encoding="utf-8"))
    return {language: listed if isinstance(listed, dict) else {"nothing": listed} for language, listed in lists.items()}


def spelled_form(listed: str) -> str:
    """A listed form as it is compared with what an answer says."""
    (form,) = _parts(listed)
    return form


@functools.cache
def _forms() -> Mapping[str, Mapping[str, str]]:
    """The list that each form is in, by language and form."""
    found: dict[str, dict[str, str]] = {}
    for name in ("yes_no.toml", "nothing.toml"):
        for language, lists in read_lists(name).items():
            kind_of = found.setdefault(language, {})
            for kind, forms in lists.items():
                for form in forms:
                    kind_of.setdefault(spelled_form(form), kind)
    return found
