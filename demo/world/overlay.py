"""What a short-video platform puts over a frame: caption, account and buttons, in three generic looks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from demo.world.picture import Overlay

WHITE, BLACK, GREY, RED = (255, 255, 255, 255), (20, 20, 20, 255), (120, 120, 120, 255), (230, 40, 60, 255)
Pen = ImageDraw.ImageDraw
DETAIL = 4
"""Fixed parts are drawn this many times larger and reduced once, for smooth edges."""

# Where account, caption and number of likes begin, fractions of the frame.
TEXTS = {
    "tiktok": ((0.03, 0.84), (0.03, 0.908), (0.905, 0.505)),
    "instagram": ((0.14, 0.02), (0.03, 0.905), (0.27, 0.836)),
    "youtube": ((0.14, 0.84), (0.03, 0.912), (0.905, 0.505)),
}


@cache
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own face, so that no font has to be installed."""
    return ImageFont.load_default(max(4, pixels))


def draw_overlay(image: Image.Image, overlay: Overlay) -> None:
    """Draw the platform's look over an RGB picture, in place."""
    size = image.width
    fixed = _fixed(overlay.platform, size)
    image.paste(fixed, (0, 0), fixed)
    draw = ImageDraw.Draw(image)
    ink = BLACK[:3] if overlay.platform == "instagram" else WHITE[:3]
    name, caption, likes = TEXTS[overlay.platform]
    for (x, y), text, height in (
        (name, overlay.account, 0.044),
        (caption, overlay.caption, 0.038),
        (likes, overlay.likes, 0.034),
    ):
        draw.text((x * size, y * size), text, ink, _font(round(height * size)))


@cache
def _fixed(platform: str, size: int) -> Image.Image:
    """The part that is the same on every frame of a platform, RGBA."""
    side = size * DETAIL
    image = Image.new("RGBA", (side, side))
    LOOKS[platform](image, ImageDraw.Draw(image), side)
    return image.resize((size, size), Image.Resampling.BOX)


def _shadow(image: Image.Image, top: float) -> None:
    """Darken the lower part gradually, so that white text can be read."""
    side = image.width
    height = side - round(top * side)
    ramp = Image.linear_gradient("L").resize((side, height)).point([round(level * 0.75) for level in range(256)])
    dark = Image.new("RGBA", (side, height), (0, 0, 0, 255))
    dark.putalpha(ramp)
    image.paste(dark, (0, side - height))


def _heart(draw: Pen, x: float, y: float, r: float, fill: tuple[int, int, int, int]) -> None:
    draw.ellipse((x - r, y - r, x, y), fill)
    draw.ellipse((x, y - r, x + r, y), fill)
    draw.polygon([(x - r * 0.95, y - r * 0.3), (x + r * 0.95, y - r * 0.3), (x, y + r)], fill)


def _bubble(draw: Pen, x: float, y: float, r: float, fill: tuple[int, int, int, int]) -> None:
    draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.7), fill)
    draw.polygon([(x - r * 0.6, y), (x, y + r * 0.4), (x - r * 0.7, y + r)], fill)


def _arrow(draw: Pen, x: float, y: float, r: float, fill: tuple[int, int, int, int]) -> None:
    draw.polygon([(x, y - r * 0.8), (x + r, y), (x, y + r * 0.8)], fill)
    draw.rectangle((x - r, y - r * 0.3, x, y + r * 0.3), fill)


def _thumb(draw: Pen, x: float, y: float, r: float, up: bool) -> None:
    s = 1 if up else -1
    draw.polygon(
        [
            (x - r * 0.4, y),
            (x, y - s * r),
            (x + r * 0.3, y - s * r),
            (x + r * 0.2, y - s * r * 0.2),
            (x + r, y - s * r * 0.2),
            (x + r * 0.7, y + s * r),
            (x - r * 0.4, y + s * r),
        ],
        WHITE,
    )
    draw.rectangle((x - r, min(y, y + s * r), x - r * 0.55, max(y, y + s * r)), WHITE)


def _tiktok(image: Image.Image, draw: Pen, side: int) -> None:
    _shadow(image, 0.76)
    x, r = 0.935 * side, 0.036 * side
    draw.ellipse((x - r, 0.31 * side - r, x + r, 0.31 * side + r), WHITE)
    draw.ellipse((x - r * 0.85, 0.31 * side - r * 0.85, x + r * 0.85, 0.31 * side + r * 0.85), (90, 150, 200, 255))
    draw.ellipse((x - r * 0.4, 0.375 * side - r * 0.7, x + r * 0.4, 0.375 * side), RED)
    _heart(draw, x, 0.465 * side, r, WHITE)
    _bubble(draw, x, 0.6 * side, r, WHITE)
    _arrow(draw, x, 0.72 * side, r, WHITE)
    draw.ellipse((x - r, 0.9 * side - r, x + r, 0.9 * side + r), (30, 30, 30, 255))
    draw.ellipse((x - r * 0.4, 0.9 * side - r * 0.4, x + r * 0.4, 0.9 * side + r * 0.4), (200, 160, 60, 255))
    font = _font(round(0.04 * side))
    draw.text((0.27 * side, 0.03 * side), "Following", (255, 255, 255, 190), font)
    draw.text((0.5 * side, 0.03 * side), "For you", WHITE, font)
    draw.rectangle((0.525 * side, 0.085 * side, 0.6 * side, 0.092 * side), WHITE)


def _instagram(image: Image.Image, draw: Pen, side: int) -> None:
    draw.rectangle((0, 0, side, 0.095 * side), WHITE)
    draw.rectangle((0, 0.82 * side, side, side), WHITE)
    c, r = (0.075 * side, 0.048 * side), 0.036 * side
    draw.ellipse((c[0] - r, c[1] - r, c[0] + r, c[1] + r), (225, 110, 90, 255))
    draw.ellipse((c[0] - r * 0.82, c[1] - r * 0.82, c[0] + r * 0.82, c[1] + r * 0.82), (250, 225, 190, 255))
    for i in range(3):
        x = (0.9 + i * 0.025) * side
        draw.ellipse((x - 0.007 * side, 0.041 * side, x + 0.007 * side, 0.055 * side), BLACK)
    y, r = 0.855 * side, 0.025 * side
    _heart(draw, 0.06 * side, y, r, RED)
    _bubble(draw, 0.14 * side, y, r, BLACK)
    _arrow(draw, 0.22 * side, y, r, BLACK)
    draw.polygon(
        [
            (0.92 * side, 0.83 * side),
            (0.955 * side, 0.83 * side),
            (0.955 * side, 0.885 * side),
            (0.9375 * side, 0.865 * side),
            (0.92 * side, 0.885 * side),
        ],
        BLACK,
    )


def _youtube(image: Image.Image, draw: Pen, side: int) -> None:
    _shadow(image, 0.76)
    x, r = 0.935 * side, 0.034 * side
    _thumb(draw, x, 0.46 * side, r, True)
    _thumb(draw, x, 0.58 * side, r, False)
    _bubble(draw, x, 0.69 * side, r, WHITE)
    _arrow(draw, x, 0.79 * side, r, WHITE)
    c, r = (0.08 * side, 0.865 * side), 0.034 * side
    draw.ellipse((c[0] - r, c[1] - r, c[0] + r, c[1] + r), (120, 180, 130, 255))
    draw.rounded_rectangle((0.55 * side, 0.838 * side, 0.76 * side, 0.892 * side), 0.027 * side, WHITE)
    draw.text((0.572 * side, 0.843 * side), "Subscribe", BLACK, _font(round(0.038 * side)))
    draw.rectangle((0, 0.985 * side, side, side), (90, 90, 90, 255))
    draw.rectangle((0, 0.985 * side, 0.37 * side, side), RED)


LOOKS: dict[str, Callable[[Image.Image, Pen, int], None]] = {
    "tiktok": _tiktok,
    "instagram": _instagram,
    "youtube": _youtube,
}
