"""People: an emoji head on a drawn body."""

from __future__ import annotations

from PIL import Image

from demo.world.sprites.pad import Pad

BUILDS = {"adult": (128, 58), "child": (104, 58), "baby": (84, 52), "kneeling": (104, 56)}
"""Height of the figure and of its head, pixels."""


def figure(head: Image.Image, build: str, shirt: str) -> Image.Image:
    """An emoji head on a drawn body.

    Args:
        head: the trimmed glyph.
        build: adult, child, baby or kneeling; smaller bodies have bigger heads.
        shirt: colour of the shirt.
    """
    skin, trousers, shoes = "#fbc02d" if _is_smiley(head) else "#e8b48a", "#3d4656", "#4a3426"
    height, head_height = BUILDS[build]
    pad = Pad(92, height)
    neck = head_height - 6
    floor = height - 2
    waist = neck + (floor - neck) * 0.58
    if build in ("baby", "kneeling"):
        pad.oval((12, floor - 24, 80, floor), shirt if build == "baby" else trousers)
        pad.box((26, neck, 66, floor - 6), shirt, 14)
        for x in (14, 66):
            pad.oval((x, floor - 14, x + 14, floor), skin if build == "baby" else shoes)
    else:
        for x in (31, 48):
            pad.box((x, waist - 4, x + 13, floor - 3), trousers, 3)
            pad.oval((x - 3, floor - 8, x + 14, floor + 1), shoes)
        pad.box((27, neck, 65, waist + 3), shirt, 11)
    arm = neck + (waist - neck) * 0.85
    pad.line([(30, neck + 8), (19, arm)], shirt, 10)
    pad.line([(62, neck + 8), (73, arm)], shirt, 10)
    for x in (19, 73):
        pad.oval((x - 5.5, arm - 3, x + 5.5, arm + 8), skin)
    body = pad.done()
    width = round(head.width * head_height / head.height)
    face = head.resize((width, head_height), Image.Resampling.LANCZOS)
    body.alpha_composite(face, ((92 - width) // 2, 0))
    return body


def _is_smiley(head: Image.Image) -> bool:
    """Whether the glyph is a yellow face: then hands are yellow too."""
    red, green, blue, alpha = head.resize((9, 9)).getpixel((4, 7))  # type: ignore[misc]  # RGBA gives four bands
    return bool(alpha > 200 and red > 220 and green > 150 and blue < 110)
