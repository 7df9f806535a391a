"""The folder of `axia search --save`: images named by rank and source, and a list of what axia wrote there.

By the list, files of an earlier search are told from others: only those are replaced, and only those are removed by
--clear, and only while they are as axia wrote them.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

SHEET = "contact-sheet.png"
_LIST = ".axia-search.json"
_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_LONGEST = 80
"""Characters of a source that a name has at most."""


class SavedPictures:
    """A folder for images that a search found.

    Args:
        folder: Made where it is missing.

    Raises:
        OSError: If it can't be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._hashes = dict(self._load())
        self.saved: list[Path] = []

    @property
    def earlier(self) -> list[Path]:
        """What earlier searches wrote and this one did not."""
        return [self._folder / name for name in self._hashes if self._is_ours(name) and not self._is_new(name)]

    @property
    def others(self) -> list[Path]:
        """What axia did not write, or somebody changed since."""
        found = [path for path in self._folder.iterdir() if path.name != _LIST]
        return [path for path in found if not self._is_ours(path.name)]

    def clear(self) -> int:
        """Removes what earlier searches wrote, and returns how many files that were."""
        gone = self.earlier
        for path in gone:
            path.unlink()
            del self._hashes[path.name]
        self._write_list()
        return len(gone)

    def add(self, rank: int, source: str, image_id: str, image_format: str, data: bytes) -> None:
        """Saves an image. A file of another's that has its name stays, and the image's id is added to the name."""
        ending = _ENDINGS.get(image_format, "bin")
        name = f"{rank:03d}-{_named(source) or image_id[:12]}"
        self._write(self._free(f"{name}.{ending}", data, f"{name}-{image_id[:12]}.{ending}"), data)

    def add_sheet(self, data: bytes) -> Path:
        """Saves the sheet; where somebody else has a file of that name, beside it."""
        path = self._free(SHEET, data, f"axia-{SHEET}")
        self._write(path, data)
        return path

    def _free(self, name: str, data: bytes, otherwise: str) -> Path:
        path = self._folder / name
        is_free = not path.exists() or self._is_ours(name) or path.read_bytes() == data
        return path if is_free else self._folder / otherwise

    def _write(self, path: Path, data: bytes) -> None:
        self.saved.append(path)
        if path.exists() and not self._is_ours(path.name) and path.read_bytes() == data:
            return  # somebody else's copy, which stays theirs
        path.write_bytes(data)
        self._hashes[path.name] = hashlib.sha256(data).hexdigest()
        self._write_list()  # at once, so that what an interrupted search leaves is known as axia's

    def _is_new(self, name: str) -> bool:
        return any(path.name == name for path in self.saved)

    def _is_ours(self, name: str) -> bool:
        """Whether axia wrote a file, and nobody changed it since."""
        try:
            data = (self._folder / name).read_bytes() if name in self._hashes else None
        except OSError:
            return False
        return data is not None and hashlib.sha256(data).hexdigest() == self._hashes[name]

    def _load(self) -> Mapping[str, str]:
        try:
            read = json.loads((self._folder / _LIST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(read, dict):
            return {}
        # A name with a folder in it is none that axia wrote.
        return {name: digest for name, digest in read.items() if isinstance(digest, str) and Path(name).name == name}

    def _write_list(self) -> None:
        (self._folder / _LIST).write_text(json.dumps(self._hashes, indent=1) + "\n", encoding="utf-8")


def _named(source: str) -> str:
    """A source as part of a file's name: without its ending, folders joined by hyphens."""
    stem = re.sub(r"\.(jpe?g|png|webp)$", "", source.strip(), flags=re.IGNORECASE)
    words = re.sub(r"[^\w.]+", "-", stem).strip("-._")
    return words.encode()[-_LONGEST:].decode(errors="ignore").lstrip("-._")
