"""What `?fit=` does for wide images: how many of the nearest images to a keyword show it, somewhere.

    python -m scripts.wide_images                          # the demo CLIP on panoramas of its gallery

Each panorama is three images of the demo gallery side by side, about three times as wide as high. For each keyword of
the lexicon the 5 nearest panoramas are counted that show it in any third, in the middle third, or only in an outer one.
The last column is the share that any 5 panoramas would have by chance.
"""

import argparse
import asyncio
import io
import json
import random

import numpy as np
from PIL import Image

from axia.lexicon import load_lexicon
from scripts.keyword_prompts import GALLERY, NEAREST
from services.retrieval.encoder.openclip import OpenClipEncoder
from services.retrieval.encoder.views import FIT
from services.retrieval.settings import DEMO_ENCODER

PARTS = 3


def panoramas(count: int, seed: int) -> list[tuple[bytes, list[frozenset[str]]]]:
    """PNG files of panoramas, each with the keywords of its parts from left to right."""
    choice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    lines = (GALLERY / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, filter(None, lines)) if row.get("keywords")]
    made = []
    for _ in range(count):
        chosen = choice.sample(rows, PARTS)
        parts = [Image.open(GALLERY / row["file"]).convert("RGB") for row in chosen]
        side = min(min(part.size) for part in parts)
        wide = Image.new("RGB", (PARTS * side, side))
        for place, part in enumerate(parts):
            left, top = (part.width - side) // 2, (part.height - side) // 2
            wide.paste(part.crop((left, top, left + side, top + side)), (place * side, 0))
        file = io.BytesIO()
        wide.save(file, "PNG")
        made.append((file.getvalue(), [frozenset(row["keywords"]) for row in chosen]))
    return made


async def measure(fit: str, made: list[tuple[bytes, list[frozenset[str]]]]) -> str:
    """A row of the table."""
    encoder = OpenClipEncoder(f"{DEMO_ENCODER}{FIT}{fit}", dtype="float32")
    await encoder.start()
    try:
        vectors = []
        for begin in range(0, len(made), 32):
            vectors.append(
                await encoder.encode_pictures([await encoder.prepare(file) for file, _ in made[begin : begin + 32]])
            )
        keywords = sorted({keyword for value in load_lexicon().values for keyword in value.keywords})
        scores = await encoder.encode_texts(keywords) @ np.concatenate(vectors).T
    finally:
        await encoder.close()
    shown = middle = outer = 0
    chance = 0.0
    for keyword, row in zip(keywords, scores, strict=True):
        parts = [[keyword in names for names in places] for _, places in made]
        chance += sum(map(any, parts)) / len(parts)
        for place in np.argsort(-row, kind="stable")[:NEAREST]:
            shown += any(parts[place])
            middle += parts[place][1]
            outer += any(parts[place]) and not parts[place][1]
    total = NEAREST * len(keywords)
    return (
        f"| {fit:5} | {shown / total:.2f} | {middle / total:.2f} | {outer / total:.2f} | {chance / len(keywords):.2f} |"
    )


async def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="panoramas (default: 400)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the panoramas (default: 1)")
    options = parser.parse_args()
    made = panoramas(options.count, options.seed)
    print("| fit   | shown | in the middle | in an outer third only | by chance |\n| --- | --- | --- | --- | --- |")
    for fit in ("crop", "pad", "tiles"):
        print(await measure(fit, made))


if __name__ == "__main__":
    asyncio.run(main())
