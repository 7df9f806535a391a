"""What `axia detect --out` saves: the request and a row for each image, a JSON line each; --resume continues from it.

Rows come as images are done, in no order. A row of an image that failed is left out when the file is gone on with.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import typer

from axia._file_names import path_of, written
from axia.cli._detections.options import DetectOptions
from axia.cli._output import as_json

if TYPE_CHECKING:
    from axia.results import Detection


class Saved(NamedTuple):
    """What a file has."""

    options: DetectOptions
    done: "Mapping[str, Detection]"
    """Detections by the path of their image, as far as that is still the same image."""


class DetectionsFile:
    """Takes rows from several threads."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def add(self, row: object) -> None:
        """An image is done: its detection, or why it has none."""
        line = as_json(row) + "\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()


@contextmanager
def new_file(path: Path, options: DetectOptions) -> Iterator[DetectionsFile]:
    """A new file with the request in it.

    Raises:
        FileExistsError: If there is one already.
    """
    with path.open("x", encoding="utf-8") as file:
        saved = DetectionsFile(file)
        saved.add({"event": "request", "request": options.as_json(), "folder": written(os.getcwd())})
        yield saved


@contextmanager
def same_file(path: Path) -> Iterator[DetectionsFile]:
    """A file that is gone on with."""
    with path.open("a", encoding="utf-8") as file:
        yield DetectionsFile(file)


def load(path: Path) -> Saved:
    """Reads a file, and removes from it what is to be asked again: failures, changed images, half a line at its end.

    Raises:
        typer.BadParameter: If it can't be gone on with.
    """
    from axia.results import Detection

    try:
        lines = path.read_bytes().splitlines(keepends=True)
        request = json.loads(lines[0])
        options = DetectOptions.of_json(request["request"])
        folder = path_of(request["folder"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise _bad(f"{path} can't be read: give a file that `axia detect --out` wrote") from None
    if folder != os.getcwd() and any(not Path(name).is_absolute() for name in options.paths):
        raise _bad(f"{path} was started in {folder}, and its paths are relative: continue in that folder")
    kept, done = [lines[0]], {}
    for line in lines[1:]:
        try:
            detection = Detection.model_validate_json(line)
        except ValueError:
            continue  # a failure, or half a line of a run that was killed
        where = detection.image.path
        if where is not None and where not in done and _sha256(where) == detection.image.sha256:
            done[where] = detection
            kept.append(line)
    if kept != lines:
        _replace(path, b"".join(kept))
    return Saved(options, done)


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _replace(path: Path, data: bytes) -> None:
    """Replaces a file's content at once, so that a kill leaves the old one or the new one."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(data)
        os.replace(new, path)
    except OSError as error:
        raise _bad(f"{path} can't be written: {error.strerror}") from error


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--resume")
