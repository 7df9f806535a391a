"""The files of one encoder's index, and how they become a consistent whole after any crash.

    lock            held by the process that has the index open
    manifest.json   names the segments that live; replaced atomically; everything that it doesn't name is a leftover
    000007.log      pictures that no HNSW index holds: the last one is written to, the others are sealed
    000006/         a part: shard/ (Qdrant Edge), pictures.log (what it was made from), part.json
    000006-000009.deleted   what was deleted from a part before the logs that said so were dropped

A part is made from sealed logs and smaller parts, which it then replaces in one replacement of the manifest.
Everything here blocks; `edge_index` calls it in one thread.
"""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from services.retrieval.edge_build import BuildJob
from services.retrieval.edge_flat import FlatPart
from services.retrieval.edge_log import (
    Added,
    DamagedLogError,
    Deleted,
    LogReader,
    LogWriter,
    encode_added,
    encode_deleted,
    replace_file,
    sync_folder,
)
from services.retrieval.edge_part import LOG, IndexedPart, read_deleted
from services.retrieval.edge_shard import HnswOptions, ShardError
from services.retrieval.index import Entry
from services.retrieval.points import key_of
from services.serving.errors import FailedPrecondition, Unavailable

_logger = logging.getLogger(__name__)

_FORMAT = 1
_MERGE_RATIO = 3
"""A part is merged into a build of at least a third of its size. So however long the ingest, a picture is built into an
index at most log(n) times, and at most log(n) parts are searched."""
_VACUUM_SHARE = 0.25
"""A part is built again when this share of it was deleted."""
_LOAD_SPACE = 16 << 20
"""Free bytes that opening a shard may need."""

Segment = IndexedPart | FlatPart


class View(NamedTuple):
    """What is searched; replaced as a whole."""

    segments: tuple[Segment, ...]
    """The active log's last; none once the store is closed."""

    @property
    def active(self) -> FlatPart:
        """What is written to."""
        last = self.segments[-1]
        assert isinstance(last, FlatPart)  # noqa: S101  # the manifest's last segment is always a log
        return last

    @property
    def indexed(self) -> list[IndexedPart]:
        """Those under an HNSW index."""
        return [segment for segment in self.segments if isinstance(segment, IndexedPart)]

    @property
    def sealed(self) -> list[FlatPart]:
        """Those that wait for one."""
        return [segment for segment in self.segments[:-1] if isinstance(segment, FlatPart)]


@dataclass(frozen=True)
class StoreOptions:
    """How an index is kept."""

    dimension: int
    build_threshold: int
    """Pictures in a log at which it is sealed and built into an HNSW index."""
    hnsw: HnswOptions


class EdgeStore:
    """One encoder's index on disk, and its parts in memory.

    Args:
        path: Its folder; made if there is none.
        options: How it is kept.

    Raises:
        Unavailable: If another process has it open.
        FailedPrecondition: If its files are damaged.
        OSError: If its files can't be read or written.
        ShardError: If the disk is too full to open a shard.
    """

    def __init__(self, path: Path, options: StoreOptions) -> None:
        self.path = path
        self._options = options
        self._building: tuple[Segment, ...] = ()
        path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take_lock()
            manifest = path / "manifest.json"
            if not manifest.exists():
                LogWriter(path / _log_name(1), options.dimension).close()
                self._replace_manifest([{"name": _log_name(1), "deleted": None}])
            content = json.loads(manifest.read_text(encoding="utf-8"))
            self._remove_leftovers(content)
            self._writer, segments = self._replay(content["segments"])
        except BaseException:
            os.close(self._lock)
            raise
        self.view = View(segments)
        self._seal_if_full()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Unavailable(
                f"the index in {self.path} is open in another process; stop that one, or set AXIA_RETRIEVAL_DATA to "
                "another folder",
                reason="INDEX_LOCKED",
                retry_after_s=5.0,
            ) from error

    @property
    def building(self) -> bool:
        """Whether a build was begun and not ended."""
        return bool(self._building)

    # Writing.

    def add(self, entries: Sequence[Entry]) -> list[bool]:
        """Adds those that aren't here, durably; returns which are new.

        Raises:
            OSError: If they can't be written; nothing has changed.
        """
        if any(entry.vector.shape != (self._options.dimension,) for entry in entries):
            raise ValueError(f"vectors of this index have {self._options.dimension} dimensions")
        keys = [bytes.fromhex(entry.record.id) for entry in entries]
        known = set[bytes]()
        for segment in self.view.segments:
            known |= segment.present(keys)
        new: list[bool] = []
        fresh: list[Added] = []
        frames: list[bytes] = []
        for key, entry in zip(keys, entries, strict=True):
            new.append(key not in known)
            if key not in known:
                known.add(key)
                fresh.append(Added(key, entry.vector, entry.record))
                frames.append(encode_added(entry))
        if frames:
            self._writer.append(frames)
            for added in fresh:
                self.view.active.add(added)
            self._seal_if_full()
        return new

    def delete(self, ids: Sequence[str]) -> int:
        """Deletes those that are here, durably; returns how many were.

        Raises:
            OSError: If it can't be written; nothing has changed.
        """
        keys = list({key for picture in ids if (key := key_of(picture)) is not None})
        present = set[bytes]()
        for segment in self.view.segments:
            present |= segment.present(keys)
        if present:
            self._writer.append([encode_deleted(key) for key in sorted(present)])
            self._forget(present, self.view.segments)
            self.view.active.tombstones |= present
        return len(present)

    @staticmethod
    def _forget(keys: set[bytes], segments: Sequence[Segment]) -> None:
        for segment in segments:
            if isinstance(segment, IndexedPart):
                segment.delete(keys)
            else:
                for key in keys:
                    segment.delete(key)

    def _seal_if_full(self) -> None:
        if self.view.active.written < self._options.build_threshold:
            return
        name = _log_name(self._next_number())
        try:
            writer = LogWriter(self.path / name, self._options.dimension)
            self._replace_manifest([*map(_entry, self.view.segments), {"name": name, "deleted": None}])
        except OSError as error:
            # The log just goes on growing; the next addition tries again.
            _logger.warning("can't begin a new log", extra={"index": self.path.name, "error": error.strerror})
            return
        self._writer.close()
        self._writer = writer
        self.view = View((*self.view.segments, self._flat(name, self.path / name)))

    # Building.

    def to_build(self) -> bool:
        """Whether there is something to build."""
        return bool(self.view.sealed) or any(map(self._much_deleted, self.view.indexed))

    def _much_deleted(self, part: IndexedPart) -> bool:
        return part.deleted > max(_VACUUM_SHARE * part.written, self._options.build_threshold / 2)

    def begin_build(self) -> BuildJob | None:
        """What should be built now; None if nothing. `end_build` must follow.

        Raises:
            OSError: If what was deleted can't be written.
        """
        chosen: list[Segment] = list(self.view.sealed)
        size = sum(map(len, chosen))
        for part in sorted(self.view.indexed, key=len):
            if self._much_deleted(part) or (chosen and len(part) <= _MERGE_RATIO * size):
                chosen.append(part)
                size += len(part)
        if not chosen:
            return None
        number = f"{self._next_number():06d}"
        self._save_deleted(chosen, number)
        self._replace_manifest(list(map(_entry, self.view.segments)))
        self._building = tuple(segment for segment in self.view.segments if segment in chosen)
        return BuildJob(
            sources=[
                (str(segment.log), str(segment.deleted_file) if segment.deleted_file else None)
                for segment in self._building
            ],
            target=str(self.path / number),
            dimension=self._options.dimension,
            hnsw=(self._options.hnsw.m, self._options.hnsw.ef_construct, self._options.hnsw.quantization),
        )

    def enough_space(self, job: BuildJob) -> bool:
        """Whether there is room for a build: its log, its vectors, the graph and what Edge needs meanwhile."""
        needed = 4 * sum(Path(log).stat().st_size for log, _ in job.sources) + (256 << 20)
        return shutil.disk_usage(self.path).free > needed

    def end_build(self, job: BuildJob, *, built: bool) -> None:
        """Puts the part that was built in the place of what it was built from; removes it if that fails.

        Raises:
            OSError: If the manifest can't be written or the part can't be read.
            ShardError: If the part can't be opened.
        """
        replaced, self._building = self._building, ()
        target = Path(job.target)
        try:
            if built:
                self._swap(replaced, target)
        finally:
            if not any(segment.name == target.name for segment in self.view.segments):
                shutil.rmtree(target, ignore_errors=True)

    def _swap(self, replaced: tuple[Segment, ...], target: Path) -> None:
        self._check_space()
        part = IndexedPart(target, None)
        kept = [segment for segment in self.view.segments if segment not in replaced]
        for segment in kept:
            if isinstance(segment, FlatPart):
                part.delete(segment.tombstones)  # deletions since, which the build didn't see
        # The logs that are dropped may say what was deleted from parts that stay.
        self._save_deleted(kept, target.name)
        first_log = next(place for place, segment in enumerate(kept) if isinstance(segment, FlatPart))
        segments: list[Segment] = [*kept[:first_log], *([part] if len(part) else []), *kept[first_log:]]
        self._replace_manifest(list(map(_entry, segments)))
        self.view = View(tuple(segments))
        self._remove_leftovers({"segments": list(map(_entry, segments))})

    def _save_deleted(self, segments: Sequence[Segment], number: str) -> None:
        for segment in segments:
            if isinstance(segment, IndexedPart):
                segment.save_deleted(self.path / f"{segment.name}-{number}.deleted")

    # Files.

    def _replay(self, entries: Sequence[dict[str, str | None]]) -> tuple[LogWriter, tuple[Segment, ...]]:
        segments: list[Segment] = []
        end = 0
        for entry in entries:
            name = str(entry["name"])
            deleted_file = self.path / str(entry["deleted"]) if entry["deleted"] else None
            if not name.endswith(".log"):
                segments.append(self._load_part(name, deleted_file))
                continue
            flat = self._flat(name, self.path / name)
            end = self._read_log(flat, is_active=entry is entries[-1])
            self._forget(flat.tombstones, segments)
            segments.append(flat)
        return LogWriter(self.path / str(entries[-1]["name"]), self._options.dimension, end), tuple(segments)

    def _load_part(self, name: str, deleted_file: Path | None) -> Segment:
        self._check_space()
        try:
            return IndexedPart(self.path / name, deleted_file)
        except (ShardError, FileNotFoundError, ValueError, KeyError) as error:
            if isinstance(error, ShardError) and error.disk_full:
                raise
            # Damaged, or of another release of Edge. Its pictures are in its log: they are searched exactly meanwhile.
            _logger.warning("a part can't be opened; it is built again", extra={"part": name, "error": str(error)})
            flat = self._flat(name, self.path / name / LOG)
            self._read_log(flat, is_active=False)
            if deleted_file:
                flat.deleted_file = deleted_file
                self._forget(set(read_deleted(deleted_file)), [flat])
            return flat

    def _read_log(self, flat: FlatPart, *, is_active: bool) -> int:
        """Fills a part from its log; returns where that ends."""
        reader = LogReader(flat.log, self._options.dimension)
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

    def _check_space(self) -> None:
        if shutil.disk_usage(self.path).free < _LOAD_SPACE:
            raise ShardError(OSError(28, "No space left on device"))

    def _flat(self, name: str, log: Path) -> FlatPart:
        return FlatPart(name, log, self._options.dimension, self._options.build_threshold)

    def _replace_manifest(self, entries: list[dict[str, str | None]]) -> None:
        content = {"format": _FORMAT, "segments": entries}
        replace_file(self.path / "manifest.json", json.dumps(content, indent=1).encode())

    def _remove_leftovers(self, manifest: dict[str, list[dict[str, str | None]]]) -> None:
        named = {"lock", "manifest.json", "encoder.json"}
        for entry in manifest["segments"]:
            named |= {str(entry["name"]), str(entry["deleted"])}
        for path in self.path.iterdir():
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        sync_folder(self.path)

    def _next_number(self) -> int:
        numbers = [int(path.name[:6]) for path in self.path.iterdir() if path.name[:6].isdigit()]
        return max(numbers, default=0) + 1

    def close(self) -> None:
        """Lets go of the parts, the log and at last the lock. Nothing may be asked of it any more."""
        view, self.view = self.view, View(())
        self._building = ()
        for part in view.indexed:
            part.close()
        self._writer.close()
        os.close(self._lock)


def _log_name(number: int) -> str:
    return f"{number:06d}.log"


def _entry(segment: Segment) -> dict[str, str | None]:
    return {"name": segment.name, "deleted": segment.deleted_file.name if segment.deleted_file else None}
