"""Paths of files as JSON and tables have them, also where a name is not Unicode.

On Linux a file's name is bytes, and Python holds bytes that are not UTF-8 as lone surrogates, which neither JSON nor a
terminal can have. Such a path is written as ``file:`` and the percent-encoded bytes: ``photos/caf\\xe9.jpg`` becomes
``file:photos/caf%E9.jpg``. All other paths stay as they are, but for those that begin with ``file:`` themselves, which
are written likewise. So each written path stands for one path.
"""

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

_SCHEME = "file:"
_SURROGATE = re.compile("[\ud800-\udfff]")
_LOWEST_BYTE = 0xDC00


def written(path: str) -> str:
    """A path as text that anything can hold; `path_of` reverses it."""
    if not _SURROGATE.search(path) and not path.startswith(_SCHEME):
        return path
    try:
        data = os.fsencode(path)
    except UnicodeEncodeError:  # half a character that no file system gave
        data = path.encode("utf-8", "surrogatepass")
    return _SCHEME + quote_from_bytes(data)


def path_of(text: str) -> str:
    """The path that a text stands for."""
    if not text.startswith(_SCHEME):
        return text
    path = os.fsdecode(unquote_to_bytes(text.removeprefix(_SCHEME)))
    return path if written(path) == text else text


def on_disk(folder: str | Path, file: str) -> Path:
    """The path of a file that a list names, as the disk spells it; as named if there is no such file.

    A Mac writes é as e and an accent, Windows writes folders with a backslash, and lists are written elsewhere.

    Args:
        folder: Where the list is.
        file: Its path in the list, relative to the folder.
    """
    for name in (file, file.replace("\\", "/")):
        for spelled in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
            other = spelled != file
            if not (other and os.pardir in Path(spelled).parts) and (found := Path(folder, spelled)).exists():
                return found
    return Path(folder, file)


def shown(text: str) -> str:
    """Text for people, such as a message that names a file: bytes of names that are not UTF-8 become %E9 and so on."""
    return _SURROGATE.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(surrogate: int) -> str:
    byte = surrogate - _LOWEST_BYTE
    return f"%{byte:02X}" if 0 <= byte <= 0xFF else f"\\u{surrogate:04x}"  # noqa: PLR2004 - a byte
