"""Images that a command was given by paths."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from axia.cli._output import SUFFIXES, complain, some

_OTHER_PICTURES = {
    ".apng", ".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".ico", ".jp2", ".jxl", ".svg", ".tif",
    ".tiff",
}  # fmt: skip
"""Endings of images that are not taken."""


class Given(NamedTuple):
    """The images that were given."""

    pictures: list[str]
    missing: bool
    """Whether a folder has none."""


class _Folder(NamedTuple):
    pictures: list[str]
    skipped: list[str]
    """Names of images of other formats."""


def pictures_at(paths: Iterable[str], *, tell_skipped: bool = True) -> Given:
    """The images at paths: a file as it is; for a folder, those in it and in all below, sorted by path.

    Hidden files and folders are left out.

    Args:
        paths: Files and folders.
        tell_skipped: Whether to name images of other formats in a folder on standard error.
    """
    pictures: list[str] = []
    missing = False
    for path in paths:
        if not Path(path).is_dir():
            pictures.append(path)
            continue
        found = _below(path)
        pictures += found.pictures
        if found.skipped and tell_skipped:
            _tell_skipped(path, found.skipped)
        if not found.pictures:
            complain(f"{path}: there is no JPEG, PNG or WebP image in this folder or below: give a folder with images")
            missing = True
    return Given(pictures, missing)


def pictures_in(folder: Path) -> list[Path]:
    """The images right in a folder, by name; hidden files are none."""
    return sorted(file for file in folder.iterdir() if _is_picture(file.name) and file.is_file())


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def _below(path: str) -> _Folder:
    pictures: list[str] = []
    skipped: list[str] = []
    for root, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if _is_picture(name):
                pictures.append(str(Path(root, name)))
            elif Path(name).suffix.lower() in _OTHER_PICTURES and not name.startswith("."):
                skipped.append(os.path.relpath(Path(root, name), path))
    return _Folder(sorted(pictures), sorted(skipped))


def _tell_skipped(path: str, names: list[str]) -> None:
    files = "1 image is" if len(names) == 1 else f"{len(names)} images are"
    complain(f"{path}: {files} skipped: {some(names)}. Save them as JPEG, PNG or WebP")
