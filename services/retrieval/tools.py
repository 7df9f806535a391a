"""Commands for operators: python -m services.retrieval COMMAND. They use the stores of the AXIA_RETRIEVAL settings.

check            verifies every checksum of the embedded database; the service may run
check --accept   keeps what can still be read of a damaged database; stop the service first
backup FILE      copies the embedded database into one file; the service may run
restore FILE     restores the embedded database from a backup; only if there is no database
export FILE      writes the current index, embedded or on a Qdrant server, to a file
import FILE      adds the images of an exported file to the current index; existing images are not changed
sync URL         sends the changes of the embedded database since the last sync to a Qdrant server
"""

import argparse
import contextlib
import json
import tempfile
from pathlib import Path

import numpy as np

from services.retrieval.embedded import maintenance
from services.retrieval.embedded.database import FILE, Database
from services.retrieval.embedded.rows import read_deletions, read_points, read_state, reader
from services.retrieval.files import replace_file
from services.retrieval.index import EncoderId, Entry, Filter, IndexCatalogue
from services.retrieval.pictures.protocol import PictureStore
from services.serving.errors import FailedPrecondition

_PAGE = 256


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m services.retrieval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
    check = commands.add_parser("check")
    check.add_argument("--accept", action="store_true")
    for name in ("backup", "restore", "export", "import"):
        commands.add_parser(name).add_argument("file", type=Path)
    sync = commands.add_parser("sync")
    sync.add_argument("url", help="gRPC address of the Qdrant server")
    sync.add_argument("--pictures", default="", help="folder or URL of the images there, copied as well")
    return made


async def export_index(catalogue: IndexCatalogue, file: Path) -> int:
    """Writes the current index of a store into a file; returns how many pictures that are.

    Raises:
        FailedPrecondition: If there is no index, or the file already exists.
    """
    encoder = await catalogue.current()
    if encoder is None:
        raise FailedPrecondition("no images are indexed yet; index images first", reason="NO_INDEX")
    maintenance.check_new(file)
    with tempfile.TemporaryDirectory(prefix=f"{file.name}.", dir=file.parent) as folder:
        with contextlib.closing(Database(Path(folder))) as database:
            number = database.number(encoder)
            database.switch(number)
            index = await catalogue.open(encoder)
            after, more = "", True
            while more:
                records, after = await index.page(Filter(), after, _PAGE)
                vectors = await index.vectors([record.id for record in records])
                there = [
                    (record, vector) for record, vector in zip(records, vectors, strict=True) if vector is not None
                ]
                if there:
                    database.insert(number, [record for record, _ in there], np.stack([vector for _, vector in there]))
                more = bool(after)
            count = database.state.points
            await index.close()
        maintenance.backup(Path(folder) / FILE, file)
    return count


async def import_index(catalogue: IndexCatalogue, file: Path) -> tuple[int, int]:
    """Adds the pictures of a file to a store; returns how many were new and how many there are in the file.

    Raises:
        FailedPrecondition: If the file is damaged, or the store's current index is of another encoder.
    """
    maintenance.check(file)
    with contextlib.closing(reader(file)) as source:
        _, number, encoders = read_state(source, file)
        encoder, current = encoders[number], await catalogue.current()
        _check_encoder(encoder, current)
        index = await catalogue.open(encoder)
        new = count = 0
        for points in read_points(source, file, number):
            entries = [Entry(*pair) for pair in zip(points.records, points.vectors, strict=True)]
            new += sum(await index.add(entries))
            count += len(entries)
        if current is None:
            await catalogue.switch(encoder)
        await index.close()
    return new, count


def _check_encoder(encoder: EncoderId, current: EncoderId | None) -> None:
    if current is not None and current != encoder:
        raise FailedPrecondition(
            f"the vectors to copy are of the encoder {encoder.name} {encoder.revision}, but the index that they are "
            f"for uses {current.name} {current.revision}; re-index one of them first",
            reason="ENCODER_CHANGED",
        )


class Progress:
    """Up to which change a database was brought to a server; in a file beside the database, for each server.

    Args:
        path: The file.
        store: Which database it is.
    """

    def __init__(self, path: Path, store: bytes) -> None:
        self._path = path
        self._store = store.hex()

    def read(self) -> int:
        """The number of the last change that was brought; 0 for none, or if it was another database."""
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return 0
        return int(told["seq"]) if told.get("store") == self._store else 0

    def write(self, seq: int) -> None:
        """Replaces it."""
        replace_file(self._path, json.dumps({"store": self._store, "seq": seq}).encode())


async def sync(
    folder: Path, server: IndexCatalogue, name: str, here: PictureStore | None, there: PictureStore | None
) -> tuple[int, int]:
    """Brings what changed since the last time to another store; returns how many pictures came and how many went.

    The database may be in use. Whatever ends it, the next time continues from the last batch that was brought; bringing
    one twice changes nothing.

    Args:
        folder: Of the database.
        server: Where to bring it.
        name: Of that store, for the file that remembers how far it was brought.
        here: The pictures of the database; None leaves bytes alone.
        there: Where their copies belong.

    Raises:
        FailedPrecondition: If nothing is indexed, or the server's current index is of another encoder.
    """
    path = folder / FILE
    with contextlib.closing(reader(path)) as source:
        state, number, encoders = read_state(source, path)
        if not number:
            raise FailedPrecondition("no images are indexed yet; index images first", reason="NO_INDEX")
        progress = Progress(folder / f"sync-{name}.json", state.store)
        begin = progress.read()
        current = await server.current()
        _check_encoder(encoders[number], current)
        index = await server.open(encoders[number])
        came = went = 0
        for deletions in read_deletions(source, number, begin, state.seq):
            went += await index.delete(deletions)
            if there is not None:
                await there.delete(deletions)
        for points in read_points(source, path, number, begin, state.seq):
            if here is not None and there is not None:
                for record in points.records:
                    if (data := await here.get(record.id)) is not None:
                        await there.put(record.id, data)
            new = await index.add([Entry(*pair) for pair in zip(points.records, points.vectors, strict=True)])
            await index.update([record for record, is_new in zip(points.records, new, strict=True) if not is_new])
            came += len(points.seqs)
            progress.write(points.seqs[-1])
        progress.write(state.seq)
        if current is None:
            await server.switch(encoders[number])
        await index.close()
    return came, went
