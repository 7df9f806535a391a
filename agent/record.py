"""The record of a run: one JSON line a step, with the screenshot beside it.

The first line of `record.jsonl` says what was run; each further line is a step:

    {"step", "at", "screenshot", "sha256", "url", "signs", "seen": {"screen", "unchanged", "decision"},
     "question", "answer", "screen_answer", "action": {...}, "seconds": {"look", "ask", "act"}, "events"}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent import AgentError

NAME = "record.jsonl"
SCREENS = "screens"


class Record:
    """Writes a record; a new run in the same folder is added after what is there.

    Args:
        folder: is made if it isn't there.
        header: what is run, for the first line.
    """

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        self.folder = folder
        self._header = header

    def __enter__(self) -> Self:
        (self.folder / SCREENS).mkdir(parents=True, exist_ok=True)
        drop_half_line(self.folder / NAME)
        self._file = (self.folder / NAME).open("a", encoding="utf-8")
        self._write({"run": self._header})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def keep(self, name: str, picture: bytes) -> str:
        """Writes a screenshot, whole or not at all; its path in the folder."""
        path = f"{SCREENS}/{name}"
        write_whole(self.folder / path, picture)
        return path

    def note(self, step: dict[str, Any]) -> None:
        """Writes a step, after its screenshot."""
        self._write(step)

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()


def read_record(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a record.

    Raises:
        AgentError: there is none, or a line is damaged.
    """
    try:
        lines = (folder / NAME).read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError):
        raise AgentError(f"{folder} has no {NAME}: give the folder of a run of `axia agent`") from None
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            return  # the run was killed while it wrote
        try:
            row = json.loads(line)
        except ValueError:
            raise AgentError(f"{folder / NAME}, line {number}: this is not JSON") from None
        yield row


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that is there whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def drop_half_line(path: Path) -> None:
    """Cuts off what a killed run wrote last, so that the next line is whole."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
