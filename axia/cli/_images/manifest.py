"""What is known of a folder's images: `manifest.jsonl` beside them, JSON lines, one row an image.

{"file": "tiktok/a.jpg", "platform": "tiktok", "source": "https://…", "capture_time": "2024-09-01T12:00:00Z"}
{"file": "cover.jpg", "index": false}

All but `file` may be left out; fields of other names are ignored.
"""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import typer

from axia._file_names import on_disk, path_of

NAME = "manifest.jsonl"
_NO_MANIFEST = "or index every image with --no-manifest"


class Known(NamedTuple):
    """What a row says of an image; None where it says nothing."""

    platform: str | None
    source: str | None
    capture_time: datetime | None
    wanted: bool
    """Whether the image is to be taken in."""


NOTHING = Known(None, None, None, True)


def read_manifest(folder: Path) -> Mapping[str, Known] | None:
    """The rows by path, which begins with the folder's; None where the folder has no manifest.

    Raises:
        typer.BadParameter: If it can't be read or a row breaks a rule, naming file, line and rule.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # texts may have line breaks of other kinds
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(f"{path} can't be read: give a text file with one JSON object per line, {_NO_MANIFEST}") from error
    found: dict[str, Known] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            file, known = _parse(line)
        except ValueError as error:
            raise _bad(f"{path}, line {number}: {error}; correct it, {_NO_MANIFEST}") from None
        picture = str(on_disk(folder, file))
        if picture in found:
            raise _bad(f"{path}, line {number}: {file!r} already has a row; remove one of them, {_NO_MANIFEST}")
        found[picture] = known
    return found


def _parse(line: str) -> tuple[str, Known]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - what is wrong is the file
    file = row.get("file")
    if not isinstance(file, str) or not file:
        raise ValueError("has no file, the image's path below the folder")
    file = os.path.normpath(path_of(file))
    if os.path.isabs(file) or file.split(os.sep)[0] == os.pardir:
        raise ValueError(f"{file!r} is not below the folder")
    platform, source, moment, index = (row.get(name) for name in ("platform", "source", "capture_time", "index"))
    if not isinstance(platform, str | None) or not isinstance(source, str | None):
        raise ValueError("platform and source must be texts")  # noqa: TRY004 - what is wrong is the file
    if index not in (None, True, False):
        raise ValueError("index must be true or false")
    try:
        captured = None if moment is None else datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        raise ValueError("capture_time must be a time such as 2024-09-01T12:00:00Z") from None
    return file, Known(platform, source, captured, index is not False)


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="DIR")
