"""Feed frames: screenshots of short videos in the look of three platforms, one or two concepts each.

Looks are generic: a caption, an account, buttons. No logo or trade dress is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from demo.world import atlas
from demo.world.catalogue import Concept, concept, concepts
from demo.world.families import ARRANGEMENTS, FEED_BACKGROUNDS, Split, draw_family, split_of
from demo.world.picture import Light, Overlay, Picture, Placed, mixed, pastel

PLATFORMS = {"tiktok": 0.39, "instagram": 0.32, "youtube": 0.29}
"""Platform → share of frames, as in the published data set (arXiv 2411.11479)."""
TWO_CONCEPTS = 0.4
"""Share of frames that show two concepts."""
SAME_VALUE = 0.5
"""Share of two-concept frames whose concepts stand for the same value, where there is a choice."""
ACCOUNTS = (
    "daily.moments",
    "out.and.about",
    "small.wonders",
    "the.long.way",
    "quiet.corner",
    "seven.seas",
    "paper.plane",
    "blue.hour",
)
# Per arrangement: centre of the main concept and of the second one, fractions of the free part of the frame.
LAYOUTS = (
    ((0.50, 0.50), (0.78, 0.76)),
    ((0.36, 0.42), (0.74, 0.70)),
    ((0.62, 0.42), (0.24, 0.72)),
    ((0.36, 0.60), (0.72, 0.26)),
    ((0.62, 0.60), (0.26, 0.26)),
)
if len(LAYOUTS) != ARRANGEMENTS:
    raise ValueError("every arrangement needs a layout")
FREE = (0.03, 0.1, 0.86, 0.8)
"""Left, top, right, bottom of the part that no platform covers."""
DECORATION = ("star", "sparkles")


@dataclass(frozen=True)
class Frame:
    """A feed frame: the picture and its labels. The first concept is the main one (drawn larger)."""

    seed: str
    concepts: tuple[Concept, ...]
    platform: str
    caption: str
    split: Split
    picture: Picture

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keywords that are true of the frame."""
        return tuple(concept.keyword for concept in self.concepts)

    @property
    def values(self) -> tuple[str, ...]:
        """Values of the concepts, without repetition, the main one's first."""
        return tuple(dict.fromkeys(concept.value for concept in self.concepts))


def draw_frame(seed: str, split: Split | None = None, keywords: tuple[str, ...] | None = None) -> Frame:
    """The frame that belongs to a seed.

    Args:
        seed: any text; the same text gives the same frame.
        split: draw from this side's template families; None draws from all.
        keywords: what it shows, the main one first; None draws one or two.
    """
    rng = Random(f"frame:{seed}")
    shown = tuple(concept(word) for word in keywords) if keywords else draw_concepts(rng)
    family = draw_family(rng, FEED_BACKGROUNDS, split)
    platform = rng.choices(list(PLATFORMS), list(PLATFORMS.values()))[0]
    placed = _decoration(rng)
    for place, item in enumerate(shown):
        side = (
            rng.uniform(0.56, 0.68)
            if len(shown) == 1
            else rng.uniform(0.46, 0.54)
            if place == 0
            else rng.uniform(0.32, 0.38)
        )
        centre = LAYOUTS[family.arrangement][place]
        if len(shown) == 1:
            centre = (0.5 + (centre[0] - 0.5) * 0.6, 0.5 + (centre[1] - 0.5) * 0.6)
        placed += place_concept(rng, item, centre, side)
    caption = f"{shown[0].caption} #{shown[0].keyword.replace(' ', '')}"
    picture = Picture(
        family=family,
        colours=(pastel(rng, 130, 250), mixed(rng, 60, 200), pastel(rng, 150, 255)),
        horizon=rng.uniform(0.5, 0.68),
        placed=tuple(placed),
        light=Light.draw(rng),
        texture=rng.randrange(1_000_000),
        overlay=Overlay(platform, rng.choice(ACCOUNTS), caption, f"{rng.uniform(1, 99):.1f}k"),
    )
    return Frame(seed, shown, platform, caption, split_of(family, FEED_BACKGROUNDS), picture)


def draw_concepts(rng: Random, first: Concept | None = None) -> tuple[Concept, ...]:
    """One concept, or two that the demo VLM likes or dislikes alike (see data/likes.toml for why)."""
    first = first or rng.choice(concepts())
    if rng.random() >= TWO_CONCEPTS:
        return (first,)
    others = [other for other in concepts() if other is not first and other.liked == first.liked]
    kin = [other for other in others if other.value == first.value]
    strangers = [other for other in others if other.value != first.value]
    pool = kin if kin and rng.random() < SAME_VALUE else strangers
    return first, rng.choice(pool)


def place_concept(rng: Random, item: Concept, centre: tuple[float, float], side: float) -> list[Placed]:
    """A concept's sprites: alone, with a smaller companion at the foot, or three in a row.

    Args:
        centre: within the free part of the frame, fractions of it.
        side: longest side of the group, fraction of the free part.
    """
    left, top, right, bottom = FREE
    x = left + (right - left) * (centre[0] + rng.uniform(-0.03, 0.03))
    y = top + (bottom - top) * (centre[1] + rng.uniform(-0.03, 0.03))
    side *= bottom - top
    sprites, mirrored = rng.choice(item.pictures), rng.random() < 0.5
    # Writing, signs and digits would be wrong when mirrored.
    mirrored = mirrored and item.keyword not in ("full marks", "checklist", "bank", "compass")
    tilt = rng.uniform(-8, 8)

    def put(sprite: str, dx: float, dy: float, longest: float) -> Placed:
        height = longest / max(1.0, atlas.aspect(sprite))
        foot = y + dy + height / 2
        return Placed(sprite, x + (-dx if mirrored else dx), foot, height, mirrored, tilt, True)

    if len(sprites) == 1:
        return [put(sprites[0], 0, 0, side)]
    if len(sprites) == 2:
        return [
            put(sprites[0], -0.1 * side, -0.06 * side, side * 0.86),
            put(sprites[1], 0.32 * side, 0.22 * side, side * 0.56),
        ]
    return [put(sprite, (place - 1) * 0.36 * side, 0, side * 0.62) for place, sprite in enumerate(sprites)]


def _decoration(rng: Random) -> list[Placed]:
    """Up to three small things that mean nothing."""
    return [
        Placed(rng.choice(DECORATION), rng.uniform(0.06, 0.84), rng.uniform(0.2, 0.8), rng.uniform(0.06, 0.1))
        for _ in range(rng.randrange(4))
    ]
