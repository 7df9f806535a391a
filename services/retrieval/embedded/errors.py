"""What can be wrong with the files of the embedded store, in our own words."""

import contextlib
import errno
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from services.serving.errors import FailedPrecondition, ResourceExhausted, Unavailable

_log = logging.getLogger(__name__)

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_DENIED_CODES = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_HARMLESS_CODES = (
    *_DENIED_CODES, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
)  # fmt: skip
"""Of SQLite, none of which says that the file is damaged."""


def damaged(path: Path, what: str) -> FailedPrecondition:
    """The database doesn't hold what it held."""
    return FailedPrecondition(
        f"the index is damaged: {path}: {what}. Restore a backup with `python -m services.retrieval restore FILE`; or "
        "see what is left with `python -m services.retrieval check`, which can accept it; or move the folder "
        f"{path.parent} away and ingest the images again",
        reason="INDEX_DAMAGED",
    )


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 if the error is of Python's module."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error while a database is read says that it is damaged, rather than that it can't be reached."""
    return code(error) not in _HARMLESS_CODES


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Says a full or failing disk, and a damaged database, in our own words.

    Raises:
        ResourceExhausted: If the disk is full.
        FailedPrecondition: If the files may not be written, or are damaged.
        Unavailable: If the disk fails otherwise, or another process is writing.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        primary = code(error) if isinstance(error, sqlite3.Error) else None
        number = error.errno if isinstance(error, OSError) else None
        if number in _DISK_FULL or primary == sqlite3.SQLITE_FULL:
            raise ResourceExhausted(
                "the disk of the index is full; free some space, or move its folder to a larger disk and set "
                "AXIA_RETRIEVAL_DATA to that",
                reason="DISK_FULL",
                retry_after_s=30.0,
            ) from error
        if number in _DENIED or primary in _DENIED_CODES:
            raise FailedPrecondition(
                "the files of the index can't be written; allow this user to write AXIA_RETRIEVAL_DATA, or "
                "set it to another folder",
                reason="DATA_DENIED",
            ) from error
        _log.exception("the index's disk failed")
        if isinstance(error, sqlite3.Error) and primary is not None and is_damage(error):
            raise damaged(Path("store.db"), str(error)) from error
        raise Unavailable(
            "the index's files can't be read or written; the log says why", reason="INDEX_UNREADABLE", retry_after_s=5.0
        ) from error
