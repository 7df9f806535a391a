"""Files that Pillow refuses though every pixel is there: odd or large metadata, or no end marker."""

import hashlib
import io

from PIL import Image

from services.serving.images import jpeg, png
from services.serving.images.pixels import decoded

FORMATS = ("JPEG", "PNG", "WEBP")
"""Formats that are read, by Pillow's names."""
JPEG = b"\xff\xd8\xff"
"""How a JPEG begins."""
PNG = b"\x89PNG\r\n\x1a\n"
"""How a PNG begins."""
_ROWS = 64
"""Rows of pixels that are hashed together."""


def opened(data: bytes) -> Image.Image:
    """Opens a picture with Pillow, if need be without metadata that it can't read or that is too large.

    Raises:
        Exception: Of many types, as Pillow raises them for bytes that are no picture of `FORMATS`.
    """
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:  # many types
        bare = _without_metadata(data)
        if bare is data:
            raise
    return Image.open(io.BytesIO(bare), formats=FORMATS)


def repaired(data: bytes, max_pixels: int) -> Image.Image | None:
    """The pixels of a file that Pillow opens and doesn't decode, if none is missing; else None.

    Args:
        data: The file.
        max_pixels: See `pixels.reduction`.
    """
    bare = _without_metadata(data)
    try:
        if not data.startswith(JPEG):
            return None if bare is data else _decoded(bare, max_pixels)
        ended = jpeg.with_end(bare)
        if ended is None:
            return None
        # One after the other, so that there is one picture at a time.
        wanted = _fingerprint(_decoded(ended[1], max_pixels))
        picture = _decoded(ended[0], max_pixels)
    except Exception:  # many types
        return None
    return picture if _fingerprint(picture) == wanted else None


def uncommon(data: bytes) -> str:
    """What a JPEG or a PNG is, where it is of a kind that Pillow can't decode; empty for a common one."""
    if data.startswith(PNG):
        return png.uncommon(data)
    return jpeg.uncommon(data) if data.startswith(JPEG) else ""


def _without_metadata(data: bytes) -> bytes:
    """The same object where there is nothing to leave out."""
    if data.startswith(PNG):
        return png.without_metadata(data)
    return jpeg.without_metadata(data) if data.startswith(JPEG) else data


def _decoded(data: bytes, max_pixels: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        return decoded(picture, max_pixels)


def _fingerprint(picture: Image.Image) -> bytes:
    digest = hashlib.sha256()
    for top in range(0, picture.height, _ROWS):
        digest.update(picture.crop((0, top, picture.width, min(top + _ROWS, picture.height))).tobytes())
    return digest.digest()
