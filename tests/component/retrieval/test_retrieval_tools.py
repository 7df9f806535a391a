"""The operators' commands of the retrieval service, as processes of their own, beside a store and a Qdrant server."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.embedded.database import FILE
from services.retrieval.index import EncoderId, Entry, Filter, IndexCatalogue, PictureRecord, Query
from services.retrieval.pictures.fsspec import FsspecPictureStore
from services.retrieval.qdrant.catalogue import QdrantCatalogue, QdrantOptions
from tests.support import processes
from tests.support.qdrant_server import QdrantServer
from tests.support.vectors import DIMENSION, entries, picture_id

ENCODER = EncoderId("test", "1", DIMENSION)


async def run(data: Path, *arguments: object, code: int = 0, **settings: str) -> str:
    """What a command prints: on standard output, or on standard error where it fails."""
    environment = os.environ | {"AXIA_RETRIEVAL_DATA": str(data)}
    environment |= {f"AXIA_RETRIEVAL_{name}".upper(): value for name, value in settings.items()}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.retrieval", *map(str, arguments)),
        cwd=processes.ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode == code, err.decode()
    return (err if code else out).decode().strip()


async def change(catalogue: IndexCatalogue, add: Sequence[Entry] = (), delete: Sequence[str] = ()) -> None:
    """Adds to the index of the encoder and deletes from it, and makes it the current one."""
    index = await catalogue.open(ENCODER)
    if add:
        await index.add(add)
    if delete:
        await index.delete(delete)
    if await catalogue.current() is None:
        await catalogue.switch(ENCODER)
    await index.close()
    await catalogue.close()


async def content(
    catalogue: IndexCatalogue, encoder: EncoderId = ENCODER
) -> dict[str, tuple[PictureRecord, list[float]]]:
    """Records and vectors of an index by id; the vectors rounded, because a server gives them back scaled."""
    index = await catalogue.open(encoder)
    records = [record async for record in index.records()]
    vectors = await index.vectors([record.id for record in records])
    await index.close()
    await catalogue.close()
    return {
        record.id: (record, [round(float(number), 4) for number in vector])
        for record, vector in zip(records, vectors, strict=True)
        if vector is not None
    }


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """300 pictures, 3 of them deleted."""
    folder = tmp_path / "data"
    await change(EmbeddedCatalogue(folder / "index"), entries(300), [picture_id(number) for number in (3, 4, 299)])
    return folder


@pytest.fixture
async def server() -> AsyncIterator[QdrantServer]:
    server = QdrantServer()
    await server.start()
    yield server
    await server.stop()


def on(server: QdrantServer) -> QdrantCatalogue:
    return QdrantCatalogue(QdrantOptions(url=server.url))


async def test_a_backup_is_restored_where_there_is_nothing(data: Path, tmp_path: Path) -> None:
    assert await run(data, "check") == "test 1: 297 images, no damage found"
    file = tmp_path / "backup.db"
    assert await run(data, "backup", file) == f"copied to {file}"
    assert "name a new file" in await run(data, "backup", file, code=1)
    assert "move that folder away" in await run(data, "restore", file, code=1)
    assert await run(tmp_path / "other", "restore", file) == "restored 297 vectors"
    here, there = (EmbeddedCatalogue(folder / "index") for folder in (data, tmp_path / "other"))
    assert await content(here) == await content(there)


async def test_what_is_left_of_another_database_is_not_mixed_with_a_restored_one(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    await run(data, "backup", file)
    folder = tmp_path / "other" / "index"
    (folder / "hnsw-1-0-300").mkdir(parents=True)
    assert "'hnsw-1-0-300'" in await run(tmp_path / "other", "restore", file, code=1)
    assert not (folder / FILE).exists()


async def test_a_damaged_database_is_named(data: Path) -> None:
    file = data / "index" / FILE
    whole = file.read_bytes()
    place = whole.index(bytes.fromhex(picture_id(200)))
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert "doesn't match its checksum" in await run(data, "check", code=1)


async def test_there_is_nothing_to_check_or_send_in_an_empty_folder(tmp_path: Path, server: QdrantServer) -> None:
    assert "there is no database" in await run(tmp_path, "check", code=1)
    assert "no images are indexed yet" in await run(tmp_path, "export", tmp_path / "file", code=1)


async def test_an_index_moves_to_a_server_and_back(data: Path, tmp_path: Path, server: QdrantServer) -> None:
    file = tmp_path / "index.db"
    assert await run(data, "export", file) == "exported 297 images"
    imported = await run(data, "import", file, qdrant_url=server.url)
    assert imported == "imported 297 of 297 images; the others were already stored"
    again = await run(data, "import", file, qdrant_url=server.url)
    assert again == "imported 0 of 297 images; the others were already stored"
    assert await content(on(server)) == await content(EmbeddedCatalogue(data / "index"))
    back = tmp_path / "back.db"
    assert await run(data, "export", back, qdrant_url=server.url) == "exported 297 images"
    await run(tmp_path / "other", "import", back)
    assert await content(EmbeddedCatalogue(tmp_path / "other" / "index")) == await content(on(server))
    assert sorted(os.listdir(tmp_path)) == ["back.db", "data", "index.db", "other"]


async def test_changes_are_sent_to_a_server_once(data: Path, tmp_path: Path, server: QdrantServer) -> None:
    assert await run(data, "sync", server.url) == "copied 297 images, deleted 0"
    assert await content(on(server)) == await content(EmbeddedCatalogue(data / "index"))
    assert await run(data, "sync", server.url) == "copied 0 images, deleted 0"
    new = entries(310)[300:]
    await change(EmbeddedCatalogue(data / "index"), new, [picture_id(number) for number in (0, 1, 305)])
    catalogue = EmbeddedCatalogue(data / "index")
    index = await catalogue.open(ENCODER)
    (record,) = await index.get([picture_id(7)])
    assert record is not None
    await index.update([replace(record, source="told again")])
    await index.close()
    await catalogue.close()
    assert await run(data, "sync", server.url) == "copied 10 images, deleted 2"  # the third had never come
    there = await content(on(server))
    assert there == await content(EmbeddedCatalogue(data / "index"))
    assert there[picture_id(7)][0].source == "told again"
    index = await on(server).open(ENCODER)
    hits = await index.search(Query(new[2].vector, 1, Filter()))
    assert hits[0].record.id == new[2].record.id
    await index.close()


async def test_pictures_are_copied_and_deleted_with_their_changes(
    data: Path, tmp_path: Path, server: QdrantServer
) -> None:
    here = FsspecPictureStore(str(data / "pictures"))
    for number in (10, 11):
        await here.put(picture_id(number), b"bytes of %d" % number)
    await here.close()
    copies = tmp_path / "copies"
    await run(data, "sync", server.url, "--pictures", copies)
    await change(EmbeddedCatalogue(data / "index"), delete=[picture_id(11)])
    await run(data, "sync", server.url, "--pictures", copies)
    there = FsspecPictureStore(str(copies))
    assert [await there.get(picture_id(number)) for number in (10, 11)] == [b"bytes of 10", None]
    await there.close()


async def test_a_server_with_another_encoder_gets_nothing(data: Path, server: QdrantServer) -> None:
    other = EncoderId("other", "1", DIMENSION)
    catalogue = on(server)
    index = await catalogue.open(other)
    await catalogue.switch(other)
    await index.close()
    await catalogue.close()
    for command in (["sync", server.url], ["import", data.parent / "file.db"]):
        if command[0] == "import":
            await run(data, "export", command[1])
        told = await run(data, *command, code=1, **({"qdrant_url": server.url} if command[0] == "import" else {}))
        assert "re-index one of them first" in told
    assert await content(on(server), other) == {}
