"""One encoder's index: what is added and deleted, and what is built when.

Every change is in a log before it is in memory, so what was returned survives a crash. A part with an HNSW index is
made from sealed logs and smaller parts, which it then replaces in one replacement of the manifest. `edge_files` has the
files. Everything here blocks; `edge_index` and `edge_builds` call it in one thread.
"""

import contextlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from services.retrieval.edge_build import BuildJob
from services.retrieval.edge_files import IndexFiles, Segment, forget
from services.retrieval.edge_flat import FlatPart
from services.retrieval.edge_log import Added, encode_added, encode_deleted
from services.retrieval.edge_part import IndexedPart
from services.retrieval.edge_shard import HnswOptions
from services.retrieval.index import Entry
from services.retrieval.points import key_of

_logger = logging.getLogger(__name__)

_MERGE_RATIO = 3
"""A part is merged into a build of at least a third of its size. So however long the ingest, a picture is built into an
index at most log(n) times, and at most log(n) parts are searched."""
_FREED_TOGETHER = 1_000
_VACUUM_SHARE = 0.25
"""A part is built again when this share of it was deleted."""
_SETTLE_SHARE = 1 / 32
"""Everything is built into one part when this share is in others and nothing has been added for a while: every part is
a search of its own. Less would be built again and again for too little."""


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

    @property
    def exact(self) -> int:
        """Pictures that searches compare one by one."""
        return sum(len(segment) for segment in self.segments if isinstance(segment, FlatPart))


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
        self._files = IndexFiles(path, options.dimension, capacity=options.build_threshold)
        try:
            self._writer, segments = self._files.load()
        except BaseException:  # whatever it is, the lock on the folder must not stay
            self._files.close()
            raise
        self.view = View(segments)
        self._seal_if_full()

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
            forget(present, self.view.segments)
            self.view.active.tombstones |= present
        return len(present)

    def _seal_if_full(self) -> None:
        if self.view.active.written < self._options.build_threshold:
            return
        try:
            self._seal()
        except OSError as error:
            # The log just goes on growing; the next addition tries again.
            _logger.warning("can't begin a new log", extra={"index": self.path.name, "error": error.strerror})

    def _seal(self) -> None:
        writer, active = self._files.begin_log(self.view.segments)
        self._writer.close()
        self._writer = writer
        self.view = View((*self.view.segments, active))

    # Building.

    def to_build(self) -> bool:
        """Whether there is something to build."""
        return bool(self.view.sealed) or any(map(self._much_deleted, self.view.indexed))

    def outgrown(self) -> bool:
        """Whether so much was added since a build began that another is due."""
        return any(log not in self._building for log in self.view.sealed)

    def to_settle(self) -> bool:
        """Whether so much is outside the largest part that one build of everything is worth it."""
        sizes = list(map(len, self.view.segments))
        outside = sum(sizes) - max(map(len, self.view.indexed), default=0)
        return sum(sizes) >= self._options.build_threshold and outside >= _SETTLE_SHARE * sum(sizes)

    def _much_deleted(self, part: IndexedPart) -> bool:
        return part.deleted > max(_VACUUM_SHARE * part.written, self._options.build_threshold / 2)

    def begin_build(self, *, settling: bool = False) -> BuildJob | None:
        """What should be built now; None if nothing. `end_build` must follow.

        Args:
            settling: Nothing has been added for a while, so everything may become one part.

        Raises:
            OSError: If what was deleted, or a new log, can't be written.
        """
        chosen = self._all_that_is_written() if settling and self.to_settle() else self._due()
        if not chosen:
            return None
        number = f"{self._files.next_number():06d}"
        self._save_deleted(chosen, number)
        self._files.write_manifest(self.view.segments)
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

    def _due(self) -> list[Segment]:
        chosen: list[Segment] = list(self.view.sealed)
        size = sum(map(len, chosen))
        for part in sorted(self.view.indexed, key=len):
            if self._much_deleted(part) or (chosen and len(part) <= _MERGE_RATIO * size):
                chosen.append(part)
                size += len(part)
        return chosen

    def _all_that_is_written(self) -> list[Segment]:
        if self.view.active.written:
            self._seal()
        return list(self.view.segments[:-1])

    def enough_space(self, job: BuildJob) -> bool:
        """Whether there is room for a build: its log, its vectors, the graph and what Edge needs meanwhile."""
        needed = 4 * sum(Path(log).stat().st_size for log, _ in job.sources) + (256 << 20)
        return shutil.disk_usage(self.path).free > needed

    def end_build(self, job: BuildJob, *, built: bool) -> None:
        """Puts the part that was built in the place of what it was built from; removes it if that fails.

        Raises:
            OSError: If the manifest can't be written or the part can't be read.
            ShardError: If the part can't be opened.
            DamagedPartError: If its summary can't be understood.
        """
        replaced, self._building = list(self._building), ()
        target = Path(job.target)
        try:
            if built:
                self._swap(replaced, target)
        finally:
            if not any(segment.name == target.name for segment in self.view.segments):
                shutil.rmtree(target, ignore_errors=True)
        if built:
            # First the parts, whose files Edge writes out when it lets go of them, under the GIL: in a moment as long
            # as they are as the build left them, in 90 ms once they are removed.
            _let_go(replaced)
            self._files.remove_leftovers(self.view.segments)

    def _swap(self, replaced: Sequence[Segment], target: Path) -> None:
        part = self._files.open_part(target)
        try:
            self._replace(replaced, part)
        finally:
            if part not in self.view.segments:
                part.close()

    def _replace(self, replaced: Sequence[Segment], part: IndexedPart) -> None:
        kept = [segment for segment in self.view.segments if segment not in replaced]
        for segment in kept:
            if isinstance(segment, FlatPart):
                part.delete(segment.tombstones)  # deletions since, which the build didn't see
        # The logs that are dropped may say what was deleted from parts that stay.
        self._save_deleted(kept, part.name)
        first_log = next(place for place, segment in enumerate(kept) if isinstance(segment, FlatPart))
        segments: list[Segment] = [*kept[:first_log], *([part] if len(part) else []), *kept[first_log:]]
        self._files.write_manifest(segments)
        self.view = View(tuple(segments))

    def _save_deleted(self, segments: Sequence[Segment], number: str) -> None:
        for segment in segments:
            if isinstance(segment, IndexedPart):
                segment.save_deleted(self.path / f"{segment.name}-{number}.deleted")

    def close(self) -> None:
        """Lets go of the parts, the log and at last the lock, each whatever becomes of the others.

        Nothing may be asked of it any more.
        """
        view, self.view = self.view, View(())
        self._building = ()
        with contextlib.ExitStack() as last_first:
            last_first.callback(self._files.close)
            last_first.callback(self._writer.close)
            for part in view.indexed:
                last_first.callback(part.close)


def _let_go(segments: list[Segment]) -> None:
    """Empties the list of segments that are no longer searched, a little at a time.

    Freed all at once, the vectors and records of 50,000 pictures would hold the GIL for tens of milliseconds.
    """
    contents = [own for segment in segments if isinstance(segment, FlatPart) for own in segment.contents()]
    while segments:
        segments.pop()
    while contents:
        del contents[-_FREED_TOGETHER:]
