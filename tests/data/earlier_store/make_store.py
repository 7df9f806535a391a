"""How this store was made, by the last release that kept its index in logs of its own (`edge_log`).

Kept for the record: the modules that it imports are gone since. Run in a checkout of that release, with the folder to
make as its argument: PYTHONPATH=.:tests python make_store.py FOLDER
"""

# ruff: noqa: ASYNC240  # nothing else runs

import asyncio
import json
import shutil
import sys
from pathlib import Path

from retrieval import Parts, small, take_in
from services.retrieval.index_edge import EdgeCatalogue

from services.retrieval.retriever import Retriever

PICTURES = 215
DELETED = (3, 4, 5, 150, 208, 210)


async def main(folder: Path) -> None:
    parts = Parts(folder)
    parts.catalogue = EdgeCatalogue(folder / "index", build_threshold=40)
    parts.retriever = Retriever(parts.make_encoder, parts.catalogue, parts.pictures, parts.settings)
    await parts.retriever.start()
    ids = []
    for number in range(PICTURES):
        platform, time = ("tiktok", "")[number % 2], 1.7e9 + number
        (one,) = await take_in(parts, [small(number)], platform=platform, capture_time=time, source=f"post {number}")
        ids.append(one.record.id)
        while (await parts.retriever.stats()).building:
            await asyncio.sleep(0.1)
        if number == 170:  # from a part; the next build writes these to a file beside it
            await parts.retriever.delete([ids[number] for number in DELETED if number < 170])
    await parts.retriever.delete([ids[number] for number in DELETED[-2:]])  # the log alone says so
    vectors = await parts.retriever._spaces.current.index.vectors(ids)
    records = await parts.retriever._spaces.current.index.get(ids)
    await parts.retriever.close()
    wanted = [
        {"record": record.__dict__, "vector": [round(float(x), 7) for x in vector]}
        for record, vector in zip(records, vectors, strict=True)
        if record is not None
    ]
    (folder / "wanted.json").write_text(json.dumps(wanted))
    for shard in folder.glob("index/*/*/shard"):  # the derived index: several megabytes, and not read by a migration
        shutil.rmtree(shard)


asyncio.run(main(Path(sys.argv[1])))
