"""Sprites that no emoji exists for, drawn with plain shapes: furniture, windows, puddles and so on.

Used only when the atlas is built (``python -m demo.world.sprites.build``).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from PIL import Image

from demo.world.sprites.pad import SCALE, Pad

Drawing = Callable[[], Image.Image]


def stove() -> Image.Image:
    """A stove with an oven door."""
    pad = Pad(96, 92)
    pad.box((2, 6, 94, 92), "#d9dde2", 6, "#8d959e", 2)
    pad.box((2, 6, 94, 26), "#59616b", 6)
    for x in (16, 34, 62, 80):
        pad.oval((x - 5, 11, x + 5, 21), "#f2f2f2")
    pad.box((14, 38, 82, 84), "#2f353d", 5)
    pad.box((20, 44, 76, 70), "#5a2d1c", 3)
    pad.box((18, 31, 78, 35), "#8d959e", 2)
    pad.box((8, 0, 88, 8), "#22262b", 3)
    return pad.done()


def table() -> Image.Image:
    """A wooden table."""
    pad = Pad(104, 66)
    for x in (10, 86):
        pad.box((x, 12, x + 9, 66), "#8a5a33", 2)
    pad.box((0, 4, 104, 18), "#b67a45", 5, "#7a4c28", 1.5)
    return pad.done()


def basin() -> Image.Image:
    """A kitchen or bathroom counter with a basin."""
    pad = Pad(104, 72)
    pad.box((6, 14, 98, 72), "#e9e4da", 3, "#a69f92", 1.5)
    pad.line([(52, 18), (52, 70)], "#a69f92", 1.5)
    for x in (45, 59):
        pad.oval((x - 3, 38, x + 3, 44), "#8f877a")
    pad.box((0, 4, 104, 18), "#9aa7b1", 4, "#6d7983", 1.5)
    pad.box((26, 6, 78, 12), "#5f6b75", 3)
    return pad.done()


def bathtub() -> Image.Image:
    """A bathtub with water."""
    pad = Pad(124, 62)
    for x in (18, 98):
        pad.oval((x, 48, x + 12, 62), "#b08d3c")
    pad.box((6, 8, 118, 56), "#f7f9fb", 22, "#8fa3b3", 2)
    pad.box((0, 4, 124, 16), "#ffffff", 6, "#8fa3b3", 2)
    pad.box((12, 7, 112, 12), "#6cc3ea", 2)
    return pad.done()


def puddle(colour: str, light: str) -> Image.Image:
    """A puddle in two tones."""
    pad = Pad(124, 38)
    for xy in ((0, 8, 84, 36), (34, 2, 122, 30), (60, 14, 110, 38), (12, 2, 60, 26)):
        pad.oval(xy, colour)
    for xy in ((18, 12, 46, 18), (70, 8, 104, 13)):
        pad.oval(xy, light)
    return pad.done()


def rug(colour: str, trim: str) -> Image.Image:
    """A round rug with a trim."""
    pad = Pad(128, 32)
    pad.oval((0, 0, 128, 32), trim)
    pad.oval((6, 3, 122, 29), colour)
    pad.oval((26, 8, 102, 24), trim)
    pad.oval((32, 10, 96, 22), colour)
    return pad.done()


def window(sky: str, opened: bool, night: bool = False) -> Image.Image:
    """A window, by day or night, closed or with both wings open."""
    pad = Pad(96 if opened else 76, 84)
    left = 10 if opened else 0
    pad.box((left, 0, left + 76, 84), "#f4efe6", 3, "#8f8577", 2)
    pad.box((left + 7, 7, left + 69, 77), sky)
    if night:
        pad.oval((left + 38, 14, left + 60, 36), "#ffe9a3")
        pad.oval((left + 32, 12, left + 52, 32), sky)
        for x, y in ((16, 20), (24, 50), (52, 58), (30, 32), (60, 46)):
            pad.oval((left + x, y, left + x + 3, y + 3), "#ffffff")
    else:
        pad.oval((left + 16, 18, left + 40, 30), "#ffffff")
        pad.oval((left + 28, 14, left + 56, 30), "#ffffff")
        pad.box((left + 7, 62, left + 69, 77), "#8cc97a")
    if opened:
        pad.polygon([(left + 7, 7), (0, 0), (0, 84), (left + 7, 77)], "#b9ae9c")
        pad.polygon([(left + 69, 7), (96, 0), (96, 84), (left + 69, 77)], "#b9ae9c")
        pad.polygon([(left + 71, 14), (93, 9), (93, 75), (left + 71, 70)], "#dcecf5")
    else:
        pad.line([(left + 38, 4), (left + 38, 80)], "#f4efe6", 5)
        pad.line([(left + 4, 42), (left + 72, 42)], "#f4efe6", 5)
    return pad.done()


def curtain() -> Image.Image:
    """A red curtain on a rod."""
    pad = Pad(58, 120)
    pad.box((0, 0, 58, 6), "#7a5a36", 3)
    pad.box((4, 4, 54, 120), "#c8434f", 4)
    for x in (14, 26, 38, 48):
        pad.line([(x, 8), (x - 3, 118)], "#9d2f3a", 3)
    return pad.done()


def fridge(opened: bool) -> Image.Image:
    """A fridge, closed or open."""
    pad = Pad(96 if opened else 60, 124)
    pad.box((2, 0, 58, 124), "#e6ebef", 5, "#8d979f", 2)
    if opened:
        pad.box((8, 8, 54, 116), "#fdf6cf", 2)
        for y in (42, 76):
            pad.box((8, y, 54, y + 3), "#b9c4cc")
        for x, y, colour in (
            (12, 28, "#d6453c"),
            (28, 24, "#62a84f"),
            (40, 30, "#e8b23a"),
            (14, 60, "#5b8fd0"),
            (34, 58, "#e0773a"),
            (20, 96, "#8d5bb0"),
            (40, 98, "#62a84f"),
        ):
            pad.box((x, y, x + 10, y + (14 if y < 90 else 18)), colour, 3)
        pad.polygon([(58, 2), (94, 12), (94, 122), (58, 122)], "#c3ccd3")
        pad.polygon([(64, 16), (89, 22), (89, 112), (64, 112)], "#eef2f5")
    else:
        pad.line([(3, 44), (57, 44)], "#8d979f", 2)
        pad.box((48, 20, 52, 38), "#8d979f", 2)
        pad.box((48, 52, 52, 76), "#8d979f", 2)
    return pad.done()


def cupboard(colour: str, dark: str) -> Image.Image:
    """A cupboard with two doors."""
    pad = Pad(84, 112)
    pad.box((0, 0, 84, 112), colour, 4, dark, 2)
    pad.line([(42, 4), (42, 108)], dark, 2)
    for x in (8, 48):
        pad.box((x, 10, x + 28, 100), colour, 3, dark, 1.5)
    for x in (37, 47):
        pad.oval((x - 2, 54, x + 2, 60), dark)
    return pad.done()


def socket() -> Image.Image:
    """A wall socket."""
    pad = Pad(48, 48)
    pad.box((0, 0, 48, 48), "#fbfbfb", 8, "#8c8c8c", 3)
    pad.oval((8, 8, 40, 40), "#e3e3e3", "#9a9a9a", 2)
    pad.oval((15, 20, 21, 28), "#333333")
    pad.oval((27, 20, 33, 28), "#333333")
    return pad.done()


def scribble() -> Image.Image:
    """Crayon lines on a wall."""
    pad, rng = Pad(100, 84), random.Random("scribble")
    for colour in ("#d43d3d", "#2f6fd0", "#3a9b45"):
        x, y = rng.uniform(14, 40), rng.uniform(20, 64)
        points = [(x, y)]
        for i in range(11):
            x += rng.uniform(2, 10)
            points.append((min(x, 96), 42 + (30 if i % 2 else -30) * rng.uniform(0.3, 1)))
        pad.line(points, colour, 4)
    pad.oval((60, 8, 84, 32), "#00000000", "#e0912f", 4)
    return pad.done()


def shards() -> Image.Image:
    """Splinters of glass."""
    pad, rng = Pad(124, 64), random.Random("shards")
    for i in range(13):
        x, y, r = rng.uniform(12, 112), rng.uniform(14, 54), rng.uniform(7, 14)
        points = [(x + rng.uniform(-r, r), y + rng.uniform(-r, r) * 0.7) for _ in range(3)]
        pad.polygon(points, ("#9fd4ee", "#d6f0fb", "#6fb4d6")[i % 3])
        pad.line([*points, points[0]], "#4f88a6", 1.2)
    return pad.done()


def smoke() -> Image.Image:
    """A column of smoke."""
    pad = Pad(84, 110)
    for x, y, r, colour in (
        (40, 96, 12, "#6d6d70"),
        (48, 78, 17, "#7c7c80"),
        (34, 60, 20, "#8b8b8f"),
        (52, 40, 23, "#98989c"),
        (34, 24, 22, "#a8a8ac"),
    ):
        pad.oval((x - r, y - r, x + r, y + r), colour)
        pad.oval((x - r * 0.5, y - r * 0.7, x + r * 0.4, y), "#b9b9bd")
    return pad.done()


def trash_can() -> Image.Image:
    """A trash can."""
    pad = Pad(72, 90)
    pad.polygon([(6, 16), (66, 16), (58, 90), (14, 90)], "#6b7680")
    for x in (22, 36, 50):
        pad.line([(x, 22), (36 + (x - 36) * 0.8, 86)], "#47505a", 4)
    pad.box((0, 8, 72, 20), "#88949f", 5, "#47505a", 1.5)
    return pad.done()


def tap() -> Image.Image:
    """A running tap."""
    pad = Pad(84, 96)
    pad.line([(66, 92), (66, 30), (58, 20), (40, 18), (26, 22), (22, 40)], "#7f8b96", 14)
    pad.line([(66, 90), (66, 32), (57, 22), (40, 20)], "#c3ccd4", 4)
    pad.box((50, 2, 84, 12), "#7f8b96", 5)
    pad.box((63, 8, 70, 22), "#7f8b96")
    pad.box((13, 36, 32, 44), "#5f6a74", 2)
    pad.box((17, 44, 28, 96), "#56b4e9", 4)
    pad.line([(21, 46), (21, 92)], "#c5eafa", 2.5)
    return pad.done()


def bottle() -> Image.Image:
    """A bottle of cleaner with a warning sign."""
    pad = Pad(56, 96)
    pad.box((8, 34, 48, 96), "#3a7bd5", 9, "#1f4d8f", 2)
    pad.box((20, 16, 36, 38), "#3a7bd5")
    pad.box((10, 4, 44, 18), "#e5484d", 4)
    pad.box((2, 6, 14, 12), "#e5484d", 2)
    pad.box((12, 48, 44, 82), "#ffffff", 4)
    pad.polygon([(28, 52), (41, 78), (15, 78)], "#f2b01e")
    pad.line([(28, 60), (28, 69)], "#222222", 3.5)
    pad.oval((26, 72, 30, 76), "#222222")
    return pad.done()


def pot() -> Image.Image:
    """An empty flower pot."""
    pad = Pad(72, 60)
    pad.polygon([(8, 10), (64, 10), (56, 60), (16, 60)], "#c46a3a")
    pad.box((2, 0, 70, 14), "#d97f4c", 3, "#9a4d26", 1.5)
    return pad.done()


def plates() -> Image.Image:
    """A pile of used plates."""
    pad = Pad(96, 80)
    for i in range(6):
        y, shift = 62 - i * 10, (0, 5, -4, 3, -5, 2)[i]
        pad.oval((8 + shift, y, 88 + shift, y + 17), "#fafafa", "#8fa0ad", 1.8)
        pad.oval((26 + shift, y + 4, 70 + shift, y + 11), "#d8c7a0" if i % 2 else "#e3e8ec")
    pad.oval((34, 14, 56, 22), "#a5652a")
    return pad.done()


def fishbowl() -> Image.Image:
    """A bowl of water."""
    pad = Pad(88, 80)
    pad.oval((2, 4, 86, 80), "#dff1fa", "#6fa8c4", 2.5)
    pad.draw.chord((6 * SCALE, 8 * SCALE, 82 * SCALE, 77 * SCALE), 0, 180, "#69bfe6")
    pad.box((22, 0, 66, 8), "#dff1fa", 3, "#6fa8c4", 2)
    pad.oval((26, 66, 62, 76), "#cdb486")
    return pad.done()


SHAPES: dict[str, Drawing] = {
    "stove": stove,
    "table": table,
    "basin": basin,
    "bathtub": bathtub,
    "puddle": partial(puddle, "#58b7e8", "#c5eafa"),
    "puddle_dirty": partial(puddle, "#8a7a4a", "#b5a572"),
    "puddle_brown": partial(puddle, "#5b3a21", "#8a5f3c"),
    "rug": partial(rug, "#b5533c", "#e8c48a"),
    "window": partial(window, "#9fd6f5", False),
    "night_window": partial(window, "#1c2550", False, True),
    "open_window": partial(window, "#8ecbf0", True),
    "curtain": curtain,
    "fridge": partial(fridge, False),
    "open_fridge": partial(fridge, True),
    "cupboard": partial(cupboard, "#c9a06c", "#7d5a2f"),
    "wardrobe": partial(cupboard, "#9a7350", "#5c4027"),
    "socket": socket,
    "scribble": scribble,
    "shards": shards,
    "smoke": smoke,
    "trash_can": trash_can,
    "tap": tap,
    "bottle": bottle,
    "flowerpot": pot,
    "plates": plates,
    "fishbowl": fishbowl,
}
