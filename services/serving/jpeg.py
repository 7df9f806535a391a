"""Whether the header of a JPEG is quickly read, told without reading it.

Pillow reads a header segment by segment in Python, and EXIF and the index of several pictures (MPF) entry by entry. A
file of 64 KiB may be nothing but empty segments, padding or entries, which takes it 20 ms. The format is ITU-T T.81's.
"""

_MAX_BYTES = 1 << 12
"""Up to the first scan: tables, a colour profile of common size and a little EXIF."""
_MAX_SEGMENTS = 32
"""Encoders write about ten."""
_START_OF_SCAN = 0xDA
_WITH_LENGTH = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""Frames, tables, comments and metadata: what comes before the first scan."""


def has_short_header(data: bytes) -> bool:
    """Whether little comes before the first scan of a JPEG; False where that is odd."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 4 > min(len(data), _MAX_BYTES) or data[at] != 0xFF:  # noqa: PLR2004 - begins each marker
            return False
        marker = data[at + 1]
        if marker == _START_OF_SCAN:
            return True
        if marker not in _WITH_LENGTH:
            return False
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return False
