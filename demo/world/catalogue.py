"""The world's catalogue: concepts of the feed and situations at home, read from data files and checked.

>>> concept("handshake").value
'universalism'
>>> situation("child-hot-stove").element
'child near the hot stove'
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from axia.lexicon import VALUES, load_lexicon
from demo.world import atlas

DATA = Path(__file__).parent / "data"
ROOMS = ("kitchen", "living room", "bedroom", "bathroom")
CONCERNS = ("safety", "health", "social", "property", "joy", "none")
KINDS = ("value-laden", "control")


class CatalogueError(ValueError):
    """A data file of the world breaks one of its rules; the message names the entry."""


@dataclass(frozen=True)
class Concept:
    """What a feed frame can show; one for each keyword. Fields as in concepts.toml, `value` from the lexicon."""

    keyword: str
    value: str
    name: str
    phrase: str
    also: tuple[str, ...]
    pictures: tuple[tuple[str, ...], ...]
    caption: str
    liked: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a description may use."""
        return (self.name, *self.also)


class Part(NamedTuple):
    """A sprite of a situation: foot relative to the anchor, height, fractions of the picture; angle in degrees."""

    sprite: str
    x: float
    y: float
    height: float
    angle: float


@dataclass(frozen=True)
class Situation:
    """What can happen in a room, with its ground truth. Fields as in situations.toml."""

    id: str
    kind: str
    response: int
    rooms: tuple[str, ...]
    concern: str
    values: tuple[str, ...]
    element: str
    subject: str
    accept: tuple[str, ...]
    says: tuple[str, ...]
    aware: tuple[str, ...]
    why: str
    act: str
    shows: str
    parts: tuple[Part, ...]
    study: int | None

    @property
    def control(self) -> bool:
        """Whether nothing needs attention."""
        return self.kind == "control"


def _read(name: str, key: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads((DATA / name).read_text(encoding="utf-8"))[key]
    return entries


@cache
def concepts() -> tuple[Concept, ...]:
    """All concepts in the order of the file.

    Raises:
        CatalogueError: a keyword is missing or not in the lexicon, a name occurs twice, or the atlas lacks a sprite.
    """
    lexicon, known = load_lexicon(), atlas.index()
    found = []
    for entry in _read("concepts.toml", "concept"):
        keyword = entry["keyword"]
        if keyword not in lexicon.keywords:
            raise CatalogueError(f"concept {keyword!r}: not a keyword of the lexicon")
        pictures = tuple(tuple(sprites) for sprites in entry["pictures"])
        unknown = sorted({sprite for sprites in pictures for sprite in sprites} - set(known))
        if unknown:
            raise CatalogueError(f"concept {keyword!r}: sprites {unknown} are not in the atlas")
        found.append(
            Concept(
                keyword=keyword,
                value=lexicon.value_of(keyword).id,
                name=entry["name"],
                phrase=entry["phrase"],
                also=tuple(entry["also"]),
                pictures=pictures,
                caption=entry["caption"],
                liked=entry.get("liked", True),
            )
        )
    missing = sorted(set(lexicon.keywords) - {concept.keyword for concept in found})
    if missing or len({concept.name for concept in found}) != len(found) or len(found) != len(lexicon.keywords):
        raise CatalogueError(f"each keyword needs one concept with a name of its own; missing: {missing}")
    return tuple(found)


@cache
def situations() -> tuple[Situation, ...]:
    """All situations in the order of the file.

    Raises:
        CatalogueError: a field has a value that is not known, or a sprite is not in the atlas.
    """
    known = atlas.index()
    found = []
    for entry in _read("situations.toml", "situation"):
        parts = tuple(_part(text) for text in entry["parts"])
        name = entry["id"]
        checks = {
            "kind": entry["kind"] in KINDS,
            "rooms": bool(entry["rooms"]) and set(entry["rooms"]) <= set(ROOMS),
            "concern": entry["concern"] in CONCERNS,
            "values": set(entry["values"]) <= set(VALUES),
            "response": entry["response"] in (1, 2, 3, 4) and (entry["kind"] == "control") == (entry["response"] == 3),
            "accept": bool(entry["accept"]) == (entry["kind"] != "control"),
            "parts": all(part.sprite in known for part in parts),
        }
        wrong = [field for field, right in checks.items() if not right]
        if wrong:
            raise CatalogueError(f"situation {name!r}: not valid: {', '.join(wrong)}")
        found.append(
            Situation(
                id=name,
                kind=entry["kind"],
                response=entry["response"],
                rooms=tuple(entry["rooms"]),
                concern=entry["concern"],
                values=tuple(entry["values"]),
                element=entry["element"],
                subject=entry["subject"],
                accept=tuple(entry["accept"]),
                says=tuple(entry["says"]),
                aware=tuple(entry.get("aware", entry["says"])),
                why=entry["why"],
                act=entry["act"],
                shows=entry["shows"],
                parts=parts,
                study=entry.get("study"),
            )
        )
    if len({situation.id for situation in found}) != len(found):
        raise CatalogueError("situation ids must be unique")
    return tuple(found)


def _part(text: str) -> Part:
    """Parse "sprite x y height [angle]"."""
    sprite, *numbers = text.split()
    x, y, height, angle = (*map(float, numbers), 0.0)[:4]
    return Part(sprite, x, y, height, angle)


@cache
def _concepts_by_keyword() -> dict[str, Concept]:
    return {concept.keyword: concept for concept in concepts()}


@cache
def _situations_by_id() -> dict[str, Situation]:
    return {situation.id: situation for situation in situations()}


def concept(keyword: str) -> Concept:
    """The concept of a keyword; KeyError if there is none."""
    return _concepts_by_keyword()[keyword]


def situation(name: str) -> Situation:
    """The situation with this id (its name in situations.toml); KeyError if there is none."""
    return _situations_by_id()[name]


@cache
def study() -> tuple[Situation, ...]:
    """The twelve study situations in their order: ten value-laden, two control."""
    chosen = [situation for situation in situations() if situation.study is not None]
    return tuple(sorted(chosen, key=lambda situation: situation.study or 0))


@cache
def like_rates() -> dict[str, float]:
    """The demo VLM's authored like-rate for each value, 0–1 (data/likes.toml)."""
    rates: dict[str, float] = tomllib.loads((DATA / "likes.toml").read_text(encoding="utf-8"))["rate"]
    return rates
