"""What was acknowledged last, in a small file beside the database.

SQLite drops every frame of its write-ahead log behind one that is damaged, without a word, and is then an older
database that is whole. This file is written and synced after each commit and before the commit is acknowledged, so a
database that is older than it says has lost something.

The file has two slots of 4 KiB, written in turns: one that a power cut tears leaves the one before.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

_SLOT = 4096
_FORM = struct.Struct("<8s16sQQ")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"AXIAHEAD"


class Acknowledged(NamedTuple):
    """The state of a database when its last commit was acknowledged."""

    store: bytes
    """Which database it is, 16 bytes."""
    seq: int
    """Number of its last change; every change has a higher one."""
    points: int
    """Vectors in it."""


class Head:
    """The file.

    Args:
        path: Made if there is none.

    Raises:
        OSError: If it can't be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # All of its blocks, so that a full disk can't keep a commit from being acknowledged.
            os.posix_fallocate(self._fd, 0, 2 * _SLOT)
            slots = [_read(os.pread(self._fd, _SLOT, place)) for place in (0, _SLOT)]
        except OSError:
            os.close(self._fd)
            raise
        self.last = max((slot for slot in slots if slot is not None), key=lambda slot: slot.seq, default=None)
        """What it says; None if it says nothing that can be read."""
        self._place = _SLOT if slots[0] is not None and slots[0] == self.last else 0

    def write(self, acknowledged: Acknowledged) -> None:
        """Replaces what it says, durably.

        Raises:
            OSError: If it can't be written; it then says what it said before.
        """
        data = _FORM.pack(_MAGIC, *acknowledged)
        os.pwrite(self._fd, data + _CHECKSUM.pack(zlib.crc32(data)), self._place)
        os.fdatasync(self._fd)
        self.last, self._place = acknowledged, _SLOT - self._place

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)


def _read(slot: bytes) -> Acknowledged | None:
    data, checksum = slot[: _FORM.size], slot[_FORM.size : _FORM.size + _CHECKSUM.size]
    if len(checksum) < _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != zlib.crc32(data):
        return None
    magic, store, seq, points = _FORM.unpack(data)
    return Acknowledged(store, seq, points) if magic == _MAGIC else None
