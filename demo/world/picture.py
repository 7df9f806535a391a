"""A picture as data: what stands where, under which light. Painting it at any size is `demo.world.paint`.

Coordinates are fractions of the (square) picture, x to the right and y downwards, so one picture can be painted small
for training and large for people.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from random import Random

from demo.world import atlas
from demo.world.families import Family

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Placed:
    """A sprite in the picture.

    `x`, `y` is the centre of its foot (bottom middle), `height` that of the upright sprite; `angle` in degrees
    counter-clockwise. `subject` marks what the picture is about, as opposed to furniture and distractors.
    """

    sprite: str
    x: float
    y: float
    height: float
    mirrored: bool = False
    angle: float = 0
    subject: bool = False

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the upright sprite, fractions of the picture."""
        width = self.height * atlas.aspect(self.sprite)
        height = self.height
        if self.angle % 180 > 45 and self.angle % 180 < 135:
            width, height = height, width
        return self.x - width / 2, self.y - height, self.x + width / 2, self.y


@dataclass(frozen=True)
class Light:
    """How the picture is lit: overall gain, a gradient of it across the picture, colour cast, and sensor noise.

    `gain` 1 is normal; `slope` is the change of gain from edge to edge along `direction` (0 left to right, 1 top to
    bottom); `cast` multiplies red and blue against each other; `noise` is its standard deviation in 0–255 grey levels.
    """

    gain: float
    slope: float
    direction: int
    cast: float
    noise: float
    noise_tile: int

    @staticmethod
    def draw(rng: Random) -> Light:
        """Random indoor light."""
        return Light(
            gain=rng.uniform(0.82, 1.1),
            slope=rng.uniform(-0.18, 0.18),
            direction=rng.randrange(2),
            cast=rng.uniform(-0.05, 0.05),
            noise=rng.uniform(0, 5),
            noise_tile=rng.randrange(1_000_000),
        )


@dataclass(frozen=True)
class Overlay:
    """What a video platform puts over a frame: its look, the account's name and the caption."""

    platform: str
    account: str
    caption: str
    likes: str


@dataclass(frozen=True)
class Picture:
    """Everything that painting needs."""

    family: Family
    colours: tuple[Colour, ...]
    horizon: float
    placed: tuple[Placed, ...]
    light: Light
    texture: int
    overlay: Overlay | None = None
    floor: str = ""


def toned(rng: Random, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """A colour drawn in hue, saturation and value, each 0–1."""
    red, green, blue = colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value))
    return round(red * 255), round(green * 255), round(blue * 255)


def pastel(rng: Random, low: int = 170, high: int = 240) -> Colour:
    """A light colour with a visible hue."""
    return mixed(rng, low, high)


def mixed(rng: Random, low: int, high: int) -> Colour:
    """A colour with each channel between two levels (0–255)."""
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (factor under 1) or lighter, clipped."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue
