"""Pictures for tests, made on the spot."""

import io
import random

from PIL import Image, ImageDraw


def photograph(
    seed: int = 0, size: tuple[int, int] = (320, 240), file_format: str = "JPEG", **options: object
) -> bytes:
    """An encoded picture of coloured shapes, another one for each seed."""
    draw = random.Random(seed)
    picture = Image.new("RGB", size, tuple(draw.randrange(256) for _ in range(3)))
    pencil = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = draw.randrange(size[0]), draw.randrange(size[1])
        width, height = draw.randrange(1, size[0] // 2 + 1), draw.randrange(1, size[1] // 2 + 1)
        pencil.ellipse((x, y, x + width, y + height), fill=tuple(draw.randrange(256) for _ in range(3)))
    return encode(picture, file_format, **options)


def encode(picture: Image.Image, file_format: str, **options: object) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()
