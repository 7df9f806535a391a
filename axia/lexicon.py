"""The value lexicon: Schwartz's ten values, their four higher-order groups, and the keywords that search for each.

The data and its sources are in ``axia/data/lexicon.toml``. Everything here is frozen: a lexicon that was loaded can be
shared between threads and used as a key.

    >>> lexicon = load_lexicon()
    >>> lexicon.value("hedonism").keywords[:3]
    ('vacation', 'comedy', 'concert')
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

DATA = Path(__file__).parent / "data" / "lexicon.toml"
MAX_KEYWORDS_PER_VALUE = 100
MAX_KEYWORD_CHARS = 100
_JOINERS = "\u200c\u200d"
"""Invisible characters that Persian and the scripts of India need inside words."""
VALUES = (
    "self-direction", "universalism", "benevolence", "stimulation", "power",
    "achievement", "hedonism", "conformity", "tradition", "security",
)  # fmt: skip
"""Ids of the ten values, in the order of the published tables."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


def normal_keyword(text: str) -> str:
    """A keyword as the lexicon holds it: Unicode's composed form (NFC), with single spaces between words."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _check_keyword(text: str) -> str:
    keyword = normal_keyword(text)
    if len(keyword) > MAX_KEYWORD_CHARS:
        raise ValueError(f"{text!r} has more than {MAX_KEYWORD_CHARS} characters; give a word or a phrase")
    shown = "".join(character for character in keyword if character not in _JOINERS)
    if not shown.isprintable() or not any(character.isalnum() for character in shown):
        raise ValueError(f"{text!r} is not a valid keyword; use words with letters or digits, in any script")
    return keyword


Phrase = Annotated[str, AfterValidator(_check_keyword)]
"""A keyword: words of any script, with digits, hyphens and other signs."""


class LexiconError(ValueError):
    """The lexicon file can't be read or breaks one of its rules; the message names the file and the rule."""


class Frozen(BaseModel):
    """Base of the lexicon's types: immutable, hashable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(Frozen):
    """A higher-order value of Schwartz's circle and the one that lies opposite."""

    id: Slug
    name: Text
    opposes: Slug


class Value(Frozen):
    """One of the ten values.

    `published` are keywords named by arXiv 2411.11479, `axia` are this project's. `also` is a second group that the
    value shares elements with (hedonism only).
    """

    id: Slug
    name: Text
    definition: Text
    group: Slug
    also: Slug | None = None
    published: tuple[Phrase, ...] = ()
    axia: tuple[Phrase, ...] = ()

    @property
    def keywords(self) -> tuple[str, ...]:
        """All keywords of the value, published ones first."""
        return self.published + self.axia


class Lexicon(Frozen):
    """Ten values and four groups. Each value has 1 to 100 keywords; no two of all differ in letter case alone."""

    source: Text
    group: tuple[Group, ...]
    values: tuple[Value, ...]

    @model_validator(mode="after")
    def check(self) -> Lexicon:
        """Hold the rules that go across entries; each violation says what is wrong and where."""
        ids = tuple(value.id for value in self.values)
        if sorted(ids) != sorted(VALUES):
            missing, unknown = sorted(set(VALUES) - set(ids)), sorted(set(ids) - set(VALUES))
            raise ValueError(f"must have each of the ten Schwartz values once; missing: {missing}, unknown: {unknown}")
        groups = {group.id for group in self.group}
        for group in self.group:
            if group.opposes not in groups:
                raise ValueError(f"group {group.id!r} opposes {group.opposes!r}, which is not a group")
        for value in self.values:
            for name in (value.group, value.also):
                if name is not None and name not in groups:
                    raise ValueError(f"value {value.id!r} is in {name!r}, which is not a group")
            if not 1 <= len(value.keywords) <= MAX_KEYWORDS_PER_VALUE:
                raise ValueError(
                    f"value {value.id!r} has {len(value.keywords)} keywords; give it 1 to {MAX_KEYWORDS_PER_VALUE}"
                )
        counts = Counter(keyword.casefold() for keyword in self.keywords)
        twice = sorted(keyword for keyword in self.keywords if counts[keyword.casefold()] > 1)
        if twice:
            raise ValueError(f"each keyword may occur only once in the file; these occur several times: {twice}")
        return self

    def value(self, value_id: str) -> Value:
        """The value with this id.

        Raises:
            KeyError: no value has this id; the message lists those that exist.
        """
        for value in self.values:
            if value.id == value_id:
                return value
        raise KeyError(f"there is no value {value_id!r}; the values are {', '.join(value.id for value in self.values)}")

    def value_of(self, keyword: str) -> Value:
        """The value that a keyword stands for.

        Raises:
            KeyError: the keyword is not in the lexicon.
        """
        for value in self.values:
            if normal_keyword(keyword) in value.keywords:
                return value
        raise KeyError(f"the lexicon has no keyword {keyword!r}")

    @property
    def keywords(self) -> tuple[str, ...]:
        """All keywords, value by value."""
        return tuple(keyword for value in self.values for keyword in value.keywords)

    def members(self, group: str) -> tuple[Value, ...]:
        """The values counted under a higher-order group (`also` is not counted)."""
        return tuple(value for value in self.values if value.group == group)


def load_lexicon(path: Path | None = None) -> Lexicon:
    """Read and check a lexicon file; without a path, the one that axia ships.

    Raises:
        LexiconError: the file is missing, is not TOML, or breaks a rule.
    """
    path = path or DATA
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LexiconError(f"{path}: can't be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise LexiconError(f"{path}: not TOML: {error}") from error
    if "value" not in data:
        raise LexiconError(f"{path}: has no [[value]] entries")
    data["values"] = data.pop("value")
    try:
        return Lexicon.model_validate(data)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'lexicon'}: {e['msg']}" for e in error.errors())
        raise LexiconError(f"{path}: {reasons}") from error
