"""Perceptual hashes: which screenshots look alike."""

from __future__ import annotations

import io

import imagehash
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP")
"""What screenshots are saved as, by Pillow's names; it tries no other decoder."""
DISTANCE = 4
"""Bits of 64 in which the hashes of two screenshots may differ that look alike, as in `axia index`."""


def perceptual_hash(picture: bytes) -> int:
    """64 bits (pHash)."""
    with Image.open(io.BytesIO(picture), formats=FORMATS) as opened:
        return int(str(imagehash.phash(opened.convert("RGB"))), 16)


def alike(one: int, other: int) -> bool:
    """Whether two hashes are those of pictures that look alike."""
    return (one ^ other).bit_count() <= DISTANCE
