"""The size and the metadata of a WebP picture from its container, without a decoder.

Pillow opens a WebP by making libwebp's animation decoder, which takes memory for two pictures of its size. That costs
more than all else that a server does with a picture which it only passes on, and happens before any limit is checked.
The format is RFC 9649's.
"""

import struct

_RIFF = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_HEAD = 10
"""Bytes of a chunk that hold a size, at most."""
_MAX_CHUNKS = 64
"""Chunks that are looked at. Cameras and editors write four before the picture at most; a file may hold millions of
empty ones, which would take a second."""
_LOSSLESS_HEAD = 5
_ANIMATED = 0x02
_METADATA = {b"EXIF": "exif", b"XMP ": "xmp"}
"""Chunks with metadata, by Pillow's names."""
_FRAME_START = b"\x9d\x01\x2a"
_LOSSLESS_SIGNATURE = 0x2F


def still_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a WebP with one frame; None where this is another format, animated or odd."""
    if len(data) < _RIFF.size:
        return None
    riff, length, form = _RIFF.unpack_from(data)
    if riff != b"RIFF" or form != b"WEBP" or length + 8 > len(data):
        return None
    end = length + 8
    canvas: tuple[int, int] | None = None
    at = _RIFF.size
    for _ in range(_MAX_CHUNKS):
        if at + _CHUNK.size > end:
            return None
        name, length = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if at + length > end:
            return None
        body = data[at : at + min(length, _HEAD)]
        if name in (b"VP8 ", b"VP8L"):
            size = _lossy_size(body) if name == b"VP8 " else _lossless_size(body)
            return size if canvas in {None, size} else None
        if name == b"VP8X":
            if len(body) < _HEAD or canvas is not None or body[0] & _ANIMATED:
                return None
            canvas = (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
        elif canvas is None:
            return None  # without VP8X the picture comes first
        at += length + length % 2
    return None


def metadata(data: bytes) -> dict[str, bytes]:
    """EXIF and XMP of a WebP whose size `still_size` gives, by the names that they have in Pillow's `Image.info`."""
    found: dict[str, bytes] = {}
    at = _RIFF.size
    for _ in range(_MAX_CHUNKS):
        if at + _CHUNK.size > len(data):
            break
        name, length = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if name in _METADATA:
            found.setdefault(_METADATA[name], data[at : at + length])
        at += length + length % 2
    return found


def _lossy_size(body: bytes) -> tuple[int, int] | None:
    if len(body) < _HEAD or body[0] & 1 or body[3:6] != _FRAME_START:
        return None
    width, height = struct.unpack_from("<HH", body, 6)
    # The two highest bits say how to enlarge the picture on a screen, and are not the size's.
    return _real(width & 0x3FFF, height & 0x3FFF)


def _lossless_size(body: bytes) -> tuple[int, int] | None:
    if len(body) < _LOSSLESS_HEAD or body[0] != _LOSSLESS_SIGNATURE:
        return None
    bits = int.from_bytes(body[1:5], "little")
    if bits >> 29:
        return None
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _real(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if width and height else None
