"""The database of the embedded store: one SQLite file, of which everything else here is derived.

    lock            held by the process that writes
    store.db        SQLite, in WAL mode: every picture by every encoder, deletions, and the current encoder
    store.head      what was acknowledged last (`head`)
    hnsw-1-0-4000/  an HNSW index of encoder 1 over changes 1 to 4000 (`hnsw`), made again where it is missing

Every change has a number, `seq`, higher than all before. A picture that is changed gets a new one, so what happened
since a number is what has a higher one. Each row has a checksum, which is compared whenever the row is read.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.retrieval.embedded.errors import damaged
from services.retrieval.embedded.head import Acknowledged, Head
from services.retrieval.embedded.rows import checksum, damage_named, read_state
from services.retrieval.files import sync_folder
from services.retrieval.index import EncoderId, PictureRecord, Vectors
from services.serving.errors import FailedPrecondition, Unavailable

FILE, HEAD, LOCK = "store.db", "store.head", "lock"
FORMAT = 1
_PAGE_BYTES = 16_384
"""Seven vectors of 512 dimensions a page; with SQLite's 4,096 bytes it would be one, and half of the file empty."""
_CHECKPOINT_BYTES = 32 << 20
_ROWS = 512
"""Rows that are read or deleted at a time."""
_SCHEMA = (
    """CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), store BLOB NOT NULL, seq INTEGER NOT NULL,
        points INTEGER NOT NULL, current INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE encoders (number INTEGER PRIMARY KEY, name TEXT NOT NULL, revision TEXT NOT NULL,
        dimension INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE points (seq INTEGER PRIMARY KEY, encoder INTEGER NOT NULL, id BLOB NOT NULL, format TEXT NOT NULL,
        width INTEGER NOT NULL, height INTEGER NOT NULL, perceptual_hash TEXT NOT NULL, platform TEXT NOT NULL,
        capture_time REAL, source TEXT NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE TABLE deletions (seq INTEGER PRIMARY KEY, encoder INTEGER NOT NULL, id BLOB NOT NULL)",
    f"PRAGMA user_version = {FORMAT}",
)


class Database:
    """An open database, of one thread at a time. Other processes may read it meanwhile (`reader`).

    Args:
        folder: Where it is; made if there is none.
        accept: Whether what is there is taken for all that was acknowledged.

    Raises:
        Unavailable: If another process writes to it.
        FailedPrecondition: If it is damaged, of a newer release, or on a file system without locks.
        OSError, sqlite3.Error: If it can't be read or written; see `errors.translated`.
    """

    def __init__(self, folder: Path, *, accept: bool = False) -> None:
        self.path = folder / FILE
        self.encoders: dict[int, EncoderId] = {}
        self._failed = False
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, lock(folder))
            self._head = Head(folder / HEAD)
            opened.callback(self._head.close)
            # SQLite removes the log when it closes the database, with whatever is in it behind a damaged frame.
            log, kept = (self.path.with_name(self.path.name + suffix) for suffix in ("-wal", "-wal.damaged"))
            if log.exists() and not kept.exists():
                os.link(log, kept)
            self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            opened.callback(self._connection.close)
            with damage_named(self.path):
                self._open(accept=accept)
            kept.unlink(missing_ok=True)
            self._opened = opened.pop_all()

    def _open(self, *, accept: bool) -> None:
        run = self._connection.execute
        run(f"PRAGMA page_size = {_PAGE_BYTES}")
        if (version := run("PRAGMA user_version").fetchone()[0]) > FORMAT:
            raise FailedPrecondition(
                f"{self.path} was written by a newer release of this service (format {version}, this one reads "
                f"{FORMAT}); use that release, or set AXIA_RETRIEVAL_DATA to another folder",
                reason="INDEX_NEWER",
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA secure_delete = ON")
        run(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_BYTES // _PAGE_BYTES}")
        run(f"PRAGMA journal_size_limit = {2 * _CHECKPOINT_BYTES}")
        if not run("SELECT count(*) FROM sqlite_master").fetchone()[0] and self._head.last is None:
            with self._transaction():
                for statement in _SCHEMA:
                    run(statement)
                self._current = 0
                self._write_state(Acknowledged(os.urandom(16), 0, 0))
            sync_folder(self.path.parent)
            return
        self.state, self._current, self.encoders = read_state(self._connection, self.path)
        counted = run("SELECT count(*) FROM points").fetchone()[0]
        told = self._head.last
        if accept:
            self._write_state(self.state._replace(points=counted))
        elif counted != self.state.points:
            raise damaged(self.path, f"it has {counted:,} vectors but should have {self.state.points:,}")
        elif told is None and self.state.seq:
            raise damaged(self.path.with_name(HEAD), "it is missing or can't be read, so the index can't be checked")
        elif told is not None and (told.store != self.state.store or told.seq > self.state.seq):
            lost = max(told.seq - self.state.seq, 1)
            raise damaged(self.path, f"the last {lost:,} acknowledged changes are missing; it or its -wal was damaged")
        self._head.write(self.state)

    # Writing. Each of these is durable when it returns.

    def insert(self, encoder: int, records: Sequence[PictureRecord], vectors: Vectors) -> range:
        """Adds pictures; returns their numbers."""
        seqs = range(self.state.seq + 1, self.state.seq + 1 + len(records))
        with self._transaction():
            self._insert(encoder, seqs, records, vectors)
            self._write_state(Acknowledged(self.state.store, seqs[-1], self.state.points + len(records)))
        return seqs

    def replace(self, encoder: int, seqs: Sequence[int], records: Sequence[PictureRecord], vectors: Vectors) -> range:
        """Puts pictures in the place of those of these numbers; returns their new numbers."""
        new = range(self.state.seq + 1, self.state.seq + 1 + len(seqs))
        with self._transaction():
            self._connection.executemany("DELETE FROM points WHERE seq = ?", [(seq,) for seq in seqs])
            self._insert(encoder, new, records, vectors)
            self._write_state(self.state._replace(seq=new[-1]))
        return new

    def delete(self, encoder: int, seqs: Sequence[int], ids: Sequence[bytes]) -> None:
        """Deletes pictures by their numbers and ids."""
        first = self.state.seq + 1
        with self._transaction():
            self._connection.executemany("DELETE FROM points WHERE seq = ?", [(seq,) for seq in seqs])
            rows = [(first + place, encoder, picture) for place, picture in enumerate(ids)]
            self._connection.executemany("INSERT INTO deletions VALUES (?, ?, ?)", rows)
            self._write_state(Acknowledged(self.state.store, rows[-1][0], self.state.points - len(seqs)))

    def number(self, encoder: EncoderId) -> int:
        """The number of an encoder, which it is given if it has none.

        Raises:
            FailedPrecondition: If it has one with another dimension.
        """
        for number, known in self.encoders.items():
            if (known.name, known.revision) == (encoder.name, encoder.revision):
                if known.dimension != encoder.dimension:
                    raise FailedPrecondition(
                        f"the vectors of the index in {self.path} have {known.dimension} dimensions, but those of the "
                        f"encoder {encoder.name} have {encoder.dimension}: set AXIA_RETRIEVAL_ENCODER to the encoder "
                        "that built the index, re-index the images with another encoder, or set AXIA_RETRIEVAL_DATA "
                        "to another folder",
                        reason="INDEX_DIMENSION_MISMATCH",
                    )
                return number
        number = max(self.encoders, default=0) + 1
        row = (number, encoder.name, encoder.revision, encoder.dimension)
        with self._transaction():
            self._connection.execute("INSERT INTO encoders VALUES (?, ?, ?, ?, ?)", (*row, checksum(row)))
            self._write_state(self.state._replace(seq=self.state.seq + 1))
        self.encoders[number] = encoder
        return number

    @property
    def current(self) -> EncoderId | None:
        """The current encoder; None before there is one."""
        return self.encoders.get(self._current)

    def switch(self, number: int) -> None:
        """Makes an encoder the current one."""
        before, self._current = self._current, number
        try:
            with self._transaction():
                self._write_state(self.state._replace(seq=self.state.seq + 1))
        except BaseException:
            self._current = before
            raise

    def drop(self, number: int) -> Iterator[None]:
        """Deletes an encoder and all that is of it, a little at each step; whoever stops halfway can begin again."""
        last = 0
        while rows := self._connection.execute(
            "SELECT seq FROM points WHERE encoder = ? AND seq > ? ORDER BY seq LIMIT ?", (number, last, _ROWS)
        ).fetchall():
            with self._transaction():
                self._connection.executemany("DELETE FROM points WHERE seq = ?", rows)
                self._write_state(self.state._replace(seq=self.state.seq + 1, points=self.state.points - len(rows)))
            last = rows[-1][0]
            yield
        with self._transaction():
            self._connection.execute("DELETE FROM deletions WHERE encoder = ?", (number,))
            self._connection.execute("DELETE FROM encoders WHERE number = ?", (number,))
            self._write_state(self.state._replace(seq=self.state.seq + 1))
        del self.encoders[number]

    def erase(self) -> None:
        """Leaves nothing on disk of what was deleted before."""
        self._connection.execute("VACUUM")
        busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise Unavailable(
                "another process reads the database, so deleted data is still in its -wal file; stop that process, "
                "then purge again",
                reason="INDEX_BUSY",
                retry_after_s=1.0,
            )

    def close(self) -> None:
        """Lets go of the files and of the lock."""
        self._opened.close()

    def _insert(self, encoder: int, seqs: range, records: Sequence[PictureRecord], vectors: Vectors) -> None:
        data = memoryview(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
        size = len(data) // len(records)
        rows = []
        for place, (seq, record) in enumerate(zip(seqs, records, strict=True)):
            time = None if record.capture_time is None else record.capture_time + 0.0  # SQLite knows no negative zero
            row = (
                seq, encoder, bytes.fromhex(record.id), record.format, record.width, record.height,
                record.perceptual_hash, record.platform, time, record.source,
            )  # fmt: skip
            vector = data[place * size : (place + 1) * size]
            rows.append((*row, vector, checksum(row, vector)))
        self._connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _write_state(self, state: Acknowledged) -> None:
        row = (1, *state, self._current)
        self._connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)", (*row, checksum(row)))
        self.state = state

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._failed:
            raise Unavailable(
                "the file store.head could not be written; check the disk, then restart the service",
                reason="INDEX_UNREADABLE",
                retry_after_s=5.0,
            )
        before = getattr(self, "state", None)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if before is not None:
                self.state = before
            raise
        self._failed = True  # what is committed and not acknowledged is in the database, and not in memory
        self._head.write(self.state)
        self._failed = False


def lock(folder: Path) -> int:
    """Locks a folder until the descriptor is closed.

    Raises:
        Unavailable: If another process has locked it.
        FailedPrecondition: If its file system has no locks.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Unavailable(
            f"the index in {folder} is open in another process; stop that process, or set AXIA_RETRIEVAL_DATA to "
            "another folder",
            reason="INDEX_LOCKED",
            retry_after_s=5.0,
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise FailedPrecondition(
            f"the file system of {folder} doesn't support file locks ({error.strerror}), which the database needs; set "
            "AXIA_RETRIEVAL_DATA to a folder on a local disk",
            reason="DATA_WITHOUT_LOCKS",
        ) from error
    return descriptor
