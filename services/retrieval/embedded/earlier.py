"""Brings over the indexes of earlier releases, which kept each encoder's in a folder with logs of their own.

    current.json              the current encoder
    ENCODER-HASH/             encoder.json, and manifest.json, which names in order:
        000006/pictures.log   a part; beside it, maybe, a file of the ids that were deleted from it
        000007.log            a log, the last of which may end in a write that was cut off

A log is 8 bytes of magic, 4 of dimension, and frames: 4 bytes of length, 4 of CRC-32, then one byte of kind, 32 of
SHA-256 and, for an addition, the vector as float32 and the record as JSON.
"""

import contextlib
import json
import logging
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.retrieval.embedded.database import FILE, HEAD, Database, lock
from services.retrieval.embedded.errors import damaged
from services.retrieval.files import sync_folder
from services.retrieval.index import EncoderId, PictureRecord

_log = logging.getLogger(__name__)

_CURRENT = "current.json"
_FRESH = ".migrating"
_HEADER = struct.Struct("<8sI")
_FRAME = struct.Struct("<II")
_KEY = slice(1, 33)
_BATCH = 1_000


def migrate(root: Path) -> None:
    """Makes a database of the logs in a folder, if there are some and no database; then removes them.

    A kill at any moment leaves the logs as they were, or the database whole.

    Raises:
        FailedPrecondition: If a log is damaged.
        Unavailable: If an earlier release has them open.
    """
    folders = [path.parent for path in sorted(root.glob("*/manifest.json")) if not path.parent.name.startswith("hnsw-")]
    if not folders or (root / FILE).exists():
        return
    fresh = root / _FRESH
    shutil.rmtree(fresh, ignore_errors=True)
    with contextlib.ExitStack() as opened:
        for folder in folders:
            opened.callback(os.close, lock(folder))
        with contextlib.closing(Database(fresh)) as database:
            for folder in folders:
                encoder = EncoderId(**json.loads((folder / "encoder.json").read_text()))
                _copy(folder, database, database.number(encoder), encoder.dimension)
            if (root / _CURRENT).exists():
                current = EncoderId(**json.loads((root / _CURRENT).read_text()))
                database.switch(database.number(current))
            _log.info("converted the index of an earlier release", extra={"pictures": database.state.points})
        for name in (HEAD, FILE):  # in this order: without the database all of it is done again
            (fresh / name).rename(root / name)
        sync_folder(root)
        for folder in (fresh, *folders):
            shutil.rmtree(folder)
        (root / _CURRENT).unlink(missing_ok=True)


def _copy(folder: Path, database: Database, number: int, dimension: int) -> None:
    """Inserts each picture that is left after all operations, from the last place where it was added."""
    left: dict[bytes, tuple[int, int]] = {}
    logs = list(_logs(folder))
    for place, (path, deleted) in enumerate(logs):
        for row, body in enumerate(_bodies(path, dimension, may_be_torn=place == len(logs) - 1)):
            if body[:1] == b"A":
                left[body[_KEY]] = (place, row)
            else:
                left.pop(body[_KEY], None)
        for key in deleted:
            if left.get(key, (None,))[0] == place:
                del left[key]
    batch: list[bytes] = []
    for place, (path, _) in enumerate(logs):
        for row, body in enumerate(_bodies(path, dimension, may_be_torn=True)):
            if body[:1] == b"A" and left.get(body[_KEY]) == (place, row):
                batch.append(body)
            if len(batch) == _BATCH:
                _insert(batch, database, number, dimension)
                batch = []
    _insert(batch, database, number, dimension)


def _insert(batch: list[bytes], database: Database, number: int, dimension: int) -> None:
    if batch:
        end = _KEY.stop + 4 * dimension
        records = [PictureRecord(body[_KEY].hex(), **json.loads(body[end:])) for body in batch]
        database.insert(number, records, np.stack([np.frombuffer(body[_KEY.stop : end], "<f4") for body in batch]))


def _logs(folder: Path) -> Iterator[tuple[Path, list[bytes]]]:
    for entry in json.loads((folder / "manifest.json").read_text())["segments"]:
        name, file = entry["name"], entry["deleted"]
        data = (folder / file).read_bytes() if file else b""
        path = folder / name if name.endswith(".log") else folder / name / "pictures.log"
        yield path, [data[start : start + 32] for start in range(0, len(data), 32)]


def _bodies(path: Path, dimension: int, *, may_be_torn: bool) -> Iterator[bytes]:
    with path.open("rb") as file:
        magic, stored = _HEADER.unpack(file.read(_HEADER.size).ljust(_HEADER.size))
        if magic != b"AXIALOG1" or stored != dimension:
            raise damaged(path, "it is not a log of this encoder")
        while head := file.read(_FRAME.size):
            length, checksum = _FRAME.unpack(head.ljust(_FRAME.size, b"\0"))
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum or not length:
                if not may_be_torn:
                    raise damaged(path, f"it can't be read behind byte {file.tell() - len(body)}")
                return
            yield body
