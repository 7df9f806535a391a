"""What the embedded store survives, and what it names: damage, full disks, other processes, other releases."""

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from scripts.retrieval_damage import make, try_places
from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.embedded.database import FILE, HEAD, Database
from services.retrieval.embedded.index import EmbeddedIndex
from services.retrieval.index import EncoderId, Entry, Query
from services.serving.errors import FailedPrecondition, ResourceExhausted, ServiceError, Unavailable
from tests.support.chaos import disks
from tests.support.vectors import DIMENSION, directions, entries, exact, picture_id

ENCODER = EncoderId("test", "1", DIMENSION)
EARLIER = Path(__file__).parents[2] / "data" / "earlier_store"


@contextlib.asynccontextmanager
async def opened(path: Path, **options: float) -> AsyncIterator[EmbeddedIndex]:
    catalogue = EmbeddedCatalogue(path, **options)  # type: ignore[arg-type]
    try:
        yield await catalogue.open(ENCODER)
    finally:
        await catalogue.close()


async def ids_of(index: EmbeddedIndex) -> set[str]:
    found = [record.id async for record in index.records()]
    assert len(found) == len(set(found)) == (await index.stats()).images
    return set(found)


def ids(*numbers: int) -> set[str]:
    return set(map(picture_id, numbers))


async def refusal(path: Path) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        async with opened(path):
            pass
    return caught.value


# Damage.


async def test_every_opening_of_a_damaged_store_has_all_or_names_the_damage(tmp_path: Path) -> None:
    stores = [make(tmp_path / kind.replace(" ", "-"), 600, kind) for kind in ("new", "closed once")]
    kinds = {"database": 16, "log": 16, "head": 10, "index": 8}
    verdicts, lost = await try_places(stores, kinds, 600, int(np.random.default_rng().integers(1 << 30)))
    assert lost == []
    assert sum(times for (kind, became), times in verdicts.items() if kind == "log" and became == "INDEX_DAMAGED") > 8


async def killed(path: Path, added: int) -> None:
    """A store whose writer was killed: all that it wrote is in the write-ahead log."""
    catalogue = EmbeddedCatalogue(path / "alive")
    index = await catalogue.open(ENCODER)
    await index.add(entries(added))
    shutil.copytree(path / "alive", path / "killed")
    await catalogue.close()


async def test_a_bit_in_the_log_is_not_a_shorter_index(tmp_path: Path) -> None:
    await killed(tmp_path, 300)
    log = tmp_path / "killed" / f"{FILE}-wal"
    data = bytearray(log.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    log.write_bytes(data)
    error = await refusal(tmp_path / "killed")
    assert error.reason == "INDEX_DAMAGED"
    for advice in ("restore", "check", str(tmp_path / "killed")):
        assert advice in error.message
    assert (tmp_path / "killed" / f"{FILE}-wal.damaged").read_bytes() == data  # for whoever can make use of it
    assert (await refusal(tmp_path / "killed")).reason == "INDEX_DAMAGED"


async def test_a_lost_or_strange_head_is_named(tmp_path: Path) -> None:
    await killed(tmp_path, 30)
    store = tmp_path / "killed"
    head = (store / HEAD).read_bytes()
    (store / HEAD).unlink()
    error = await refusal(store)
    assert (error.reason, HEAD in error.message) == ("INDEX_DAMAGED", True)
    (store / HEAD).write_bytes(head)
    async with opened(store) as index:
        assert await ids_of(index) == ids(*range(30))
    async with opened(tmp_path / "other") as index:
        await index.add(entries(500))
    shutil.copy(tmp_path / "other" / HEAD, store / HEAD)
    assert (await refusal(store)).reason == "INDEX_DAMAGED"


async def test_a_picture_that_seems_to_be_of_another_encoder_is_damage(tmp_path: Path) -> None:
    catalogue = EmbeddedCatalogue(tmp_path)
    index = await catalogue.open(ENCODER)
    await index.add(entries(30))
    await catalogue.open(EncoderId("other", "1", DIMENSION))
    await catalogue.close()
    for other in (2, 65):
        with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
            connection.execute("UPDATE points SET encoder = ? WHERE seq = 7", (other,))
            connection.commit()
        assert (await refusal(tmp_path)).reason == "INDEX_DAMAGED"


async def test_a_crash_before_the_acknowledgement_leaves_a_store_that_opens(tmp_path: Path) -> None:
    async with opened(tmp_path) as index:
        await index.add(entries(10))
        head = (tmp_path / HEAD).read_bytes()
        await index.add(entries(5, 10))
    (tmp_path / HEAD).write_bytes(head)  # committed, and killed before the head was written
    async with opened(tmp_path) as index:
        assert await ids_of(index) == ids(*range(15))


async def test_a_head_that_cannot_be_written_ends_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as index:
        await index.add(entries(5))
        with monkeypatch.context() as patched:
            patched.setattr("services.retrieval.embedded.head.os.fdatasync", _fail)
            with pytest.raises(Unavailable):
                await index.add(entries(5, 5))
        with pytest.raises(Unavailable, match="restart"):
            await index.add(entries(5, 10))
        assert await ids_of(index) == ids(*range(5))  # what was acknowledged
    async with opened(tmp_path) as index:
        assert await ids_of(index) == ids(*range(10))


def _fail(*_: object) -> None:
    raise OSError(5, "Input/output error")


async def test_a_store_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA user_version = 9")
    error = await refusal(tmp_path)
    assert (error.reason, "format 9" in error.message) == ("INDEX_NEWER", True)


async def test_an_encoder_of_another_dimension_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    catalogue = EmbeddedCatalogue(tmp_path)
    with pytest.raises(FailedPrecondition, match=f"{DIMENSION} dimensions.*AXIA_RETRIEVAL_ENCODER"):
        await catalogue.open(EncoderId("test", "1", DIMENSION + 1))
    await catalogue.close()


# Other processes and file systems.


async def test_a_second_opener_is_told_so(tmp_path: Path) -> None:
    async with opened(tmp_path):
        error = await refusal(tmp_path)
    assert (error.reason, "another process" in error.message) == ("INDEX_LOCKED", True)
    async with opened(tmp_path):
        pass


async def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(37, "No locks available")

    with monkeypatch.context() as patched:
        patched.setattr("services.retrieval.embedded.database.fcntl.flock", unsupported)
        error = await refusal(tmp_path)
    assert (error.reason, "local disk" in error.message) == ("DATA_WITHOUT_LOCKS", True)


def test_a_database_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", OPENER, str(tmp_path / "store")]
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and there is no setpriv to be somebody else")
    else:
        command = [sys.executable, "-c", OPENER, str(tmp_path / "store")]
    Database(tmp_path / "store").close()
    for path in (tmp_path / "store").iterdir():
        path.chmod(0o444)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (tmp_path / "store").chmod(0o555)
    told = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    assert told.stdout.strip() == "DATA_DENIED", told.stderr


OPENER = """
import sys
from pathlib import Path
from services.retrieval.embedded.database import Database
from services.retrieval.embedded.errors import translated
from services.serving.errors import ServiceError
try:
    with translated():
        Database(Path(sys.argv[1]))
except ServiceError as error:
    print(error.reason)
"""


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.getcwd()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "small", 4) as folder:
        yield folder


async def test_on_a_full_disk_nothing_changes_and_it_goes_on_when_there_is_space(small_disk: Path) -> None:
    there = entries(4_000)
    async with opened(small_disk / "store") as index:
        await index.add(there[:200])
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        added = 200
        reason = ""
        while not reason:
            try:
                await index.add(there[added : added + 100])
                added += 100
            except ResourceExhausted as error:
                reason = error.reason
        assert reason == "DISK_FULL"
        assert await ids_of(index) == ids(*range(added))
        query = Query(directions(1, seed=3)[0], 5)
        assert await index.search(query) == exact(query, there[:added])
        with pytest.raises(ResourceExhausted):
            await index.add(there[added : added + 100])
        filler.unlink()
        assert all(await index.add(there[added : added + 100]))
    async with opened(small_disk / "store") as index:
        assert await ids_of(index) == ids(*range(added + 100))


# Kills.

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.support.vectors import DIMENSION, entries, picture_id
from services.retrieval.index import EncoderId
from services.retrieval.embedded.catalogue import EmbeddedCatalogue

async def main():
    index = await EmbeddedCatalogue(Path(sys.argv[1]), build_threshold=60).open(EncoderId("test", "1", DIMENSION))
    for start in range(int(sys.argv[2]), 1_000_000, 10):
        await index.add(entries(10, start))
        print("added", start, flush=True)
        await index.delete([picture_id(start + 3)])
        print("deleted", start, flush=True)

asyncio.run(main())
"""


def _interrupted(folder: Path, first: int, lines: int) -> list[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment()) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        return told + writer.stdout.read().splitlines()


async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    random = np.random.default_rng()
    wanted: set[str] = set()
    unsure: set[str] = set()
    first = 0
    for _ in range(4):
        lines = await asyncio.to_thread(_interrupted, tmp_path, first, int(random.integers(1, 80)))
        for line in lines:
            kind, start = line.split()
            first = int(start) + 10
            if kind == "added":
                wanted |= ids(*range(int(start), first))
            else:
                wanted -= ids(int(start) + 3)
        # What was on its way when the kill came may be there or not.
        unsure |= ids(first - 7, *range(first, first + 10))
        first += 10
        async with opened(tmp_path, build_threshold=60) as index:
            assert await ids_of(index) - unsure == wanted - unsure


# What was deleted, and what was there before.


async def test_a_purge_leaves_nothing_of_what_was_deleted_in_any_file(tmp_path: Path) -> None:
    there = entries(300)
    secrets = [there[number] for number in (0, 5, 120, 299)]
    marked = [
        entry._replace(record=dataclasses.replace(entry.record, source=f"secret {place} of mine"))
        for place, entry in enumerate(secrets)
    ]
    there = [entry for entry in there if entry not in secrets] + marked
    async with opened(tmp_path, build_threshold=100) as index:
        await index.add(there)
        await _built(index)
        assert len(_traces(tmp_path, marked)) >= 3  # the database or its log, and Edge's vectors and payloads
        await index.delete([entry.record.id for entry in marked])
        await index.purge()
        assert _traces(tmp_path, marked) == []
        await index.purge()
        assert await ids_of(index) == {entry.record.id for entry in there[:296]}
        query = Query(directions(1, seed=3)[0], 5)
        assert await index.search(query) == exact(query, there[:296])
    assert _traces(tmp_path, marked) == []


def _traces(folder: Path, marked: list[Entry]) -> list[tuple[str, str]]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for entry in marked:
                for what, needle in (
                    ("source", entry.record.source.encode()),
                    ("vector", entry.vector[4:12].tobytes()),
                ):
                    if needle in data:
                        found.append((path.name, what))
    return found


async def _built(index: EmbeddedIndex) -> None:
    async with asyncio.timeout(60):
        while (await index.stats()).building or not (await index.stats()).indexed_images:
            await asyncio.sleep(0.02)


async def test_the_store_of_an_earlier_release_is_brought_over(tmp_path: Path) -> None:
    with tarfile.open(EARLIER / "store.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    before = {path.name for path in (tmp_path / "index").iterdir()}
    wanted = json.loads((EARLIER / "wanted.json").read_text())
    for _ in range(2):  # a second time it is a store like any other
        catalogue = EmbeddedCatalogue(tmp_path / "index")
        encoder = await catalogue.current()
        assert encoder == EncoderId("one", "1", 64)
        index = await catalogue.open(encoder)
        records = {record.id: record.__dict__ async for record in index.records()}
        assert records == {each["record"]["id"]: each["record"] for each in wanted}
        vectors = await index.vectors([each["record"]["id"] for each in wanted])
        assert np.allclose(np.stack(vectors), [each["vector"] for each in wanted], atol=1e-6)
        await catalogue.close()
        assert not before & {path.name for path in (tmp_path / "index").iterdir()}


async def test_an_earlier_store_that_is_damaged_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    with tarfile.open(EARLIER / "store.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (log,) = (tmp_path / "index").glob("*/000009/pictures.log")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    for _ in range(2):
        catalogue = EmbeddedCatalogue(tmp_path / "index")
        with pytest.raises(FailedPrecondition) as caught:
            await catalogue.current()
        await catalogue.close()
        assert (caught.value.reason, str(log) in caught.value.message) == ("INDEX_DAMAGED", True)
    assert log.read_bytes() == data
