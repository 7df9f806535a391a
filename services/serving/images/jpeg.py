"""JPEG files as cameras and editors leave them, told and repaired without a decoder. The format is ITU-T T.81's.

Pillow reads a header segment by segment in Python, and EXIF and the index of several pictures (MPF) entry by entry. A
file of 64 KiB may be nothing but empty segments, padding or entries, which takes it 20 ms.
"""

import re
from collections.abc import Iterator

_MAX_BYTES = 1 << 12
"""Up to the first scan: tables, a colour profile of common size and a little EXIF."""
_MAX_SEGMENTS = 32
"""Encoders write about ten."""
_MAX_REPAIRED_SEGMENTS = 4096
_MAX_READ_SEGMENTS = 1 << 15
_MAX_JUNK = 1 << 16
"""Bytes between segments, such as padding, which Pillow reads one by one; cameras pad inside of segments."""
FEW_SCANS = 16
"""Progressive files have about ten."""
_START_OF_SCAN = 0xDA
_END = b"\xff\xd9"
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_NO_BLOCKS = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The marker that ends the blocks of a scan."""
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_COEFFICIENTS = 64
_OTHER_BITS = b"\xb6" + bytes(range(1, 0xFF)) * 16
"""Bits that begin with a one."""
_METADATA = frozenset({0xFE, *range(0xE0, 0xF0)})
"""Application segments and comments."""
_NEEDED = {0xE0: (b"JFIF\0", 14), 0xE1: (b"Exif\0\0", 14), 0xEE: (b"Adobe", 12)}
"""Metadata that says how a picture looks, by marker: how a sound segment begins, and its bytes at least."""
_PADDING = 64
"""More zero bytes at the end than this are what a camera filled its buffer with, and no blocks."""
_WITHOUT_LENGTH = frozenset({0x01, 0xD8})
_WITH_LENGTH = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""Frames, tables, comments and metadata: what comes before the first scan."""


_ODD_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), 0xCB, *range(0xCD, 0xD0), 0xF7})
"""Lossless and hierarchical ones, and those of JPEG-LS, which no browser shows either."""
_DEPTH = 8
"""Bits of a colour."""


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


def scans(data: bytes) -> int | None:
    """Passes over its pixels that a file takes to decode, which a progressive one may have thousands of in a few bytes.

    Returns:
        None where it has tens of thousands of segments, or as many bytes between them, which Pillow reads one by one.
    """
    few = data.count(bytes([0xFF, _START_OF_SCAN])) <= FEW_SCANS
    found = junk = 0
    at = 2
    for _ in range(_MAX_READ_SEGMENTS):
        marker = _NO_BLOCKS.search(data, at)
        begin = len(data) if marker is None else marker.start()
        junk += 0 if found else begin - at  # behind the first scan these are its blocks
        if junk > _MAX_JUNK:
            return None
        if marker is None or marker[0] == _END:
            return found
        at = marker.end()
        if marker[0][1] == _START_OF_SCAN:
            found += 1
            if few:
                return FEW_SCANS
        if marker[0][1] not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2])
    return None


def without_metadata(data: bytes) -> bytes:
    """The file less metadata that doesn't change how it looks, such as colour profiles; the same object if there is
    none."""
    kept = [data[:2]]
    at, dropped = 2, False
    for marker, begin, end in _segments(data):
        start, least = _NEEDED.get(marker, (b"", 0))
        if marker not in _METADATA or (least and end - begin >= least and data.startswith(start, begin)):
            kept.append(data[begin - 4 : end])
        else:
            dropped = True
        at = end
    return b"".join([*kept, data[at:]]) if dropped else data


def uncommon(data: bytes) -> str:
    """What kind of JPEG a file is, where that is one that decoders don't take; empty for a common one."""
    for marker, begin, _ in _segments(data, _WITH_LENGTH | _ODD_FRAMES | {0xF8, 0xC9, 0xCA, 0xCC}):
        if marker in _ODD_FRAMES:
            return "a lossless or hierarchical JPEG"
        if marker in _FRAMES and data[begin : begin + 1] not in (b"", bytes([_DEPTH])):
            return f"a JPEG of {data[begin]} bits a colour"
    return ""


def _segments(data: bytes, known: frozenset[int] = _WITH_LENGTH) -> Iterator[tuple[int, int, int]]:
    """Marker, first byte and end of the content of each segment before the first scan, up to one that isn't known."""
    at = 2
    for _ in range(_MAX_REPAIRED_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1  # padding
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] not in known:  # noqa: PLR2004
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield data[at + 1], at + 4, end
        at = end


def is_padded(data: bytes) -> bool:
    """Whether a file ends with zeros in place of its end marker, as of a buffer that a camera didn't fill."""
    body = data.rstrip(b"\0")
    return len(data) - len(body) > _PADDING and not body.endswith(_END)


def with_end(data: bytes) -> tuple[bytes, bytes] | None:
    """Two completions of a file without its end marker, which look alike if every block is there.

    A decoder takes zeros for missing bits. The second file continues with others instead, also behind the next restart
    marker, so that the first block that isn't there differs.

    Returns:
        None where a whole scan is missing.
    """
    body = data.rstrip(b"\0") + bytes(2) if is_padded(data) else data
    if not _has_all_scans(body):
        return None
    restarts = _RESTART.findall(body, body.rfind(bytes([0xFF, _START_OF_SCAN])))
    following = 0xD0 + (restarts[-1][1] - 0xD0 + 1) % 8 if restarts else 0xD0
    go_on = b"\0" if body.endswith(b"\xff") else b""
    return body + _END, body + go_on + _OTHER_BITS + bytes([0xFF, following]) + _OTHER_BITS + _END


def _has_all_scans(data: bytes) -> bool:
    """Whether scans give every coefficient of every component to its last bit; a progressive file has about ten."""
    missing: dict[int, set[int]] = {}
    at = 2
    for _ in range(_MAX_REPAIRED_SEGMENTS):
        found = _NO_BLOCKS.search(data, at)
        if found is None or found.end() + 2 > len(data):
            break
        begin = found.end() + 2
        at = found.end() + int.from_bytes(data[found.end() : begin])
        body = data[begin:at]
        if at > len(data):
            break
        marker = data[found.end() - 1]
        if marker in _FRAMES:
            missing = {component: set(range(_COEFFICIENTS)) for component in body[6::3]}
        elif marker == _START_OF_SCAN and len(body) == 4 + 2 * body[0] and body[-1] & 0x0F == 0:
            for component in body[1 : 1 + 2 * body[0] : 2]:
                missing.get(component, set()).difference_update(range(body[-3], body[-2] + 1))
    return bool(missing) and not any(missing.values())
