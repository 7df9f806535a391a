"""What an encoder sees of an image that isn't square: its middle, all of it with bars, or several squares."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

from PIL import Image

Fit = Literal["crop", "pad", "tiles"]
FIT = "?fit="
"""After the name of an encoder: how images that aren't square are brought to its square input."""

_ONE_VIEW = 1.5
"""Up to this ratio of the sides the middle square shows two thirds or more, and one view is enough."""
_MAX_TILES = 4


def split_fit(spec: str) -> tuple[str, Fit]:
    """The encoder's name and its fit, crop if it names none.

    Raises:
        ValueError: If there is no such fit.
    """
    name, _, fit = spec.partition(FIT)
    for known in get_args(Fit):
        if fit == known:
            return name, known
    if fit or spec.endswith(FIT):
        raise ValueError(f"there is no fit {fit or '(empty)'}; write {FIT}crop, {FIT}pad or {FIT}tiles after {name}")
    return name, "crop"


def views(picture: Image.Image, fit: Fit, bars: tuple[int, int, int]) -> Sequence[Image.Image]:
    """The images that are encoded for one image; its vector is their mean.

    crop: the image itself, of which the encoder's own transform takes the middle square. pad: the image in the middle
    of a square of the colour `bars`. tiles: squares beside each other along the longer side, 2 for a ratio of the sides
    over 1.5, up to 4, at equal distances from one end to the other; over a ratio of 4 there are gaps between them.
    """
    width, height = picture.size
    long, short = max(width, height), min(width, height)
    if fit == "pad" and long > short:
        square = Image.new("RGB", (long, long), bars)
        square.paste(picture, ((long - width) // 2, (long - height) // 2))
        return [square]
    if fit == "tiles" and long > _ONE_VIEW * short:
        count = min(math.ceil(long / short), _MAX_TILES)
        starts = [round(number * (long - short) / (count - 1)) for number in range(count)]
        boxes = [(start, 0, start + short, short) if width > height else (0, start, short, start + short)
                 for start in starts]  # fmt: skip
        return [picture.crop(box) for box in boxes]
    return [picture]
