"""Damages the embedded store at random places and looks at what becomes of it.

    python -m scripts.retrieval_damage                # 500 places of a store of 3,000 pictures

Stores are made by a process that is killed, some with everything in the write-ahead log and some with most of it in the
database. Each time one file of a copy is damaged, by a flipped bit or by being cut, and the copy is opened as the
service opens it. It must then either have every acknowledged picture, as it was, and find each in a search; or say that
it is damaged. Prints a table, and ends with 1 if anything was lost without a word.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.index import EncoderId, Entry, PictureRecord, Query, Vectors
from services.serving.errors import ServiceError

DIMENSION = 64
ENCODER = EncoderId("damage", "1", DIMENSION)
THRESHOLD = 300
FILES = {"database": "store.db", "log": "store.db-wal", "head": "store.head", "index": "hnsw-*/**/*"}
_CUT = 0.3
"""Share of the files that are cut rather than having a bit flipped."""
CLOSED_ONCE = 0.6
"""Share of the pictures after which the second kind of store is closed and opened again."""

# Adds pictures, says so when all are acknowledged, and waits to be killed.
WRITER = """
import asyncio, sys
from pathlib import Path
from scripts.retrieval_damage import write
asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "closed once"))
"""


def vectors(count: int) -> Vectors:
    """Shape (count, DIMENSION), unit length, the same for every call."""
    made = np.random.default_rng(0).standard_normal((count, DIMENSION)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def entry(number: int, vector: np.ndarray) -> Entry:
    """A picture with everything that one can have."""
    identity = hashlib.sha256(str(number).encode()).hexdigest()
    platform, time = ("tiktok", "")[number % 2], None if number % 3 == 0 else 1.7e9 + number
    return Entry(
        PictureRecord(identity, "JPEG", 640, 480, f"{number:016x}", platform, time, f"source {number}"), vector
    )


async def write(folder: Path, count: int, closed_once: bool) -> None:
    """What a writer does."""
    everything = [entry(number, vector) for number, vector in enumerate(vectors(count))]
    ends = [int(CLOSED_ONCE * count), count] if closed_once else [count]
    start = 0
    for end in ends:
        catalogue = EmbeddedCatalogue(folder, build_threshold=THRESHOLD)
        index = await catalogue.open(ENCODER)
        await catalogue.switch(ENCODER)
        while start < end:
            await index.add(everything[start : min(start + 40, end)])
            start = min(start + 40, end)
        while (await index.stats()).building:  # noqa: ASYNC110  # an index tells nobody when it is built
            await asyncio.sleep(0.05)
        if end < count:
            await catalogue.close()
    print("written", flush=True)
    await asyncio.sleep(3600)


def make(folder: Path, count: int, kind: str) -> Path:
    """A store whose writer was killed."""
    command = [sys.executable, "-c", WRITER, str(folder), str(count), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as writer:
        assert writer.stdout is not None  # noqa: S101  # for the type checker
        if writer.stdout.readline() != "written\n":
            raise SystemExit("the writer failed")
        writer.kill()
    return folder


def copy(store: Path, target: Path) -> None:
    """A copy; files of indexes, which nobody changes, are links until they are damaged."""
    target.mkdir()
    for path in store.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name, copy_function=os.link)
        else:
            shutil.copy2(path, target / path.name)


def damage(folder: Path, kind: str, random: np.random.Generator) -> str:
    """Damages one file; returns what was done."""
    files = sorted(path for path in folder.glob(FILES[kind]) if path.is_file() and path.stat().st_size)
    path = files[random.integers(len(files))]
    data = bytearray(path.read_bytes())
    path.unlink()  # it may be a link
    place = int(random.integers(len(data)))
    if random.random() < _CUT:
        del data[place:]
        done = f"cut at {place}"
    else:
        bit = int(random.integers(8))
        data[place] ^= 1 << bit
        done = f"bit {bit} of byte {place} flipped"
    path.write_bytes(data)
    return f"{path.relative_to(folder)}: {done}"


async def verdict(folder: Path, count: int, *, search: bool) -> str:
    """ "whole", the reason of the refusal, or what was lost without a word."""
    catalogue = EmbeddedCatalogue(folder, build_threshold=THRESHOLD)
    try:
        if await catalogue.current() != ENCODER:
            return "LOST: the current encoder"
        index = await catalogue.open(ENCODER)
        wanted = {each.record.id: each for each in (entry(*pair) for pair in enumerate(vectors(count)))}
        ids = list(wanted)
        if await index.get(ids) != [each.record for each in wanted.values()]:
            return "LOST: records"
        found = await index.vectors(ids)
        if any(
            vector is None or (vector != wanted[picture].vector).any()
            for picture, vector in zip(ids, found, strict=True)
        ):
            return "LOST: vectors"
        if search:
            await index.segments.opened.wait()
            hits = await index.search(Query(wanted[ids[0]].vector, count, score_threshold=-1.0))
            if {hit.record.id for hit in hits} != set(ids):
                return f"LOST: {count - len(hits)} hits"
            nearest = [(await index.search(Query(wanted[picture].vector, 1)))[0].record.id for picture in ids[::100]]
            if nearest != ids[::100]:
                return "LOST: nearest pictures"
    except ServiceError as error:
        return error.reason
    finally:
        await catalogue.close()
    return "whole"


async def try_places(
    stores: list[Path], kinds: dict[str, int], count: int, seed: int
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Damages copies; how often each kind of file had which verdict, and what was lost."""
    random = np.random.default_rng(seed)
    verdicts: Counter[tuple[str, str]] = Counter()
    lost: list[str] = []
    for kind, places in kinds.items():
        for number in range(places):
            store = stores[number % len(stores)]
            with tempfile.TemporaryDirectory(dir=store.parent) as folder:
                target = Path(folder) / "store"
                copy(store, target)
                done = damage(target, kind, random)
                became = await verdict(target, count, search=kind == "index")
            verdicts[kind, became] += 1
            if became.startswith("LOST"):
                lost.append(f"{done}: {became}")
    return verdicts, lost


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=3_000)
    parser.add_argument("--places", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("services").setLevel(logging.ERROR)  # each damaged index is a warning
    with tempfile.TemporaryDirectory() as root:
        stores = [
            make(Path(root) / kind.replace(" ", "-"), arguments.pictures, kind) for kind in ("new", "closed once")
        ]
        kinds = {kind: arguments.places // len(FILES) for kind in FILES}
        verdicts, lost = asyncio.run(try_places(stores, kinds, arguments.pictures, arguments.seed))
    table = Table(
        "damaged", "what became of it", "times", title=f"{sum(kinds.values())} places, {arguments.pictures:,} pictures"
    )
    for (kind, became), times in sorted(verdicts.items()):
        table.add_row(kind, became, str(times))
    Console(width=120).print(table)
    if lost:
        print(json.dumps(lost, indent=1))
        raise SystemExit(1)


if __name__ == "__main__":
    main()
