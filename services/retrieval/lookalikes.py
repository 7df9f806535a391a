"""Which pictures look alike: by their perceptual hashes, and by one's and the mirrored other's.

A perceptual hash (pHash) has a bit for each of 8 x 8 lowest frequencies of the picture, row by row: whether it is above
their median. Mirrored left to right, a cosine of odd horizontal frequency changes its sign, and with it the bit. The
hash of the mirrored picture follows from that but for the frequencies near the median and the first, which is the
brightness and keeps its sign.
"""

from collections.abc import Sequence

from services.retrieval.index import Hit

NEAR_BITS = 6
"""Bits in which the hashes of pictures that look alike may differ."""
_ODD_COLUMNS = 0x5555555555555555
"""Bits of the odd horizontal frequencies: the first column is the highest bit of each row's byte."""
_FEWEST_DETAILS = 8
"""Fewer bits that are set, or unset, are of a picture of almost one colour, whose hash says nothing."""


def distinct(hits: Sequence[Hit]) -> list[Hit]:
    """The first of each group of hits that look alike, in their order."""
    kept: list[Hit] = []
    hashes: list[int] = []
    for hit in hits:
        value = int(hit.record.perceptual_hash, 16)
        if has_details(value):
            if any(look_alike(value, other) for other in hashes):
                continue
            hashes.append(value)
        kept.append(hit)
    return kept


def look_alike(one: int, other: int) -> bool:
    """Whether the hashes are of pictures that look alike, as they are or one of them mirrored."""
    differing = one ^ other
    return min(differing.bit_count(), (differing ^ _ODD_COLUMNS).bit_count()) <= NEAR_BITS


def has_details(value: int) -> bool:
    """Whether a hash is of a picture with details, and so tells it from others."""
    return _FEWEST_DETAILS <= value.bit_count() <= 64 - _FEWEST_DETAILS
