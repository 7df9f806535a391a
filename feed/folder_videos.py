"""Videos from a folder of the user's own: a picture is a still video, a subfolder a video of its pictures by name.

An optional `videos.jsonl` in the folder says more: {"id": "beach", "caption": "Sunday", "account": "ana", "tags":
["beach"], "topics": ["hedonism"], "likes": 1200, "length_s": 6, "values": ["hedonism"]}; every part but the id may be
left out. The id is the picture's or subfolder's name, without an ending, in lower-case letters, digits and hyphens.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axia.lexicon import VALUES
from feed import FeedError
from feed.videos import FramePicture, Video

_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_FRAME_S = 1.0
"""Seconds that a picture of a subfolder is shown, unless `length_s` says otherwise."""
NAME = "videos.jsonl"


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    account: str = "you"
    caption: str = ""
    tags: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    likes: int = Field(default=0, ge=0)
    length_s: float | None = Field(default=None, ge=0, le=600)
    values: tuple[str, ...] = ()


class FolderVideos:
    """The videos of a folder.

    Raises:
        FeedError: there is no picture, a name stands for two videos, or a row of `videos.jsonl` breaks a rule.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FeedError(f"{folder} is not a folder: give a folder with images")
        self.skipped: list[str] = []
        """Subfolders without a picture."""
        self._files: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            files = _pictures(path)
            if not files:
                self.skipped += [path.name] if path.is_dir() else []
                continue
            name = re.sub(r"[^a-z0-9]+", "-", (path.name if path.is_dir() else path.stem).lower()).strip("-")
            name = name or hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
            if name in self._files:
                raise FeedError(f"{folder}: two videos would be named {name}: rename {path.name}")
            self._files[name] = files
        if not self._files:
            raise FeedError(f"{folder} has no JPEG, PNG or WebP images, and no subfolder with such images")
        rows = _rows(folder / NAME, set(self._files))
        self.videos = tuple(_video(rows.get(name, _Row(id=name)), len(files)) for name, files in self._files.items())

    def frame(self, video: Video, number: int) -> FramePicture:
        """A picture as its file has it."""
        files = self._files[video.id]
        file = files[number % len(files)]
        return FramePicture(file.read_bytes(), _TYPES[file.suffix.lower()])

    def screenshot(self, video: Video, platform: str) -> bytes:
        """The first picture as its file has it."""
        return self.frame(video, 0).data


def _pictures(path: Path) -> list[Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.suffix.lower() in _TYPES and file.is_file()]


def _video(row: _Row, frames: int) -> Video:
    # Several pictures in no time would be played endlessly fast; one is a still.
    length_s = row.length_s or (0.0 if frames == 1 else frames * _FRAME_S)
    return Video(row.id, row.account, row.caption, row.tags, row.topics, row.likes, frames, length_s, values=row.values)


def _rows(file: Path, known: set[str]) -> dict[str, _Row]:
    if not file.exists():
        return {}
    rows: dict[str, _Row] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            data: Any = json.loads(line)
            row = _Row.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            raise FeedError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        except ValueError:
            raise FeedError(f"{where}: this line is not JSON") from None
        if row.id not in known:
            raise FeedError(f"{where}: there is no image or subfolder named {row.id}")
        if wrong := [value for value in row.values if value not in VALUES]:
            raise FeedError(f"{where}: {wrong[0]} is not one of the ten values: {', '.join(VALUES)}")
        rows[row.id] = row
    return rows
