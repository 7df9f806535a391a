"""The sprite atlas: named pictures, scaled, mirrored and turned, from one committed PNG.

Sprites come out of a cache, so that drawing a picture costs little more than pasting. Heights are rounded to a few
steps (two pixels) and angles to five degrees to keep the cache small; both are part of what a seed means.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent / "sprites"
ANGLE_STEP = 5
"""Degrees."""
HEIGHT_STEP = 2
"""Pixels."""


@cache
def index() -> dict[str, tuple[int, int, int, int]]:
    """Name → (left, top, width, height) in the atlas, pixels, in alphabetical order."""
    data = json.loads((HERE / "atlas.json").read_text(encoding="utf-8"))
    return {name: (x, y, w, h) for name, (x, y, w, h) in data["sprites"].items()}


@cache
def names() -> tuple[str, ...]:
    """All sprite names, alphabetical; a sprite's number is its place here."""
    return tuple(index())


@cache
def _atlas() -> Image.Image:
    with Image.open(HERE / "atlas.png") as image:
        return image.convert("RGBA")


def aspect(name: str) -> float:
    """Width over height of an upright sprite.

    Raises:
        KeyError: the atlas has no such sprite.
    """
    _, _, width, height = index()[name]
    return width / height


def sprite(name: str, height: float, mirrored: bool = False, angle: float = 0) -> Image.Image:
    """A sprite as RGBA.

    Args:
        name: as in sprites.toml or shapes.py.
        height: of the upright sprite, pixels (not of the turned one).
        mirrored: left and right exchanged.
        angle: degrees counter-clockwise; the result grows to hold the turned sprite.
    """
    pixels = max(4, round(height / HEIGHT_STEP) * HEIGHT_STEP)
    turn = round(angle / ANGLE_STEP) * ANGLE_STEP % 360
    return _scaled(name, pixels, mirrored, turn)


@lru_cache(maxsize=8_000)
def _scaled(name: str, height: int, mirrored: bool, angle: int) -> Image.Image:
    x, y, width, full = index()[name]
    image = _atlas().crop((x, y, x + width, y + full))
    size = (max(2, round(height * width / full)), height)
    image = image.resize(size, Image.Resampling.LANCZOS if height < full else Image.Resampling.BICUBIC)
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    return image
