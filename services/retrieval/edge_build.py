"""Makes a part with an HNSW index from logs, in a process of its own: Edge holds the GIL for as long as it takes.

    python -m services.retrieval.edge_build PARENT < job.json

The job is what `BuildJob` says, as JSON. Ends with 0 when the part is whole on disk, DISK_FULL when there was no space.
"""

import ctypes
import errno
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from services.retrieval.edge_log import Added, LogReader, LogWriter, frame_of, sync_folder
from services.retrieval.edge_part import LOG, SHARD, SUMMARY, read_deleted
from services.retrieval.edge_shard import HnswOptions, ShardWriter

DISK_FULL = 28
_BATCH = 256
_NICENESS = 15
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class BuildJob:
    """What to build."""

    sources: list[tuple[str, str | None]]
    """Logs in the order in which they were written, each with the file that names what was deleted from it."""
    target: str
    """Folder of the part; must not be there."""
    dimension: int
    hnsw: tuple[int, int, bool]
    """`HnswOptions`."""

    def to_json(self) -> bytes:
        """For the child's standard input."""
        return json.dumps(asdict(self)).encode()


def build(job: BuildJob) -> int:
    """Builds a part; returns how many pictures it has.

    Raises:
        OSError: If the disk is full or a log can't be read.
    """
    target = Path(job.target)
    target.mkdir()
    counts = Counter[str]()
    writer = ShardWriter(target / SHARD, job.dimension, HnswOptions(*job.hnsw))
    log = LogWriter(target / LOG, job.dimension)
    batch: list[Added] = []
    frames: list[bytes] = []

    def write() -> None:
        log.append(frames)
        writer.add(batch)
        batch.clear()
        frames.clear()

    for added, body in _remaining(job):
        counts[added.record.platform] += 1
        batch.append(added)
        frames.append(frame_of(body))
        if len(batch) == _BATCH:
            write()
    if batch:
        write()
    log.close()
    writer.finish(target / SHARD)
    images = sum(counts.values())
    with (target / SUMMARY).open("w", encoding="utf-8") as file:
        json.dump({"images": images, "platforms": counts}, file)
        file.flush()
        os.fsync(file.fileno())
    for folder in [*(path for path in target.rglob("*") if path.is_dir()), target, target.parent]:
        sync_folder(folder)
    return images


def _remaining(job: BuildJob) -> Iterator[tuple[Added, bytes]]:
    """Each picture that is left after all operations, from the last place where it was added."""
    last: dict[bytes, tuple[int, int]] = {}
    for place, (log, deleted_file) in enumerate(job.sources):
        for number, (key, is_added, _) in enumerate(LogReader(Path(log), job.dimension).operations()):
            if is_added:
                last[key] = (place, number)
            else:
                last.pop(key, None)
        for key in read_deleted(Path(deleted_file) if deleted_file else None):
            # Only from this log: it may have been added again to another.
            if last.get(key, (None,))[0] == place:
                del last[key]
    for place, (log, _) in enumerate(job.sources):
        reader = LogReader(Path(log), job.dimension)
        for number, (key, is_added, body) in enumerate(reader.operations()):
            if is_added and last.get(key) == (place, number):
                yield reader.added(body), body


def main() -> int:
    """Reads a job from standard input and builds it."""
    os.nice(_NICENESS)
    # A server that is killed can't end its build, which would go on writing where the next server cleans up.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        return 1
    fields = json.loads(sys.stdin.buffer.read())
    job = BuildJob(**fields)
    try:
        build(job)
    except Exception as error:  # Edge raises nothing more specific
        full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error)
        if full:
            shutil.rmtree(job.target, ignore_errors=True)
            return DISK_FULL
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
