"""What an operator does with the database: check, backup and restore."""

import contextlib
import sqlite3
from pathlib import Path

from services.retrieval.embedded.database import FILE, LOCK, Database
from services.retrieval.embedded.errors import damaged
from services.retrieval.embedded.rows import read_points, read_state, reader
from services.serving.errors import FailedPrecondition


def check(path: Path) -> dict[str, int]:
    """Reads all of a database, which may be in use; returns the pictures of each encoder by its name.

    Raises:
        FailedPrecondition: If something in it is damaged.
    """
    if not path.exists():
        raise FailedPrecondition(f"there is no database at {path}", reason="NO_INDEX")
    with contextlib.closing(reader(path)) as connection:
        try:
            faults = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
            if faults != ["ok"]:
                raise damaged(path, "; ".join(faults))
            connection.execute("BEGIN")  # one state, however much is written meanwhile
            state, _, encoders = read_state(connection, path)
            found = {
                f"{encoder.name} {encoder.revision}": sum(
                    len(points.seqs) for points in read_points(connection, path, number)
                )
                for number, encoder in encoders.items()
            }
        except sqlite3.DatabaseError as error:
            raise damaged(path, str(error)) from error
    if sum(found.values()) != state.points:
        raise damaged(path, f"it has {sum(found.values()):,} vectors but should have {state.points:,}")
    return found


def accept(folder: Path) -> int:
    """Takes what a damaged database still holds for all of it; returns how many vectors that are.

    Raises:
        FailedPrecondition: If it can't be read even so.
    """
    with contextlib.closing(Database(folder, accept=True)) as database:
        return database.state.points


def check_new(target: Path) -> None:
    """Raises FailedPrecondition if a file already exists."""
    if target.exists():
        raise FailedPrecondition(f"{target} already exists; name a new file", reason="BACKUP_EXISTS")


def backup(path: Path, target: Path) -> None:
    """Copies a database, which may be in use, into one file.

    Raises:
        FailedPrecondition: If the file already exists, or the copy is damaged.
    """
    check_new(target)
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    with contextlib.closing(reader(path)) as source, contextlib.closing(sqlite3.connect(partial)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file
    check(partial)
    partial.rename(target)


def restore(source: Path, folder: Path) -> int:
    """Makes a database of a backup; returns how many vectors it has.

    Raises:
        FailedPrecondition: If the folder isn't empty, or the backup is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # What is left of another database, its log or an HNSW index, would be taken for this one's.
    if left := sorted(path.name for path in folder.iterdir() if path.name != LOCK):
        raise FailedPrecondition(
            f"{folder} already contains {left[0]!r}, of this or another database; move that folder away, "
            "then restore again",
            reason="INDEX_EXISTS",
        )
    backup(source, folder / FILE)
    return accept(folder)
