"""Backgrounds: rooms with six wall patterns and two floors, and six kinds of feed background."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random

from PIL import Image, ImageDraw

from demo.world.families import FEED_BACKGROUNDS, ROOM_BACKGROUNDS
from demo.world.picture import Colour, Picture, shade

Painter = Callable[[ImageDraw.ImageDraw, int, Picture], None]


def backdrop(picture: Picture, size: int) -> Image.Image:
    """The empty room or feed background, RGB, `size` × `size` pixels."""
    image = Image.new("RGB", (size, size), picture.colours[0])
    if picture.overlay is None:
        _room(image, picture)
    else:
        _feed(image, picture)
    return image


def _room(image: Image.Image, picture: Picture) -> None:
    draw, size = ImageDraw.Draw(image), image.width
    wall, floor = picture.colours[:2]
    edge = round(picture.horizon * size)
    WALLS[picture.family.background](draw, edge, picture)
    draw.rectangle((0, edge, size, size), floor)
    if picture.floor == "checks":
        _checks(draw, edge, size, floor)
    else:
        _planks(draw, edge, size, floor)
    board = max(1, size // 56)
    draw.rectangle((0, edge - board, size, edge), shade(wall, 0.72))


def _checks(draw: ImageDraw.ImageDraw, edge: int, size: int, floor: Colour) -> None:
    """Floor tiles in perspective: rows grow towards the viewer, columns meet at a point above the horizon."""
    dark, centre = shade(floor, 0.9), size / 2
    rows = [edge + (size - edge) * t for t in (0, 0.1, 0.24, 0.42, 0.66, 1)]
    for i, (top, bottom) in enumerate(pairwise(rows)):
        near, far = 0.55 + 0.65 * (bottom - edge) / (size - edge), 0.55 + 0.65 * (top - edge) / (size - edge)
        for j in range(-6, 6):
            if (i + j) % 2 == 0:
                step = size / 5
                points = [
                    (centre + j * step * far, top),
                    (centre + (j + 1) * step * far, top),
                    (centre + (j + 1) * step * near, bottom),
                    (centre + j * step * near, bottom),
                ]
                draw.polygon(points, dark)


def _planks(draw: ImageDraw.ImageDraw, edge: int, size: int, floor: Colour) -> None:
    line, width = shade(floor, 0.87), max(1, size // 110)
    for t in (0.12, 0.28, 0.48, 0.72):
        y = edge + (size - edge) * t
        draw.line((0, y, size, y), line, width)
    for i, t in enumerate((0.0, 0.12, 0.28, 0.48, 0.72)):
        y = edge + (size - edge) * t
        bottom = edge + (size - edge) * (0.12, 0.28, 0.48, 0.72, 1.0)[i]
        for j in range(4):
            x = size * (0.12 + j * 0.28 + (0.14 if i % 2 else 0))
            draw.line((x, y, x, bottom), line, width)


def _wall_plain(draw: ImageDraw.ImageDraw, edge: int, picture: Picture) -> None:
    size = draw.im.size[0]
    draw.rectangle((0, 0, size, size // 28), shade(picture.colours[0], 1.08))


def _wall_stripes(draw: ImageDraw.ImageDraw, edge: int, picture: Picture) -> None:
    size = draw.im.size[0]
    step = size / (7 + picture.texture % 5)
    for i in range(0, 14, 2):
        draw.rectangle((i * step, 0, (i + 1) * step - 1, edge), shade(picture.colours[0], 0.92))


def _wall_panels(draw: ImageDraw.ImageDraw, edge: int, picture: Picture) -> None:
    size, colour = draw.im.size[0], shade(picture.colours[0], 0.84)
    top = round(edge * 0.62)
    draw.rectangle((0, top, size, edge), colour)
    for i in range(6):
        x = (i + 0.15) * size / 5
        draw.rectangle(
            (x, top + size * 0.03, x + size * 0.14, edge - size * 0.035),
            outline=shade(colour, 0.88),
            width=max(1, size // 90),
        )


def _wall_tiles(draw: ImageDraw.ImageDraw, edge: int, picture: Picture) -> None:
    size, line = draw.im.size[0], shade(picture.colours[0], 0.9)
    step, width = size / (8 + picture.texture % 4), max(1, size // 110)
    for i in range(1, 13):
        draw.line((i * step, 0, i * step, edge), line, width)
        if i * step < edge:
            draw.line((0, i * step, size, i * step), line, width)


def _wall_bands(draw: ImageDraw.ImageDraw, edge: int, picture: Picture) -> None:
    size = draw.im.size[0]
    draw.rectangle((0, 0, size, round(edge * 0.3)), shade(picture.colours[0], 1.1))
    draw.rectangle((0, round(edge * 0.7), size, edge), shade(picture.colours[0], 0.88))


def _wall_dots(draw: ImageDraw.ImageDraw, edge: int, picture: Picture) -> None:
    size, colour = draw.im.size[0], shade(picture.colours[0], 0.87)
    step, radius = size / 10, size / 70
    for row in range(7):
        for column in range(11):
            x, y = (column + (0.5 if row % 2 else 0)) * step, (row + 0.5) * step
            if y < edge:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


WALLS: dict[str, Painter] = dict(
    zip(ROOM_BACKGROUNDS, (_wall_plain, _wall_stripes, _wall_panels, _wall_tiles, _wall_bands, _wall_dots), strict=True)
)


def _feed(image: Image.Image, picture: Picture) -> None:
    size = image.width
    first, second, _ = picture.colours
    ramp = Image.linear_gradient("L").resize((size, size))
    image.paste(
        Image.composite(
            Image.new("RGB", (size, size), shade(second, 1.25)), Image.new("RGB", (size, size), first), ramp
        )
    )
    FEEDS[picture.family.background](ImageDraw.Draw(image), size, picture)


def _feed_gradient(draw: ImageDraw.ImageDraw, size: int, picture: Picture) -> None:
    """Nothing over the gradient but a soft disc."""
    x, y, r = 0.45 * size, 0.45 * size, 0.36 * size
    draw.ellipse((x - r, y - r, x + r, y + r), shade(picture.colours[0], 1.06))


def _feed_meadow(draw: ImageDraw.ImageDraw, size: int, picture: Picture) -> None:
    ground, edge = picture.colours[1], picture.horizon * size
    draw.ellipse((-0.5 * size, edge - 0.05 * size, 0.9 * size, edge + size), shade(ground, 1.12))
    draw.ellipse((0.2 * size, edge, 1.6 * size, edge + size), ground)
    draw.ellipse((0.7 * size, 0.06 * size, 0.84 * size, 0.2 * size), shade(picture.colours[2], 1.2))


def _feed_diagonals(draw: ImageDraw.ImageDraw, size: int, picture: Picture) -> None:
    step, colour = size / (4 + picture.texture % 3), shade(picture.colours[0], 0.9)
    for i in range(-6, 9):
        x = 2 * i * step
        draw.polygon([(x, 0), (x + step, 0), (x + step - size, size), (x - size, size)], colour)


def _feed_bokeh(draw: ImageDraw.ImageDraw, size: int, picture: Picture) -> None:
    rng = Random(picture.texture)
    for _ in range(14):
        x, y, r = rng.random() * size, rng.random() * size, rng.uniform(0.04, 0.14) * size
        base = picture.colours[rng.randrange(3)]
        draw.ellipse((x - r, y - r, x + r, y + r), shade(base, rng.uniform(0.9, 1.2)))


def _feed_tiles(draw: ImageDraw.ImageDraw, size: int, picture: Picture) -> None:
    count = 5 + picture.texture % 4
    step = size / count
    for i in range(count):
        for j in range(count):
            if (i + j) % 2:
                draw.rectangle(
                    (i * step, j * step, (i + 1) * step - 1, (j + 1) * step - 1), shade(picture.colours[0], 0.93)
                )


def _feed_rays(draw: ImageDraw.ImageDraw, size: int, picture: Picture) -> None:
    centre, count = (0.45 * size, 0.5 * size), 9 + picture.texture % 4
    for i in range(count):
        a, b = 2 * math.pi * i / count, 2 * math.pi * (i + 0.5) / count
        far = 1.5 * size
        points = [
            centre,
            (centre[0] + far * math.cos(a), centre[1] + far * math.sin(a)),
            (centre[0] + far * math.cos(b), centre[1] + far * math.sin(b)),
        ]
        draw.polygon(points, shade(picture.colours[0], 0.92))


FEEDS: dict[str, Painter] = dict(
    zip(
        FEED_BACKGROUNDS,
        (_feed_gradient, _feed_meadow, _feed_diagonals, _feed_bokeh, _feed_tiles, _feed_rays),
        strict=True,
    )
)
