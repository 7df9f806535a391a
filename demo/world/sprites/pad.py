"""A canvas for sprites that are drawn.

Every drawing is made at four times its final size and reduced once, so edges are smooth without a vector library.
"""

from __future__ import annotations

from PIL import Image, ImageDraw

SCALE = 4
Box = tuple[float, float, float, float]


class Pad:
    """A transparent canvas of `width` × `height` final pixels; coordinates are in final pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.image = Image.new("RGBA", (width * SCALE, height * SCALE))
        self.draw = ImageDraw.Draw(self.image)

    def box(self, xy: Box, fill: str, radius: float = 0, outline: str | None = None, width: float = 0) -> None:
        """Rounded rectangle."""
        points = tuple(v * SCALE for v in xy)
        self.draw.rounded_rectangle(points, radius * SCALE, fill, outline, round(width * SCALE))

    def oval(self, xy: Box, fill: str, outline: str | None = None, width: float = 0) -> None:
        """Ellipse in a box."""
        self.draw.ellipse(tuple(v * SCALE for v in xy), fill, outline, round(width * SCALE))

    def line(self, points: list[tuple[float, float]], fill: str, width: float) -> None:
        """Line through points."""
        self.draw.line([(x * SCALE, y * SCALE) for x, y in points], fill, round(width * SCALE), joint="curve")

    def polygon(self, points: list[tuple[float, float]], fill: str) -> None:
        """Filled polygon."""
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill)

    def done(self) -> Image.Image:
        """The finished drawing at its final size."""
        return self.image.resize(self.size, Image.Resampling.LANCZOS)
