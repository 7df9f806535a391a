"""PNG files chunk by chunk, without a decoder. The format is that of the W3C's PNG specification, third edition.

Pillow refuses a picture for a colour profile, a text or another chunk that nobody needs and that is odd or large.
"""

import struct
from collections.abc import Iterator

_CHUNK = struct.Struct(">I4s")
_SIGNATURE_BYTES = 8
_CHECKSUM_BYTES = 4
_MAX_CHUNKS = 1 << 15
"""Chunks that are looked at. Encoders write one for 8 KiB of pixels or more; a file may hold millions of empty ones."""
_ANCILLARY = 0x20
"""The bit of a name's first letter that says that a picture can be shown without the chunk."""
_TRANSPARENCY = {0: 2, 2: 6, 3: 1}
"""Bytes of a tRNS chunk at least, by the colour type of the picture; others have none."""
_COLOUR_TYPE = 25
_NEEDED = {b"tRNS": 1, b"eXIf": 1, b"acTL": 8, b"fcTL": 26, b"fdAT": 4}
"""Ancillary chunks that say how a picture looks, with their bytes at least."""
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of the content of each chunk that is whole."""
    at = _SIGNATURE_BYTES
    for _ in range(_MAX_CHUNKS):
        if at + _CHUNK.size > len(data):
            return
        length, name = _CHUNK.unpack_from(data, at)
        begin = at + _CHUNK.size
        at = begin + length + _CHECKSUM_BYTES
        if at > len(data):
            return
        yield name, begin, begin + length


def has_many_chunks(data: bytes) -> bool:
    """Whether a file has tens of thousands of chunks, which Pillow reads one by one."""
    count = 0
    for count, (name, _, _) in enumerate(_chunks(data), 1):  # noqa: B007 - the last one counts
        if name == b"IEND":
            return False
    return count == _MAX_CHUNKS


def without_metadata(data: bytes) -> bytes:
    """The file less chunks that don't change how it looks, such as colour profiles and texts; the same object if there
    are none."""
    chunks = list(_chunks(data))
    animated = any(name == b"acTL" and end - begin >= _NEEDED[name] for name, begin, end in chunks)
    needed = {name: least for name, least in _NEEDED.items() if animated or name not in _ANIMATION}
    colour_type = data[_COLOUR_TYPE] if len(data) > _COLOUR_TYPE else 0
    needed[b"tRNS"] = _TRANSPARENCY.get(colour_type, len(data))
    kept = [data[:_SIGNATURE_BYTES]]
    for name, begin, end in chunks:
        if not name[0] & _ANCILLARY or (name in needed and end - begin >= needed[name]):
            kept.append(data[begin - _CHUNK.size : end + _CHECKSUM_BYTES])
    if len(kept) > len(chunks):
        return data
    rest = chunks[-1][2] + _CHECKSUM_BYTES
    return b"".join([*kept, data[rest:]])


def uncommon(data: bytes) -> str:
    """What kind of PNG a file is, where that is one that decoders don't take; empty for a common one."""
    first = next(_chunks(data), (b"", 0, 0))
    return "a PNG as Xcode packs it for iPhones" if first[0] == b"CgBI" else ""


def exif(data: bytes) -> bytes:
    """The content of the chunk with EXIF, which may come behind the pixels; empty if there is none."""
    return next((data[begin:end] for name, begin, end in _chunks(data) if name == b"eXIf"), b"")
