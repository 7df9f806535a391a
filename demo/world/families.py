"""Template families, and the split by them.

A picture's template family is its background together with its arrangement (where things stand). Pictures of one
family look alike, so a split by rows would put near-copies on both sides. Here whole families are held out:

- one family in five among the ordinary backgrounds (each background and each arrangement is seen in training,
  but never these pairs), and
- every family of one background that training never shows.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import NamedTuple


class Split(StrEnum):
    """The side of a split that a family is on."""

    TRAIN = "train"
    HELD_OUT = "held-out"


ROOM_BACKGROUNDS = ("plain", "stripes", "panels", "tiles", "bands", "dots")
"""Wall patterns; the last is held out entirely."""
FEED_BACKGROUNDS = ("gradient", "meadow", "diagonals", "bokeh", "tiles", "rays")
"""Backgrounds of feed frames; the last is held out entirely."""
ARRANGEMENTS = 5
"""Arrangements, numbered from 0, for rooms and for feed frames."""


class Family(NamedTuple):
    """A template family."""

    background: str
    arrangement: int

    @property
    def name(self) -> str:
        """As written in manifests."""
        return f"{self.background}-{self.arrangement}"


def split_of(family: Family, backgrounds: tuple[str, ...]) -> Split:
    """The split that a family belongs to."""
    place = backgrounds.index(family.background)
    unseen = place == len(backgrounds) - 1
    return Split.HELD_OUT if unseen or (place + family.arrangement) % ARRANGEMENTS == 0 else Split.TRAIN


def families(backgrounds: tuple[str, ...], split: Split) -> tuple[Family, ...]:
    """All families of a split."""
    every = (Family(background, a) for background in backgrounds for a in range(ARRANGEMENTS))
    return tuple(family for family in every if split_of(family, backgrounds) is split)


def draw_family(rng: Random, backgrounds: tuple[str, ...], split: Split | None) -> Family:
    """A family of a split, or of any."""
    if split is None:
        return Family(rng.choice(backgrounds), rng.randrange(ARRANGEMENTS))
    return rng.choice(families(backgrounds, split))
