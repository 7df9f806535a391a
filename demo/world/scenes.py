"""Home scenes: a room, a situation in it, and things that don't matter.

A scene is a pure function of its seed (and of the situation and split asked for): `random.Random` seeded with text
uses SHA-512, so seeds mean the same on every machine and in every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from demo.world.catalogue import Situation, situation, situations, study
from demo.world.families import ARRANGEMENTS, ROOM_BACKGROUNDS, Split, draw_family, split_of
from demo.world.picture import Light, Picture, Placed, toned

CONTROL_SHARE = 0.3
"""Share of scenes in which nothing needs attention, where no situation is asked for."""

# Furniture at the back wall (sprite, height) and small things on floor or wall that no situation is about.
FURNITURE: dict[str, tuple[tuple[str, float], ...]] = {
    "kitchen": (("fridge", 0.5), ("cupboard", 0.4), ("basin", 0.24)),
    "living room": (("television", 0.26), ("cupboard", 0.42), ("door", 0.46)),
    "bedroom": (("bed", 0.27), ("wardrobe", 0.48), ("bed", 0.3)),
    "bathroom": (("toilet", 0.28), ("bathtub", 0.22), ("basin", 0.24)),
}
SMALL: dict[str, tuple[str, ...]] = {
    "kitchen": ("apple", "pear", "lemon", "bread", "mug", "broom", "sponge"),
    "living room": ("ball", "books", "socks", "mug", "broom"),
    "bedroom": ("ball", "books", "socks", "tshirt", "star"),
    "bathroom": ("soap", "sponge", "socks", "tissues"),
}
WALL: dict[str, tuple[str, ...]] = {
    "kitchen": ("window", "frame"),
    "living room": ("window", "frame", "mirror"),
    "bedroom": ("window", "frame", "mirror"),
    "bathroom": ("mirror", "window"),
}
# Where things stand in each arrangement: anchor of the situation, furniture, wall item (fractions of the width).
LAYOUTS = ((0.5, 0.14, 0.8), (0.4, 0.85, 0.2), (0.6, 0.16, 0.72), (0.44, 0.8, 0.5), (0.56, 0.22, 0.55))
if len(LAYOUTS) != ARRANGEMENTS:
    raise ValueError("every arrangement needs a layout")


@dataclass(frozen=True)
class Scene:
    """A home scene: the picture and its truth."""

    seed: str
    situation: Situation
    room: str
    split: Split
    picture: Picture


def draw_scene(seed: str, split: Split | None = None, of: str | None = None, room: str | None = None) -> Scene:
    """The scene that belongs to a seed.

    Args:
        seed: any text; the same text gives the same scene.
        split: draw from this side's template families; None draws from all.
        of: id of the situation; None draws one, `CONTROL_SHARE` of them control.
        room: None draws one of the situation's rooms.
    """
    rng = Random(f"scene:{seed}")
    chosen = situation(of) if of is not None else _draw_situation(rng)
    room = room or rng.choice(chosen.rooms)
    family = draw_family(rng, ROOM_BACKGROUNDS, split)
    anchor, furniture, wall = LAYOUTS[family.arrangement]
    if rng.random() < 0.5:
        anchor, furniture, wall = 1 - anchor, 1 - furniture, 1 - wall
    horizon = rng.uniform(0.52, 0.6)
    subject = place_parts(rng, chosen, anchor)
    placed = [*_back(rng, chosen, room, horizon, furniture, wall), *subject]
    placed += _litter(rng, chosen, room, subject)
    tiled = room in ("kitchen", "bathroom")
    wall_colour = toned(rng, (0, 1), (0.08, 0.3), (0.82, 0.98))
    floor_colour = (
        toned(rng, (0, 1), (0.05, 0.2), (0.6, 0.85)) if tiled else toned(rng, (0.03, 0.12), (0.25, 0.55), (0.45, 0.8))
    )
    picture = Picture(
        family=family,
        colours=(wall_colour, floor_colour),
        horizon=horizon,
        placed=tuple(placed),
        light=Light.draw(rng),
        texture=rng.randrange(1_000_000),
        floor="checks" if tiled else "planks",
    )
    return Scene(seed, chosen, room, split_of(family, ROOM_BACKGROUNDS), picture)


def _draw_situation(rng: Random) -> Situation:
    control = rng.random() < CONTROL_SHARE
    return rng.choice([s for s in situations() if s.control == control])


def place_parts(rng: Random, chosen: Situation, anchor: float) -> list[Placed]:
    """The situation's sprites around the anchor, jittered, mirrored half the time, and kept inside the picture."""
    base, scale, mirrored = rng.uniform(0.84, 0.93), rng.uniform(0.9, 1.12), rng.random() < 0.5
    side = -1 if mirrored else 1
    parts = [
        Placed(
            sprite=part.sprite,
            x=anchor + side * part.x * scale + rng.uniform(-0.012, 0.012),
            y=base - part.y * scale + rng.uniform(-0.006, 0.006),
            height=part.height * scale,
            mirrored=mirrored,
            angle=side * part.angle + (rng.uniform(-4, 4) if part.angle else 0),
            subject=True,
        )
        for part in chosen.parts
    ]
    left, right = min(p.box()[0] for p in parts), max(p.box()[2] for p in parts)
    top = min(p.box()[1] for p in parts)
    dx = max(0.0, 0.02 - left) - max(0.0, right - 0.98)
    dy = max(0.0, 0.03 - top)
    return [Placed(p.sprite, p.x + dx, p.y + dy, p.height, p.mirrored, p.angle, True) for p in parts]


def _back(rng: Random, chosen: Situation, room: str, horizon: float, furniture: float, wall: float) -> list[Placed]:
    """Furniture along the wall and something on it, except what the situation itself is about."""
    in_situation = {part.sprite for part in chosen.parts}
    placed = []
    if not any("window" in sprite for sprite in in_situation):
        item = rng.choice(WALL[room])
        placed.append(
            Placed(item, wall + rng.uniform(-0.04, 0.04), horizon - rng.uniform(0.12, 0.18), rng.uniform(0.22, 0.3))
        )
    pieces = [
        piece
        for piece in FURNITURE[room]
        if piece[0] not in in_situation and not (piece[0] == "fridge" and "open_fridge" in in_situation)
    ]
    if room == "bathroom" and in_situation & {"bathtub", "toilet", "basin"}:
        pieces = [("cupboard", 0.4)]
    sprite, height = rng.choice(pieces)
    placed.append(
        Placed(
            sprite,
            furniture + rng.uniform(-0.04, 0.04),
            horizon + 0.05,
            height * rng.uniform(0.9, 1.1),
            rng.random() < 0.5,
        )
    )
    others = [piece for piece in pieces if piece[0] != sprite]
    if others and rng.random() < 0.5:
        sprite, height = rng.choice(others)
        placed.append(
            Placed(
                sprite,
                1 - furniture + rng.uniform(-0.05, 0.05),
                horizon + 0.05,
                height * rng.uniform(0.8, 1.0),
                rng.random() < 0.5,
            )
        )
    return placed


def _litter(rng: Random, chosen: Situation, room: str, subject: list[Placed]) -> list[Placed]:
    """Up to three small things beside the subject."""
    in_situation = {part.sprite for part in chosen.parts}
    pool = [sprite for sprite in SMALL[room] if sprite not in in_situation]
    boxes = [part.box() for part in subject]
    left, right = min(b[0] for b in boxes), max(b[2] for b in boxes)
    placed: list[Placed] = []
    for _ in range(rng.randrange(4)):
        height = rng.uniform(0.09, 0.13)
        x, y = rng.uniform(0.06, 0.94), rng.uniform(0.72, 0.97)
        free = x + height / 2 < left or x - height / 2 > right or y - height > max(b[3] for b in boxes) - 0.02
        if free and all(abs(x - other.x) > 0.12 for other in placed):
            placed.append(Placed(rng.choice(pool), x, y, height, rng.random() < 0.5))
    return placed


def study_scenes(seed: int) -> list[Scene]:
    """The twelve study scenes, drawn from held-out families, so no model trained here has seen their like."""
    return [draw_scene(f"study:{seed}:{s.study}", Split.HELD_OUT, s.id) for s in study()]
