import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import fsspec
import pytest

from services.retrieval.pictures.fsspec import FsspecPictureStore
from services.retrieval.pictures.protocol import PictureStore
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from tests.support.chaos import disks


def named(data: bytes) -> tuple[str, bytes]:
    return hashlib.sha256(data).hexdigest(), data


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PictureStore]:
    url = str(tmp_path / "deep" / "pictures") if request.param == "folder" else f"memory://{tmp_path.name}/pictures"
    store: PictureStore = FsspecPictureStore(url)
    yield store
    await store.close()


async def test_a_picture_comes_back_as_it_was_put(store: PictureStore) -> None:
    name, data = named(os.urandom(100_000))
    assert await store.get(name) is None
    assert await store.put(name, data)
    assert not await store.put(name, data)
    assert await store.get(name) == data
    await store.check()


async def test_deleted_pictures_are_gone_and_missing_ones_are_left_alone(store: PictureStore) -> None:
    kept, gone, missing = named(b"kept"), named(b"gone"), named(b"missing")
    await store.put(*kept)
    await store.put(*gone)
    await store.delete([gone[0], missing[0]])
    assert await store.get(gone[0]) is None
    assert await store.get(kept[0]) == b"kept"


async def test_many_puts_at_once_are_all_there(store: PictureStore) -> None:
    pictures = [named(f"{number}".encode() * 1000) for number in range(200)]
    await asyncio.gather(*(store.put(*picture) for picture in [*pictures, *pictures]))
    assert await asyncio.gather(*(store.get(name) for name, _ in pictures)) == [data for _, data in pictures]


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "/" + "0" * 63, "é" * 64])
async def test_what_is_no_hash_never_becomes_a_path(store: PictureStore, bad: str) -> None:
    for call in (store.put(bad, b"x"), store.get(bad), store.delete([bad])):
        with pytest.raises(InvalidArgument, match="64 lower-case hexadecimal digits"):
            await call


async def test_pictures_lie_by_content_two_levels_deep(tmp_path: Path) -> None:
    store = FsspecPictureStore(f"file://{tmp_path}")
    name, data = named(b"an image")
    await store.put(name, data)
    await store.check()
    await store.close()
    assert files(tmp_path) == [tmp_path / name[:2] / name[2:4] / name]


async def test_a_store_opened_anew_has_what_was_put(tmp_path: Path) -> None:
    name, data = named(b"an image")
    store = FsspecPictureStore(str(tmp_path))
    await store.put(name, data)
    await store.close()
    store = FsspecPictureStore(str(tmp_path))
    assert await store.get(name) == data
    await store.close()


WRITER = """
import asyncio, hashlib, itertools, os, sys
from services.retrieval.pictures.fsspec import FsspecPictureStore

async def main():
    store = FsspecPictureStore(sys.argv[1])

    async def writer():
        while True:
            data = os.urandom(60_000)
            name = hashlib.sha256(data).hexdigest()
            await store.put(name, data)
            print(name, flush=True)

    await asyncio.gather(*(writer() for _ in range(8)))

asyncio.run(main())
"""


def start_writer(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True)


async def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    acknowledged: list[str] = []
    for _ in range(3):
        writer = start_writer(root)
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().strip() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait()
    (root / ".incoming" / "left-half-written").write_bytes(b"half")
    store = FsspecPictureStore(str(root))
    for name in acknowledged:
        data = await store.get(name)
        assert data is not None
        assert hashlib.sha256(data).hexdigest() == name
    for path in files(root):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    await store.close()


async def test_a_process_that_starts_leaves_the_files_of_a_living_writer_alone(tmp_path: Path) -> None:
    writer = start_writer(tmp_path)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        for _ in range(20):
            store = FsspecPictureStore(str(tmp_path))
            await store.close()
        for _ in range(20):
            assert await asyncio.to_thread(writer.stdout.readline), "the writer has died"
    finally:
        writer.kill()
        writer.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "small", 1) as disk:
        yield disk


async def test_a_full_disk_is_told_and_leaves_nothing_behind(small_disk: Path) -> None:
    store = FsspecPictureStore(str(small_disk))
    fits, too_large = named(os.urandom(400_000)), named(os.urandom(900_000))
    assert await store.put(*fits)
    with pytest.raises(ResourceExhausted, match="is full; delete images") as caught:
        await store.put(*too_large)
    assert caught.value.retry_after_s
    assert [path.name for path in files(small_disk)] == [fits[0]]
    assert await store.get(too_large[0]) is None
    await store.delete([fits[0]])
    assert await store.put(*too_large)
    await store.close()


@pytest.mark.parametrize("url", ["", "nonsense://bucket/x"])
def test_what_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"nor a URL that fsspec knows.*AXIA_RETRIEVAL_PICTURES"):
        FsspecPictureStore(url)


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(FailedPrecondition, match=r"pip install s3fs$") as caught:
        FsspecPictureStore("s3://user:secret@bucket/pictures")
    assert "secret" not in caught.value.message


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FailedPrecondition, match="check that it is a folder"):
        FsspecPictureStore(str(tmp_path / "file"))


async def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FsspecPictureStore(str(tmp_path))

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)  # tests may run as root, who may write everywhere
        with pytest.raises(FailedPrecondition, match=r"may read and write it.*AXIA_RETRIEVAL_PICTURES"):
            await store.put(*named(b"x"))
        await store.check()  # it is searched all the same
    await store.close()


async def test_a_folder_that_was_taken_away_is_told(tmp_path: Path) -> None:
    store = FsspecPictureStore(str(tmp_path / "pictures"))
    shutil.rmtree(tmp_path / "pictures")
    with pytest.raises(FailedPrecondition, match=r"doesn't exist; create it.*AXIA_RETRIEVAL_PICTURES"):
        await store.check()
    await store.close()


async def test_a_store_out_of_reach_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FsspecPictureStore("memory://out-of-reach")

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("driver's own words")

    for method in ("exists", "pipe_file", "cat_file", "rm_file"):
        monkeypatch.setattr(fsspec.get_filesystem_class("memory"), method, fail)
    name, data = named(b"x")
    for call in (store.put(name, data), store.get(name), store.delete([name]), store.check()):
        with pytest.raises(Unavailable, match="can't be reached now") as caught:
            await call
        assert "own words" not in caught.value.message
    await store.close()


@pytest.mark.parametrize("url", ["{folder}", "memory://listed-{folder}"])
async def test_all_pictures_are_listed(tmp_path: Path, url: str) -> None:
    store = FsspecPictureStore(url.format(folder=tmp_path / "pictures"))
    pictures = dict(named(bytes([number])) for number in range(40))
    for name, data in pictures.items():
        await store.put(name, data)
    assert sorted([name async for page in store.pages() for name in page]) == sorted(pictures)
    await store.close()


async def test_close_waits_for_what_is_being_written(tmp_path: Path) -> None:
    store = FsspecPictureStore(str(tmp_path))
    pictures = [named(os.urandom(50_000) + bytes([number])) for number in range(50)]
    writing = asyncio.gather(*(store.put(*picture) for picture in pictures))
    await asyncio.sleep(0)
    await store.close()
    assert await writing == [True] * 50
