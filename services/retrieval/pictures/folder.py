"""Files in a folder by name, each written whole and durably."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.retrieval.files import sync_folder

_INCOMING = ".incoming"
"""Folder of files that are being written; on the same file system, so that moving one out is a single step."""


class PictureFolder:
    """A folder whose files survive a kill of the process and a loss of power once `write` has returned.

    Methods block and raise OSError. Any number of threads and processes may use one folder.

    Args:
        root: The folder; made if there is none. What a killed process left half-written is removed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / _INCOMING
        self._synced: set[str] = set()
        missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
        except OSError:
            if missing or not root.is_dir():
                raise
            # One that can only be read is searched all the same; who writes to it is told.
        for folder in missing:
            sync_folder(folder.parent)

    def write(self, name: str, data: bytes) -> bool:
        """Writes a file under a relative path; returns whether there was none. An existing one is left as it is."""
        path = self._root / name
        if path.exists():
            # Another writer may have moved it there and not have synced the folder yet.
            self._sync_folders(path)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._temporary() as (descriptor, temporary):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            temporary.replace(path)
        self._sync_folders(path)
        return True

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if there is none."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Deletes a file durably, if there is one."""
        path = self._root / name
        with suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

    def names(self) -> Iterator[list[str]]:
        """The names of all files, a folder at a time."""
        for outer in sorted(os.listdir(self._root)):
            if outer != _INCOMING and (self._root / outer).is_dir():
                for inner in sorted(os.listdir(self._root / outer)):
                    yield os.listdir(self._root / outer / inner)

    def check(self) -> None:
        """Lists the folder."""
        with os.scandir(self._root) as entries:
            next(entries, None)

    @contextmanager
    def _temporary(self) -> Iterator[tuple[int, Path]]:
        """A new file, locked as long as its writer lives; removed at the end unless it was moved away."""
        while True:
            temporary = self._incoming / secrets.token_hex(16)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with suppress(OSError):  # a file system without locks: leftovers then stay
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)  # a process that starts took it for a leftover before it was locked
        try:
            yield descriptor, temporary
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
            os.close(descriptor)

    def _remove_leftovers(self) -> None:
        for path in self._incoming.iterdir():
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            except OSError:
                continue  # its writer moved it away meanwhile, or it is another user's
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            except OSError:
                pass  # locked: another process is writing it
            finally:
                os.close(descriptor)

    def _sync_folders(self, path: Path) -> None:
        """Makes a file's name durable, and once those of its folders.

        Threads that do so together share the file system's commit; where nothing is left to write it costs nothing.
        """
        sync_folder(path.parent)
        folder = path.parent
        while folder != self._root:
            # Each level for itself: a thread that has synced the lower one may not have come to the upper one.
            if str(folder) not in self._synced:
                sync_folder(folder.parent)
                self._synced.add(str(folder))
            folder = folder.parent
