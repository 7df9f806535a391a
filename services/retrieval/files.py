"""Files that survive a kill of the process and a loss of power."""

import os
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Replaces a file durably; a kill at any moment leaves the old one or the new one.

    Raises:
        OSError: If it can't be written; the file is as it was.
    """
    incoming = path.with_name(path.name + ".incoming")
    try:
        with incoming.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        incoming.replace(path)
    except OSError:
        incoming.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes what was created, renamed or removed in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
