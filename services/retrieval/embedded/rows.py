"""Reads the rows of the database (`database`) and compares their checksums, also beside the process that writes."""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from services.retrieval.embedded.errors import damaged, is_damage
from services.retrieval.embedded.head import Acknowledged
from services.retrieval.index import EncoderId, PictureRecord, Vectors

_ROWS = 512
"""Rows that are read at a time."""


class Points(NamedTuple):
    """Pictures by one encoder, in the order of their numbers."""

    seqs: list[int]
    records: list[PictureRecord]
    vectors: Vectors


def reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, beside whoever writes."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )


def read_state(connection: sqlite3.Connection, path: Path) -> tuple[Acknowledged, int, dict[int, EncoderId]]:
    """What the database says of itself: its last change, the number of the current encoder, and the encoders.

    Raises:
        FailedPrecondition: If one of these rows is damaged.
    """
    rows = connection.execute("SELECT * FROM state").fetchall()
    encoders = connection.execute("SELECT * FROM encoders ORDER BY number").fetchall()
    if len(rows) != 1 or any(row[-1] != checksum(row[:-1]) for row in (*rows, *encoders)):
        raise damaged(path, "the rows that describe it can't be read")
    _, store, seq, points, current, _ = rows[0]
    if current and current not in {row[0] for row in encoders}:
        raise damaged(path, "the current encoder is missing")
    return Acknowledged(store, seq, points), current, {row[0]: EncoderId(*row[1:4]) for row in encoders}


def read_points(
    connection: sqlite3.Connection, path: Path, encoder: int, after: int = 0, last: int = (1 << 63) - 1
) -> Iterator[Points]:
    """The pictures of an encoder with numbers above `after` up to `last`, some hundred at a time.

    Raises:
        FailedPrecondition: If a row is damaged.
    """
    # Also those of other encoders: a damaged one might be this one's.
    cursor = connection.execute("SELECT * FROM points WHERE seq > ? AND seq <= ? ORDER BY seq", (after, last))
    with damage_named(path):
        while rows := cursor.fetchmany(_ROWS):
            for row in rows:
                if row[-1] != checksum(row[:-2], row[-2]):
                    raise damaged(path, f"the image of change {row[0]:,} doesn't match its checksum")
            rows = [row for row in rows if row[1] == encoder]
            if not rows:
                continue
            vectors = np.frombuffer(b"".join([row[-2] for row in rows]), "<f4").reshape(len(rows), -1)
            yield Points([row[0] for row in rows], [_record(row) for row in rows], vectors)


def read_deletions(connection: sqlite3.Connection, encoder: int, after: int, last: int) -> Iterator[list[str]]:
    """The ids of pictures of an encoder that were deleted above `after` up to `last`, some hundred at a time."""
    cursor = connection.execute(
        "SELECT id FROM deletions WHERE encoder = ? AND seq > ? AND seq <= ? ORDER BY seq", (encoder, after, last)
    )
    while rows := cursor.fetchmany(_ROWS):
        yield [row[0].hex() for row in rows]


def _record(row: Sequence[Any]) -> PictureRecord:
    return PictureRecord(row[2].hex(), *row[3:10])


def checksum(row: Sequence[Any], vector: bytes | memoryview = b"") -> int:
    """CRC-32 of a row, and of its vector where it has one."""
    return zlib.crc32(vector, zlib.crc32(repr(tuple(row)).encode("utf-8", "surrogatepass")))


@contextlib.contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Names a damaged database where SQLite, or a value of another type or size, shows that it is."""
    try:
        yield
    except (sqlite3.DatabaseError, ValueError, TypeError, AttributeError) as error:  # values of other types and sizes
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        raise damaged(path, str(error)) from error
