"""The segments of an open index: which there are, when one is built, and the process that searches them.

A segment is a folder, `hnsw-ENCODER-AFTER-LAST`, over the changes above one number up to another; those that follow
each other from 0 on count, and everything else is a leftover. Beside them nothing needs to be remembered.
"""

import asyncio
import contextlib
import json
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from services.retrieval.embedded import children
from services.retrieval.embedded.children import (
    DISK_FULL,
    MANIFEST,
    HnswOptions,
    Job,
    Searcher,
    SearcherLostError,
    SegmentError,
)
from services.retrieval.embedded.table import Table
from services.retrieval.index import EncoderId
from services.serving.errors import ServiceError, Unavailable

_log = logging.getLogger(__name__)

_MERGE_RATIO = 3
"""A segment is merged into a build of at least a third of its size. So however long the ingest, a picture is built into
an index at most log(n) times, and at most log(n) segments are searched."""
_VACUUM_SHARE = 0.25
"""A segment is built again when this share of it was deleted."""
_COMPACT_SHARE = 1 / 32
"""All is built into one segment when this share is outside the largest and nothing has been added for a while."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 600.0
"""Before a build that failed is tried again; doubles."""


class SegmentOptions(NamedTuple):
    """How segments are made."""

    build_threshold: int
    """Pictures in no segment from which one is built for them."""
    hnsw: HnswOptions
    settle_s: float
    """Seconds without an addition or a deletion after which everything is built into one segment."""


class Segment(NamedTuple):
    """One of them."""

    path: Path
    after: int
    last: int
    points: int
    """Pictures that it was made with."""


class Indexed(Protocol):
    """Whose segments they are."""

    number: int
    """Of the encoder."""
    table: Table

    @property
    def encoder(self) -> EncoderId:
        """Which it is."""

    @property
    def last(self) -> int:
        """Number of the last change."""


class Segments:
    """The segments of one encoder, and one task that builds them.

    Args:
        index: Whose they are.
        database: Path of the database.
        options: How they are made.
    """

    def __init__(self, index: Indexed, database: Path, options: SegmentOptions) -> None:
        self._index = index
        self._database = database
        self._options = options
        self.segments = _read_segments(database.parent, index.number)
        """Those that there are, in the order of their changes."""
        self.searcher: Searcher | None = None
        """Searches them; None while there are none, or none that can be opened."""
        self._ended: list[Searcher] = []
        """Those that are no longer asked, to be closed."""
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held while segments are built and opened."""
        self.opened = asyncio.Event()
        """Set when what there is was opened for the first time, or found to be damaged."""
        self._child: asyncio.subprocess.Process | None = None
        self._untimed = False
        """Whether nothing was due, nor will be later, unless something is written."""
        self._compacting = False
        self._building = False
        self._written = time.monotonic()
        self._pause_s, self._not_before = _FIRST_PAUSE_S, 0.0
        self._task = asyncio.create_task(self._run(), name="index-segments")

    @property
    def last(self) -> int:
        """Number of the last change that the open segments hold."""
        return self.segments[-1].last if self.segments else 0

    @property
    def building(self) -> bool:
        """Whether something is built, or about to be."""
        return self._building or (self._due(compact=False) is not None and time.monotonic() >= self._not_before)

    def deleted(self, table: Table) -> int:
        """Pictures that were deleted from the segments."""
        return sum(segment.points for segment in self.segments) - table.alive(0, table.row_after(self.last))

    def after_write(self) -> None:
        """Builds what is due now that something was added or deleted."""
        self._written = time.monotonic()
        outside = self._index.table.count - self._index.table.row_after(self.last)
        if self._child is not None and self._compacting and outside >= 2 * self._options.build_threshold:
            children.kill(self._child)  # everything at once takes long; what was added meanwhile comes first
        if not self._wake.is_set() and (
            self._due(compact=False) is not None or (self._untimed and self._due(compact=True) is not None)
        ):
            self._wake.set()

    def lost(self, searcher: Searcher) -> None:
        """Starts the process again that searched, and has ended."""
        if self.searcher is searcher:
            _log.warning("the process that searches ended; images are compared one by one until another has started")
            self.searcher = None
            self._ended.append(searcher)
            self._wake.set()

    async def purge(self) -> None:
        """Builds the segments again that hold what was deleted, and removes those.

        Raises:
            ResourceExhausted: If there is no room for it.
            Unavailable: If it fails.
        """
        if self._child is not None:
            children.kill(self._child)
        async with self._turn:
            table = self._index.table
            for place, segment in enumerate(self.segments):
                if segment.points > table.alive(table.row_after(segment.after), table.row_after(segment.last)):
                    if not await self._build(place):
                        raise Unavailable(
                            "the index can't be built again without what was deleted; the log says why",
                            reason="PURGE_FAILED",
                            retry_after_s=10.0,
                        )
                    break

    async def close(self) -> None:
        """Ends builds and searches."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._let_go()

    async def _run(self) -> None:
        while True:
            try:
                async with self._turn:
                    if self.segments and self.searcher is None:
                        await self._open(self.segments)
                    self.opened.set()
                    place = self._due(compact=False)
                    self._compacting = place is None and time.monotonic() >= self._written + self._options.settle_s
                    if self._compacting:
                        place = self._due(compact=True)
                    if place is not None and time.monotonic() >= self._not_before:
                        await self._build(place)
            except (OSError, ServiceError, SearcherLostError) as error:
                _log.warning("an index can't be built or opened; it is tried again", extra={"error": str(error)})
                self._fail()
            except Exception:  # a mistake here must not end builds for good
                _log.exception("a build ended unexpectedly; it is tried again")
                self._fail()
            await self._idle()

    async def _idle(self) -> None:
        """Waits until something may be due."""
        times = [self._not_before] if self._not_before > time.monotonic() else []
        if not times and (self._due(compact=False) is not None or (self.segments and self.searcher is None)):
            return
        if self._due(compact=True) is not None:
            times.append(self._written + self._options.settle_s)
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            self._untimed = not times
            async with asyncio.timeout(max(min(times) - time.monotonic(), 0.05) if times else None):
                await self._wake.wait()

    def _fail(self) -> None:
        self._not_before = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _due(self, *, compact: bool) -> int | None:
        """From which segment on everything should be built into one; None if nothing is due.

        Args:
            compact: Nothing has been added for a while, so everything may become one segment.
        """
        table, threshold = self._index.table, self._options.build_threshold
        sizes = [table.alive(table.row_after(each.after), table.row_after(each.last)) for each in self.segments]
        outside = table.alive(table.row_after(self.last), table.count)
        if compact:
            others = sum(sizes) + outside - max(sizes, default=0)
            worth = sum(sizes) + outside >= threshold and others >= _COMPACT_SHARE * (sum(sizes) + outside)
            return 0 if worth else None
        for place, (segment, size) in enumerate(zip(self.segments, sizes, strict=True)):
            if segment.points - size > max(_VACUUM_SHARE * segment.points, threshold / 2):
                return place
        if outside < threshold:
            return None
        place = len(sizes)
        while place and sizes[place - 1] <= _MERGE_RATIO * outside:
            place -= 1
            outside += sizes[place]
        return place

    async def _build(self, place: int) -> bool:
        """Builds everything from a segment on into one; returns whether it did."""
        self._building = True
        try:
            kept = self.segments[:place]
            after, last = kept[-1].last if kept else 0, self._index.last
            table = self._index.table
            alive = table.alive(table.row_after(after), table.count)
            if not alive:
                await self._open(kept)
                return True
            target = self._database.parent / f"hnsw-{self._index.number}-{after}-{last}"
            began = time.monotonic()
            if not await self._run_child(target, after, last, alive):
                return False
            await self._open([*kept, _read_segment(target)])
            self._pause_s = _FIRST_PAUSE_S
            _log.info("built an index", extra={"seconds": round(time.monotonic() - began, 1), "pictures": alive})
            return True
        finally:
            self._building = False

    async def _run_child(self, target: Path, after: int, last: int, pictures: int) -> bool:
        dimension = self._index.encoder.dimension
        await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        if shutil.disk_usage(target.parent).free < 3 * pictures * (4 * dimension + 400) + (256 << 20):
            _log.warning("too little disk space to build an index; searches continue without one")
            self._fail()
            return False
        job = Job(str(self._database), self._index.number, dimension, after, last, str(target), self._options.hnsw)
        self._child = await children.start("build", stdin=asyncio.subprocess.PIPE)
        try:
            await self._child.communicate(job.to_json())
        finally:
            child, self._child = self._child, None
            if child.returncode != 0:
                children.kill(child)
                await child.wait()
                await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        if child.returncode == 0:
            return True
        if child.returncode == DISK_FULL:
            _log.warning("the disk is too full to build an index; searches continue without one")
        else:
            _log.warning("a build ended before it was done", extra={"returncode": child.returncode})
        if not self._compacting:
            self._fail()
        return False

    async def _open(self, segments: list[Segment]) -> None:
        """Searches these from now on, as far as they can be opened, and removes all others."""
        searcher: Searcher | None = None
        while segments and searcher is None:
            searcher = Searcher([segment.path for segment in segments])
            try:
                await searcher.open()
            except SegmentError as error:
                _log.warning("an index is damaged; it is built again", extra={"error": str(error)})
                segments = segments[: [segment.path for segment in segments].index(error.segment)]
                searcher = None
        await self._let_go(searcher, segments)
        await asyncio.to_thread(remove_others, self._database.parent, self._index.number, segments)

    async def _let_go(self, searcher: Searcher | None = None, segments: Sequence[Segment] = ()) -> None:
        """Puts others in the place of the searcher and its segments, and closes it."""
        replaced, self.searcher, self.segments = self.searcher, searcher, list(segments)
        for ended in [*self._ended, *([replaced] if replaced is not None else [])]:
            await ended.close()
        self._ended.clear()


def _read_segment(path: Path) -> Segment:
    _, _, after, last = path.name.split("-")
    return Segment(path, int(after), int(last), int(json.loads((path / MANIFEST).read_text())["points"]))


def _read_segments(folder: Path, encoder: int) -> list[Segment]:
    """The segments that follow each other from 0 on; the longest where there are several."""
    found: list[Segment] = []
    for path in folder.glob(f"hnsw-{encoder}-*-*"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not finished, or damaged
            found.append(_read_segment(path))
    chained: list[Segment] = []
    last = 0
    while following := [segment for segment in found if segment.after == last]:
        chained.append(max(following, key=lambda segment: segment.last))
        last = chained[-1].last
    return chained


def remove_others(folder: Path, encoder: int, kept: list[Segment]) -> None:
    """Removes the segments of an encoder but for these."""
    for path in folder.glob(f"hnsw-{encoder}-*"):
        if path not in {segment.path for segment in kept}:
            shutil.rmtree(path, ignore_errors=True)
