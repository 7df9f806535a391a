"""What an unfinished `axia index` has had acknowledged, so that the next run continues there."""

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self


class Done(NamedTuple):
    """An image that is stored."""

    id: str
    perceptual_hash: str


class Journal:
    """Acknowledged images of one folder at one gateway, in a file that is gone once the run is complete.

    A file that has changed since counts as not acknowledged. What is stored is stored under its content's hash, so a
    lost journal costs time and nothing else.
    """

    def __init__(self, folder: Path, address: str) -> None:
        key = hashlib.sha256(os.fsencode(f"{address}\0{folder.resolve()}")).hexdigest()[:16]
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self.path = Path(state) / "axia" / f"index-{key}.jsonl"
        self._done = self._load()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def forget(self) -> None:
        """Begins anew."""
        self._done = {}
        self.path.unlink(missing_ok=True)

    def find(self, path: str) -> Done | None:
        """What is known of a file, if it is as it was."""
        return self._done.get((path, *_stamp(path)))

    def add(self, path: str, done: Done) -> None:
        """A file was acknowledged."""
        self._file.write(json.dumps([path, *_stamp(path), *done]) + "\n")
        self._file.flush()

    def _load(self) -> dict[tuple[str, int, int], Done]:
        done = {}
        try:
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    path, size, modified, image_id, perceptual_hash = json.loads(line)
                except ValueError:
                    continue  # half a line, from a run that was killed
                done[path, size, modified] = Done(image_id, perceptual_hash)
        except OSError:
            return {}
        return done


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
