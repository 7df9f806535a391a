"""The files of one encoder's index: which of them count, and reading them back after any crash.

lock            held by the process that has the index open
manifest.json   names the segments that live; replaced atomically; everything that it doesn't name is a leftover
000007.log      pictures that no HNSW index holds: the last one is written to, the others are sealed
000006/         a part: shard/ (Qdrant Edge), pictures.log (what it was made from), part.json
000006-000009.deleted   what was deleted from a part before the logs that said so were dropped
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from services.retrieval.edge_flat import FlatPart
from services.retrieval.edge_log import DamagedLogError, Deleted, LogReader, LogWriter, replace_file, sync_folder
from services.retrieval.edge_part import LOG, IndexedPart, read_deleted
from services.retrieval.edge_shard import ShardError
from services.serving.errors import FailedPrecondition, Unavailable

_logger = logging.getLogger(__name__)

_FORMAT = 1
_MANIFEST = "manifest.json"
_LOAD_SPACE = 16 << 20
"""Free bytes that opening a shard may need."""

Segment = IndexedPart | FlatPart


class _Entry(NamedTuple):
    """A segment as the manifest names it."""

    name: str
    deleted: str | None
    """File that names what was deleted from it."""


class DamagedPartError(Exception):
    """A part's files are not what a build writes."""


class IndexFiles:
    """The folder of an index, which nobody else may open meanwhile.

    Args:
        path: The folder; made if there is none.
        dimension: Of the vectors.
        capacity: Pictures that a log has room for in memory from the start.

    Raises:
        Unavailable: If another process has it open.
        OSError: If it can't be made.
    """

    def __init__(self, path: Path, dimension: int, capacity: int) -> None:
        self.path = path
        self._dimension = dimension
        self._capacity = capacity
        path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise Unavailable(
                f"the index in {path} is open in another process; stop that one, or set AXIA_RETRIEVAL_DATA to "
                "another folder",
                reason="INDEX_LOCKED",
                retry_after_s=5.0,
            ) from error

    def load(self) -> tuple[LogWriter, tuple[Segment, ...]]:
        """Reads the segments, the active log's last, and opens that log; makes one in a folder that is empty.

        Raises:
            FailedPrecondition: If a log is damaged.
            OSError: If the files can't be read or written.
            ShardError: If the disk is too full to open a shard.
        """
        if not (self.path / _MANIFEST).exists():
            LogWriter(self.path / _log_name(1), self._dimension).close()
            self._write_manifest([_Entry(_log_name(1), None)])
        content = json.loads((self.path / _MANIFEST).read_text(encoding="utf-8"))
        entries = [_Entry(entry["name"], entry["deleted"]) for entry in content["segments"]]
        self._remove_leftovers(entries)
        with contextlib.ExitStack() as opened:  # closed again if any of them can't be read
            segments: list[Segment] = []
            end = 0
            for entry in entries:
                if not entry.name.endswith(".log"):
                    segments.append(part := self._load_part(entry))
                    if isinstance(part, IndexedPart):
                        opened.callback(part.close)
                    continue
                flat = self._flat(entry.name, self.path / entry.name)
                end = self._read_log(flat, is_active=entry is entries[-1])
                forget(flat.tombstones, segments)
                segments.append(flat)
            writer = LogWriter(self.path / entries[-1].name, self._dimension, end)
            opened.pop_all()
        return writer, tuple(segments)

    def write_manifest(self, segments: Sequence[Segment]) -> None:
        """Makes these the segments that live.

        Raises:
            OSError: If it can't be written; nothing has changed.
        """
        self._write_manifest(list(map(_entry, segments)))

    def remove_leftovers(self, segments: Sequence[Segment]) -> None:
        """Removes everything but these segments."""
        self._remove_leftovers(list(map(_entry, segments)))

    def begin_log(self, segments: Sequence[Segment]) -> tuple[LogWriter, FlatPart]:
        """Makes a log that follows these segments, in the manifest as well.

        Raises:
            OSError: If it can't be written; nothing has changed.
        """
        name = _log_name(self.next_number())
        writer = LogWriter(self.path / name, self._dimension)
        try:
            self._write_manifest([*map(_entry, segments), _Entry(name, None)])
        except OSError:
            writer.close()
            (self.path / name).unlink(missing_ok=True)
            raise
        return writer, self._flat(name, self.path / name)

    def open_part(self, path: Path, deleted_file: Path | None = None) -> IndexedPart:
        """Opens a part.

        Raises:
            OSError: If its files can't be read.
            ShardError: If its shard can't be opened, or there is no room to open one.
            DamagedPartError: If its summary is missing or can't be understood.
        """
        if shutil.disk_usage(self.path).free < _LOAD_SPACE:
            raise ShardError(OSError(28, "No space left on device"))
        try:
            return IndexedPart(path, deleted_file)
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:  # no JSON, or other fields or types
            raise DamagedPartError(f"{path.name} is damaged: {error!r}") from error

    def next_number(self) -> int:
        """A number that no file begins with."""
        numbers = [int(path.name[:6]) for path in self.path.iterdir() if path.name[:6].isdigit()]
        return max(numbers, default=0) + 1

    def close(self) -> None:
        """Lets go of the lock."""
        os.close(self._lock)

    def _load_part(self, entry: _Entry) -> Segment:
        deleted_file = self.path / entry.deleted if entry.deleted else None
        try:
            return self.open_part(self.path / entry.name, deleted_file)
        except (ShardError, DamagedPartError) as error:
            if isinstance(error, ShardError) and error.disk_full:
                raise
            # Damaged, or of another release of Edge. Its pictures are in its log: they are searched exactly meanwhile.
            _logger.warning(
                "a part can't be opened; it is built again", extra={"part": entry.name, "error": str(error)}
            )
            flat = self._flat(entry.name, self.path / entry.name / LOG)
            self._read_log(flat, is_active=False)
            if deleted_file:
                flat.deleted_file = deleted_file
                forget(set(read_deleted(deleted_file)), [flat])
            return flat

    def _read_log(self, flat: FlatPart, *, is_active: bool) -> int:
        """Fills a part from its log; returns where that ends."""
        reader = LogReader(flat.log, self._dimension)
        try:
            for operation in reader:
                if isinstance(operation, Deleted):
                    flat.tombstones.add(operation.key)
                    flat.delete(operation.key)
                else:
                    flat.add(operation)
        except (DamagedLogError, FileNotFoundError) as error:
            raise self._damaged(flat.log) from error
        if reader.torn and not is_active:
            raise self._damaged(flat.log)
        return reader.end

    def _damaged(self, log: Path) -> FailedPrecondition:
        return FailedPrecondition(
            f"the index is damaged: {log} can't be read to its end; restore the data folder from a backup, or delete "
            f"{self.path} and ingest or re-index the pictures again",
            reason="INDEX_DAMAGED",
        )

    def _flat(self, name: str, log: Path) -> FlatPart:
        return FlatPart(name, log, self._dimension, self._capacity)

    def _write_manifest(self, entries: Sequence[_Entry]) -> None:
        content = {"format": _FORMAT, "segments": [entry._asdict() for entry in entries]}
        replace_file(self.path / _MANIFEST, json.dumps(content, indent=1).encode())

    def _remove_leftovers(self, entries: Sequence[_Entry]) -> None:
        named: set[str | None] = {"lock", _MANIFEST, "encoder.json"}
        for entry in entries:
            named |= set(entry)
        for path in self.path.iterdir():
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        sync_folder(self.path)


def forget(keys: set[bytes], segments: Sequence[Segment]) -> None:
    """Deletes pictures from segments in memory."""
    for segment in segments:
        if isinstance(segment, IndexedPart):
            segment.delete(keys)
        else:
            for key in keys:
                segment.delete(key)


def _log_name(number: int) -> str:
    return f"{number:06d}.log"


def _entry(segment: Segment) -> _Entry:
    return _Entry(segment.name, segment.deleted_file.name if segment.deleted_file else None)
