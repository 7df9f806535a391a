"""Names of files that archives and lists from other systems spell otherwise than the disk."""

import os
import unicodedata
from pathlib import Path


def on_disk(folder: Path, file: str) -> Path:
    """The path of a file that a list names, as the disk spells it; as named if there is no such file.

    A Mac writes é as e and an accent, Windows writes folders with a backslash, and lists are written elsewhere.

    Args:
        folder: Where the list is.
        file: The name in the list, relative to the folder.
    """
    for name in (file, file.replace("\\", "/")):
        for spelled in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
            other = spelled != file
            if not (other and os.pardir in Path(spelled).parts) and (found := folder / spelled).exists():
                return found
    return folder / file


def as_text(path: str) -> str:
    """A path as a text that can be sent: bytes that are not UTF-8, as of Windows, become \\x and digits."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
