"""The log of an index: every picture added and deleted, in order, on disk.

The log is the truth and the HNSW index is made from it. It is written before an addition or a deletion is acknowledged,
by plain writes and fdatasync, so that it survives a kill and a power cut. (Qdrant Edge's own write-ahead log is
memory-mapped: on a full disk the kernel kills the process with SIGBUS instead of reporting an error.)

A file is a header (8 bytes of magic, 4 of dimension) and frames: 4 bytes of length, 4 of CRC-32, then the body, which
is one byte of kind, 32 of SHA-256 and, for an addition, the vector as float32 and the record as JSON. Little-endian.
"""

import contextlib
import dataclasses
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.retrieval.index import Entry, PictureRecord, Vector
from services.retrieval.points import KEY_BYTES

_MAGIC = b"AXIALOG1"
_HEADER = struct.Struct("<8sI")
_FRAME = struct.Struct("<II")
_ADD, _DELETE = b"A", b"D"


class Added(NamedTuple):
    """A picture that was added."""

    key: bytes
    """SHA-256 of the picture, 32 bytes."""
    vector: Vector
    record: PictureRecord


class Deleted(NamedTuple):
    """A picture that was deleted, wherever it was before."""

    key: bytes
    """SHA-256 of the picture, 32 bytes."""


class DamagedLogError(Exception):
    """A log that doesn't begin as one, or is of another dimension."""


def encode_added(entry: Entry) -> bytes:
    """The frame of an addition."""
    record = dataclasses.asdict(entry.record)
    del record["id"]
    vector = np.ascontiguousarray(entry.vector, dtype="<f4").tobytes()
    return _frame(_ADD + bytes.fromhex(entry.record.id) + vector + json.dumps(record).encode())


def encode_deleted(key: bytes) -> bytes:
    """The frame of a deletion."""
    return _frame(_DELETE + key)


def _frame(body: bytes) -> bytes:
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


class LogWriter:
    """Appends to a log.

    Args:
        path: The file; made if there is none.
        dimension: Of the vectors.
        end: Where to append; what follows is cut off. None for a new file.

    Raises:
        OSError: If it can't be made.
    """

    def __init__(self, path: Path, dimension: int, end: int | None = None) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            if end is None:
                os.ftruncate(self._fd, 0)
                _write(self._fd, _HEADER.pack(_MAGIC, dimension), 0)
                end = _HEADER.size
            os.ftruncate(self._fd, end)
            os.fdatasync(self._fd)
        except OSError:
            os.close(self._fd)
            raise
        self._end = end

    def append(self, frames: Sequence[bytes]) -> None:
        """Writes frames durably: all of them, or none if it fails.

        Raises:
            OSError: If they can't be written; the log is as it was.
        """
        data = b"".join(frames)
        try:
            _write(self._fd, data, self._end)
            os.fdatasync(self._fd)
        except OSError:
            # If this fails too, the next append overwrites what is left behind the end.
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(data)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


class LogReader:
    """Reads a log from its beginning up to its end, or to where a write was cut off.

    Args:
        path: The file.
        dimension: Of the vectors.

    After the iteration `end` is the offset behind the last whole frame, and `torn` says whether something follows it.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self._path = path
        self._dimension = dimension
        self.end = _HEADER.size
        self.torn = False

    def __iter__(self) -> Iterator[Added | Deleted]:
        """The operations in order.

        Raises:
            DamagedLogError: If the file is no log of this dimension.
        """
        for body in self._bodies():
            yield self._decode(body)

    def operations(self) -> Iterator[tuple[bytes, bool, bytes]]:
        """Key, whether added, and body of every operation, for those who needn't look inside."""
        for body in self._bodies():
            yield body[1 : 1 + KEY_BYTES], body[:1] == _ADD, body

    def added(self, body: bytes) -> Added:
        """What the body of an addition says."""
        vector_end = 1 + KEY_BYTES + 4 * self._dimension
        key = body[1 : 1 + KEY_BYTES]
        vector = np.frombuffer(body[1 + KEY_BYTES : vector_end], dtype="<f4")
        return Added(key, vector, PictureRecord(id=key.hex(), **json.loads(body[vector_end:])))

    def _decode(self, body: bytes) -> Added | Deleted:
        return self.added(body) if body[:1] == _ADD else Deleted(body[1 : 1 + KEY_BYTES])

    def _bodies(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            header = file.read(_HEADER.size)
            if header != _HEADER.pack(_MAGIC, self._dimension):
                raise DamagedLogError(str(self._path))
            while head := file.read(_FRAME.size):
                if len(head) < _FRAME.size:
                    break
                length, checksum = _FRAME.unpack(head)
                body = file.read(length)
                if len(body) < length or zlib.crc32(body) != checksum:
                    break
                self.end += _FRAME.size + length
                yield body
            self.torn = self.end < os.fstat(file.fileno()).st_size


def frame_of(body: bytes) -> bytes:
    """The frame around a body that `LogReader.operations` gave."""
    return _frame(body)


def replace_file(path: Path, data: bytes) -> None:
    """Replaces a file atomically and durably.

    Raises:
        OSError: If it can't be written; the file is as it was.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    # From here on it is replaced, so a failure must not say otherwise; only a power cut could still undo it.
    with contextlib.suppress(OSError):
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes what was created, renamed or removed in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
