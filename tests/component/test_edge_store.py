"""What an index on disk survives: kills at any moment, damage, a full disk."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.retrieval import edge_build, edge_log
from services.retrieval.edge_files import DamagedPartError
from services.retrieval.edge_part import IndexedPart
from services.retrieval.edge_shard import HnswOptions, ShardError
from services.retrieval.edge_store import EdgeStore, StoreOptions
from services.retrieval.index import Query
from services.serving.errors import FailedPrecondition, Unavailable
from tests.support import disks
from tests.support.vectors import DIMENSION, directions, entries, exact, picture_id

OPTIONS = StoreOptions(DIMENSION, build_threshold=40, hnsw=HnswOptions(8, 32, quantization=False))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


def build(store: EdgeStore) -> bool:
    """Builds what is due, in this process."""
    job = store.begin_build()
    if job is None:
        return False
    edge_build.build(job)
    store.end_build(job, built=True)
    return True


class Panic(BaseException):
    """As a library in Rust raises it, past `except Exception`."""


def held(store: EdgeStore) -> list[str]:
    return sorted(record.id for segment in store.view.segments for record in segment.records())


def ids(*numbers: int) -> list[str]:
    return sorted(map(picture_id, numbers))


def test_parts_of_like_size_are_merged_and_larger_ones_left_alone(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    work = 0
    for start in range(0, 800, 40):
        store.add(entries(40, start))
        while build(store):
            work += len(max(store.view.indexed, key=lambda part: part.name))
        sizes = sorted((len(part) for part in store.view.indexed), reverse=True)
        assert len(sizes) <= 4
        assert all(larger > 3 * smaller for larger, smaller in itertools.pairwise(sizes))
    assert held(store) == ids(*range(800))
    assert work < 800 * 20 / 2  # building all of it again each time
    store.close()


def settle(store: EdgeStore) -> bool:
    """Builds everything into one part if that is worth it, in this process."""
    if not store.to_settle():
        return False
    job = store.begin_build(settling=True)
    assert job is not None
    edge_build.build(job)
    store.end_build(job, built=True)
    return True


def test_a_quiet_index_becomes_one_part_when_enough_is_outside_the_largest(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(39))
    assert not settle(store)  # so few are searched one by one
    for start in range(39, 700, 40):
        store.add(entries(40, start))
        while build(store):
            pass
    store.delete(ids(3, 690))
    assert len(store.view.segments) > 2
    assert settle(store)
    assert [len(part) for part in store.view.segments] == [717, 0]
    assert not store.to_settle()
    store.add(entries(22, 719))
    assert not store.to_settle()  # less than a 32nd
    store.add(entries(2, 741))
    assert settle(store)
    there = ids(*(number for number in range(743) if number not in {3, 690}))
    assert held(store) == there
    store.close()
    store = EdgeStore(path, OPTIONS)
    assert [len(part) for part in store.view.segments] == [741, 0]
    assert held(store) == there
    assert len(list(path.glob("*.log"))) == 1
    store.close()


def test_what_is_written_while_an_index_settles_is_kept(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(100))
    job = store.begin_build(settling=True)
    assert job is not None
    store.add(entries(5, 100))
    store.delete(ids(7, 101))
    edge_build.build(job)
    store.end_build(job, built=True)
    there = ids(*(number for number in range(105) if number not in {7, 101}))
    assert held(store) == there
    store.close()
    store = EdgeStore(path, OPTIONS)
    assert held(store) == there
    store.close()


def test_deletions_hold_through_builds_merges_and_reopening(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(200))
    assert build(store)
    store.delete(ids(1, 2))  # from the large part; the log that says so is dropped by the next build
    store.add(entries(30, 200))
    store.delete(ids(201))
    store.add(entries(12, 230))
    job = store.begin_build()
    assert job is not None
    edge_build.build(job)
    store.delete(ids(3, 202))  # while the build runs
    store.add(entries(1, 2))  # and one comes back
    store.end_build(job, built=True)
    there = ids(0, 2, *range(4, 201), *range(203, 242))
    assert held(store) == there
    assert sum(map(len, store.view.segments)) == len(there)
    for _ in range(2):
        store.close()
        store = EdgeStore(path, OPTIONS)
        assert held(store) == there
        assert sum(store.view.indexed[0].platforms().values()) == len(store.view.indexed[0])
    store.close()


def test_a_part_that_lost_much_is_built_again(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(160))
    assert build(store)
    assert not store.to_build()
    store.delete(ids(*range(60)))
    assert store.to_build()
    assert build(store)
    assert [(len(part), part.deleted) for part in store.view.indexed] == [(100, 0)]
    store.delete(ids(*range(60, 160)))
    assert build(store)
    assert store.view.indexed == []
    assert held(store) == []
    store.close()


def test_leftovers_of_a_crash_are_removed(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(50))
    job = store.begin_build()
    assert job is not None
    edge_build.build(job)  # and the process ends before the swap
    store.close()
    (path / "000099-000100.deleted").write_bytes(b"x")
    (path / "manifest.json.new").write_text("{")
    store = EdgeStore(path, OPTIONS)
    assert held(store) == ids(*range(50))
    assert {entry.name for entry in path.iterdir()} == {"lock", "manifest.json", "000001.log", "000002.log"}
    store.close()


def test_a_write_that_was_cut_off_is_forgotten_and_written_over(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(5))
    log = store.view.active.log
    store.close()
    for cut in (1, 7, 60, 200):
        whole = log.read_bytes()
        log.write_bytes(whole + edge_log.encode_added(entries(1, 77)[0])[:cut])
        store = EdgeStore(path, OPTIONS)
        assert held(store) == ids(*range(5))
        store.close()
    store = EdgeStore(path, OPTIONS)
    assert store.add(entries(1, 77)) == [True]
    store.close()
    store = EdgeStore(path, OPTIONS)
    assert held(store) == ids(*range(5), 77)
    store.close()


def test_a_damaged_log_is_refused_rather_than_forgotten(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(45))
    log = store.view.segments[0].log
    store.close()
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    with pytest.raises(FailedPrecondition, match="backup"):
        EdgeStore(path, OPTIONS)
    log.unlink()
    with pytest.raises(FailedPrecondition, match="backup"):
        EdgeStore(path, OPTIONS)


def test_a_part_that_cannot_be_opened_is_built_again_from_its_log(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(60))
    build(store)
    store.delete(ids(4))
    part = store.view.indexed[0]
    store.close()
    shutil.rmtree(part.log.parent / "shard")
    store = EdgeStore(path, OPTIONS)
    there = ids(*(number for number in range(60) if number != 4))
    assert held(store) == there
    assert store.view.indexed == []
    assert build(store)
    assert len(store.view.indexed[0]) == 59
    store.close()
    store = EdgeStore(path, OPTIONS)
    assert held(store) == there
    store.close()


@pytest.mark.parametrize("summary", ["", "{}", "[]"])
def test_a_part_with_a_damaged_summary_is_refused_when_built_and_read_from_its_log_later(
    path: Path, summary: str
) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(60))
    job = store.begin_build()
    assert job is not None
    edge_build.build(job)
    (Path(job.target) / "part.json").write_text(summary)
    with pytest.raises(DamagedPartError):
        store.end_build(job, built=True)
    assert not Path(job.target).exists()
    assert held(store) == ids(*range(60))
    assert build(store)
    (store.view.indexed[0].log.parent / "part.json").write_text(summary)
    store.close()
    store = EdgeStore(path, OPTIONS)
    assert store.view.indexed == []
    assert held(store) == ids(*range(60))
    store.close()


def mapped(path: Path) -> bool:
    """Whether a shard under a folder is open in this process."""
    return f"{path}/" in Path("/proc/self/maps").read_text()


def test_a_part_whose_place_cannot_be_written_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(60))
    job = store.begin_build()
    assert job is not None
    edge_build.build(job)

    def full(*_: object) -> None:
        assert mapped(Path(job.target))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("services.retrieval.edge_files.replace_file", full)
        with pytest.raises(OSError, match="No space") as caught:
            store.end_build(job, built=True)
    assert caught.tb is not None  # whose frames hold the part
    assert not mapped(Path(job.target))
    assert held(store) == ids(*range(60))
    assert build(store)
    store.close()


def test_replaced_parts_are_closed_before_their_files_are_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(60))
    assert build(store)
    (old,) = [Path(part.log).parent for part in store.view.indexed]
    store.add(entries(60, 60))
    removed: dict[Path, bool] = {}
    remove = shutil.rmtree

    def rmtree(folder: Path, **options: bool) -> None:
        removed[folder] = mapped(folder)
        remove(folder, **options)

    monkeypatch.setattr("services.retrieval.edge_files.shutil.rmtree", rmtree)
    assert build(store)
    assert removed[old] is False
    assert held(store) == ids(*range(120))
    store.close()


def test_a_part_of_which_all_was_deleted_meanwhile_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[IndexedPart] = []
    store = EdgeStore(path, OPTIONS)
    open_part = store._files.open_part

    def noted(target: Path) -> IndexedPart:
        opened.append(open_part(target))
        return opened[0]

    monkeypatch.setattr(store._files, "open_part", noted)
    store.add(entries(60))
    job = store.begin_build()
    assert job is not None
    edge_build.build(job)
    store.delete(ids(*range(60)))
    store.end_build(job, built=True)
    assert len(opened) == 1
    assert not mapped(Path(job.target))
    assert held(store) == []
    store.close()


def test_an_index_that_cannot_be_read_to_its_end_leaves_no_part_open(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(60))
    assert build(store)
    log = store.view.active.log
    assert mapped(path)
    store.close()
    assert not mapped(path)
    log.write_bytes(b"no log")
    with pytest.raises(FailedPrecondition, match="is damaged") as caught:
        EdgeStore(path, OPTIONS)
    assert caught.tb is not None
    assert not mapped(path)


@pytest.mark.parametrize("failing", ["edge_shard._read_files", "edge_part.read_deleted"])
def test_a_part_that_fails_while_it_is_opened_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(60))
    assert build(store)
    store.close()

    def fail(*_: object) -> None:
        assert mapped(path)
        raise ShardError(OSError(28, "No space left on device"))

    monkeypatch.setattr(f"services.retrieval.{failing}", fail)
    with pytest.raises(ShardError) as caught:
        EdgeStore(path, OPTIONS)
    assert caught.tb is not None
    assert not mapped(path)


def test_closing_lets_go_of_everything_though_a_part_cannot_be_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EdgeStore(path, OPTIONS)
    for start in (0, 400):
        store.add(entries(400 - start // 2, start))
        while build(store):
            pass
        store.add(entries(50, 1_000 + start))
        assert build(store)
    parts = store.view.indexed
    assert len(parts) > 1

    def fail() -> None:
        raise Panic

    with monkeypatch.context() as patched:
        for part in parts[:-1]:
            patched.setattr(part, "close", fail)
        with pytest.raises(Panic):
            store.close()
    assert not mapped(parts[-1].log.parent)
    again = EdgeStore(path, OPTIONS)  # the lock is free
    again.close()
    for part in parts[:-1]:
        part.close()


def test_a_second_opener_is_told_so(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    with pytest.raises(Unavailable, match="another process"):
        EdgeStore(path, OPTIONS)
    store.close()
    EdgeStore(path, OPTIONS).close()


def test_a_build_that_failed_leaves_everything_as_it_was(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(50))
    job = store.begin_build()
    assert job is not None
    Path(job.target).mkdir()
    store.end_build(job, built=False)
    assert not Path(job.target).exists()
    assert held(store) == ids(*range(50))
    assert build(store)
    assert held(store) == ids(*range(50))
    store.close()


# A process that adds and deletes, and says what it was acknowledged.
WRITER = """
import asyncio, sys
from pathlib import Path
from tests.support.vectors import DIMENSION, entries, picture_id
from services.retrieval.index import EncoderId
from services.retrieval.index_edge import EdgeCatalogue

async def main():
    index = await EdgeCatalogue(Path(sys.argv[1]), build_threshold=60).open(EncoderId("test", "1", DIMENSION))
    for start in range(int(sys.argv[2]), 1_000_000, 10):
        await index.add(entries(10, start))
        print("added", start, flush=True)
        await index.delete([picture_id(start + 3)])
        print("deleted", start, flush=True)

asyncio.run(main())
"""


def run_writer(code: str, *arguments: object) -> subprocess.Popen[str]:
    paths = os.pathsep.join([os.getcwd(), str(Path(__file__).parents[2])])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )


async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    from services.retrieval.index import EncoderId
    from services.retrieval.index_edge import EdgeCatalogue

    random = np.random.default_rng()
    wanted: set[str] = set()
    unsure: set[str] = set()
    first = 0
    for _ in range(4):
        writer = run_writer(WRITER, tmp_path, first)
        assert writer.stdout is not None
        for _ in range(int(random.integers(1, 80))):
            kind, start = writer.stdout.readline().split()
            first = int(start) + 10
            if kind == "added":
                wanted |= set(ids(*range(int(start), first)))
            else:
                wanted -= set(ids(int(start) + 3))
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout.read().splitlines():
            kind, start = line.split()
            first = int(start) + 10
            if kind == "added":
                wanted |= set(ids(*range(int(start), first)))
            else:
                wanted -= set(ids(int(start) + 3))
        writer.wait()
        writer.stdout.close()
        # What was on its way when the kill came may be there or not.
        unsure |= set(ids(first - 7, *range(first, first + 10)))
        first += 10
        catalogue = EdgeCatalogue(tmp_path, build_threshold=60)
        index = await catalogue.open(EncoderId("test", "1", DIMENSION))
        found = [record.id async for record in index.records()]
        assert len(found) == len(set(found))
        assert set(found) - unsure == wanted - unsure
        assert (await index.stats()).images == len(found)
        await catalogue.close()


# Like the above without threads, killed before or after one certain replacement of a file.
KILLED = """
import os, signal, sys
from pathlib import Path
from services.retrieval import edge_build
from services.retrieval.edge_shard import HnswOptions
from services.retrieval.edge_store import EdgeStore, StoreOptions
from tests.support.vectors import DIMENSION, entries, picture_id

path, number, when = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
replace, calls = os.replace, 0

def killing(source, target):
    global calls
    calls += 1
    if calls == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
    if calls == number:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = killing
store = EdgeStore(path, StoreOptions(DIMENSION, 40, HnswOptions(8, 32, False)))
for start in range(0, 240, 20):
    store.add(entries(20, start))
    store.delete([picture_id(start), picture_id(start // 2 + 1)])
    print(start, flush=True)
    while (job := store.begin_build()) is not None:
        edge_build.build(job)
        store.end_build(job, built=True)
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [2, 3, 4, 5, 9])
def test_a_kill_around_the_replacement_of_a_file_loses_nothing(path: Path, number: int, when: str) -> None:
    writer = run_writer(KILLED, path, number, when)
    acknowledged = [int(line) for line in writer.communicate()[0].split()]
    assert writer.returncode == -signal.SIGKILL
    store = EdgeStore(path, OPTIONS)
    starts = [*acknowledged, len(acknowledged) * 20]
    there = set(held(store))
    assert len(there) == len(held(store))
    deleted = {number for start in starts for number in (start, start // 2 + 1)}
    sure = {number for start in acknowledged for number in range(start, start + 20)} - deleted
    assert set(ids(*sure)) <= there
    gone = {number for start in acknowledged for number in (start, start // 2 + 1)}
    assert not set(ids(*gone)) & there
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "small", 256) as disk:
        yield disk


def fill_up(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            for size in (1 << 20, 1 << 12, 64, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue
        finally:
            file.flush()
    return ballast


def test_on_a_full_disk_nothing_changes_and_it_goes_on_when_there_is_space(small_disk: Path) -> None:
    store = EdgeStore(small_disk / "index", OPTIONS)
    store.add(entries(50))
    assert build(store)
    ballast = fill_up(small_disk)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            store.add(entries(30, 50))  # more than the rest of the last page
    assert held(store) == ids(*range(50))
    query = Query(directions(1, seed=3)[0], k=3)
    found = [hit for segment in store.view.segments if len(segment) for hit in segment.search([query])[0]]
    assert [hit.record for hit in found[:3]] == [hit.record for hit in exact(query, entries(50))]
    store.close()
    with pytest.raises(ShardError) as caught:
        EdgeStore(small_disk / "index", OPTIONS)
    assert caught.value.disk_full
    ballast.unlink()
    store = EdgeStore(small_disk / "index", OPTIONS)
    assert held(store) == ids(*range(50))
    assert store.add(entries(30, 50)) == [True] * 30
    assert held(store) == ids(*range(80))
    store.close()


def test_a_build_on_a_full_disk_changes_nothing(small_disk: Path) -> None:
    store = EdgeStore(small_disk / "index", OPTIONS)
    store.add(entries(50))
    ballast = fill_up(small_disk)
    with pytest.raises(OSError, match="No space left"):
        store.begin_build() and pytest.fail("a build began")
    ballast.unlink()
    job = store.begin_build()
    assert job is not None
    ballast = fill_up(small_disk)
    assert not store.enough_space(job)
    command = [sys.executable, "-m", "services.retrieval.edge_build", str(os.getpid())]
    child = subprocess.run(command, input=job.to_json(), check=False)
    # Edge's memory-mapped files may meet the end first.
    assert child.returncode in {edge_build.DISK_FULL, -signal.SIGBUS}
    store.end_build(job, built=False)
    assert held(store) == ids(*range(50))
    ballast.unlink()
    assert build(store)
    assert held(store) == ids(*range(50))
    store.close()


def test_a_log_that_the_manifest_can_not_name_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = EdgeStore(path, OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr("services.retrieval.edge_files.replace_file", full)
        for number in range(3):
            assert store.add(entries(20, 40 + 20 * number)) == [True] * 20
    logs = [os.path.realpath(f"/proc/self/fd/{descriptor}") for descriptor in os.listdir("/proc/self/fd")]
    assert [log for log in logs if log.startswith(str(path)) and log.endswith(".log")] == [str(path / "000001.log")]
    assert [log.name for log in path.glob("*.log")] == ["000001.log"]
    assert store.add(entries(1)) == [True]
    assert len(store.view.sealed) == 1
    store.close()


def test_the_manifest_names_all_that_lives(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    store.add(entries(50))
    build(store)
    store.add(entries(3, 50))
    names = [entry["name"] for entry in json.loads((path / "manifest.json").read_text())["segments"]]
    assert names == [segment.name for segment in store.view.segments]
    assert isinstance(store.view.segments[0], IndexedPart)
    store.close()


def test_a_vector_survives_the_log_to_the_bit(path: Path) -> None:
    store = EdgeStore(path, OPTIONS)
    there = entries(45)
    store.add(there)
    build(store)
    key = bytes.fromhex(there[7].record.id)
    assert np.array_equal(store.view.indexed[0].vectors([key])[key], there[7].vector)
    store.close()
