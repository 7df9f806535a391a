"""What sentences around keywords do for a search by value: how many pictures show the keyword that found them.

    python -m scripts.keyword_prompts                                  # the demo CLIP on the demo gallery
    python -m scripts.keyword_prompts --prompts "{}" "a photo of {}"   # sentences of your own; several: also their mean

A folder of your own needs a manifest.jsonl whose rows have `file` and `keywords`, all that are true of the picture.
`keywords alone` counts the 5 nearest pictures of each keyword; `by value` counts what SearchByValue gives, where each
picture stands under one keyword of a value only.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from axia.lexicon import load_lexicon
from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.encoder.keyword_prompts import encode_keywords
from services.retrieval.encoder.openclip import OpenClipEncoder
from services.retrieval.encoder.protocol import Vectors
from services.retrieval.index import Entry, PictureRecord, VectorIndex
from services.retrieval.search import Wanted, share_out
from services.retrieval.settings import DEMO_ENCODER

GALLERY = Path(__file__).parents[1] / "demo" / "gallery"
PROMPTS = ("{}", "a photo of {}", "a picture of {}", "a screenshot of {}", "an image with {}")
NEAREST = 5
"""Pictures a keyword, as in arXiv 2411.11479."""


async def gallery_vectors(encoder: OpenClipEncoder, folder: Path) -> tuple[Vectors, list[frozenset[str]], list[Entry]]:
    """Vectors of the folder's pictures that have keywords, the keywords of each, and the entries of an index."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines() if line]
    rows = [row for row in rows if row.get("keywords")]
    parts, records = [], []
    for begin in range(0, len(rows), 64):
        prepared = [await encoder.prepare((folder / row["file"]).read_bytes()) for row in rows[begin : begin + 64]]
        parts.append(await encoder.encode_pictures(prepared))
        for picture in prepared:
            header = picture.header
            records.append(
                PictureRecord(header.sha256, header.format, header.width, header.height, picture.perceptual_hash)
            )
    vectors = np.concatenate(parts)
    entries = [Entry(record, vector) for record, vector in zip(records, vectors, strict=True)]
    return vectors, [frozenset(row["keywords"]) for row in rows], entries


async def shares(
    encoder: OpenClipEncoder,
    index: VectorIndex,
    pictures: Vectors,
    shown: Sequence[frozenset[str]],
    entries: Sequence[Entry],
    prompts: Sequence[str],
) -> tuple[float, float, float]:
    """Of the pictures found, the share that shows the keyword: by keywords alone, the worst keyword, and by value."""
    keywords_of = {entry.record.id: value_names for entry, value_names in zip(entries, shown, strict=True)}
    alone: list[float] = []
    right = total = 0
    for value in load_lexicon().values:
        vectors = await encode_keywords(encoder, prompts, value.keywords)
        for keyword, row in zip(value.keywords, vectors @ pictures.T, strict=True):
            nearest = np.argsort(-row, kind="stable")[:NEAREST]
            alone.append(sum(keyword in shown[place] for place in nearest) / NEAREST)
        for keyword, hits in zip(value.keywords, await share_out(index, vectors, Wanted(NEAREST)), strict=True):
            right += sum(keyword in keywords_of[hit.record.id] for hit in hits)
            total += len(hits)
    return sum(alone) / len(alone), min(alone), right / total


async def measure(spec: str, folder: Path, prompts: Sequence[str]) -> None:
    """Prints a row for each sentence, and one for the mean of all."""
    encoder = OpenClipEncoder(spec, dtype="float32")
    await encoder.start()
    pictures, shown, entries = await gallery_vectors(encoder, folder)
    print(f"{spec}, {len(shown)} pictures, {len(load_lexicon().keywords)} keywords, {NEAREST} nearest of each\n")
    print("| AXIA_RETRIEVAL_KEYWORD_PROMPTS | keywords alone | worst keyword | by value |\n| --- | --- | --- | --- |")
    with TemporaryDirectory() as scratch:
        catalogue = EmbeddedCatalogue(Path(scratch))
        index = await catalogue.open(encoder.id)
        await index.add(entries)
        rows = [(prompt,) for prompt in prompts]
        for composed in [*rows, tuple(prompts)] if len(prompts) > 1 else rows:
            alone, worst, by_value = await shares(encoder, index, pictures, shown, entries, composed)
            print(f"| `{','.join(composed)}` | {alone:.3f} | {worst:.1f} | {by_value:.3f} |", flush=True)
        await index.close()
    await encoder.close()


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default=DEMO_ENCODER, help='as AXIA_RETRIEVAL_ENCODER; "local-dir:" and a folder')
    parser.add_argument("--folder", type=Path, default=GALLERY, help="pictures with a manifest.jsonl")
    parser.add_argument("--prompts", nargs="+", default=PROMPTS, help="sentences with {} where the keyword goes")
    args = parser.parse_args()
    asyncio.run(measure(args.encoder, args.folder, args.prompts))


if __name__ == "__main__":
    main()
