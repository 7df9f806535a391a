"""Measures the encoder beside a bare open_clip loop.

    python -m loadtests.benchmark.retrieval_encoder_speed [--spec SPEC] [--add-to bench-all]

The same JPEG pictures (512 × 384, shapes and noise) go through plain loops at batch 32 and at batch 1 and through the
encoder, decoding included, in turns, so that whatever else the machine does meets all of them. The same is done with
short texts, which are new in every round, because the encoder remembers texts. Prints pictures and texts a second and
the medians of the ratios. Weights may be random: they don't change the speed.
"""

import argparse
import asyncio
import io
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image, ImageDraw

from axia.lexicon import load_lexicon
from loadtests.benchmark.intervals import Median
from loadtests.benchmark.table import RESULTS, add_notes
from services.retrieval.encoder.openclip import OpenClipEncoder

SIZE = (512, 384)
IN_FLIGHT = 64
"""Pictures that an ingest has under way at once, and texts of as many searches."""
GOALS = {
    ("encoder, float32", "loop at batch 32"): 0.9,
    ("encoder, float32", "loop at batch 1"): 1.5,
    ("encoder, auto", "loop at batch 32"): None,
    ("encoder, auto", "loop at batch 1"): None,
    ("texts, encoder, float32", "texts, loop at batch 1"): 2.5,
    ("texts, encoder, float32", "texts, loop at batch 32"): None,
    ("texts, encoder, auto", "texts, loop at batch 1"): None,
}
"""What is compared, and the ratio that is wanted."""


def photograph(seed: int) -> bytes:
    """Shapes under noise, about as large as a photograph of this size."""
    draw = random.Random(seed)
    picture = Image.new("RGB", SIZE, tuple(draw.randrange(256) for _ in range(3)))
    pencil = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y = draw.randrange(SIZE[0]), draw.randrange(SIZE[1])
        pencil.ellipse(
            (x, y, x + draw.randrange(1, 200), y + draw.randrange(1, 200)),
            fill=tuple(draw.randrange(256) for _ in range(3)),
        )
    noise = np.random.default_rng(seed).normal(0, 12, (SIZE[1], SIZE[0], 3))
    noisy = Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    noisy.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def bare_loop(model: Any, transform: Callable[[Image.Image], torch.Tensor], files: Sequence[bytes], batch: int) -> None:
    """What a user of open_clip writes: decode, transform, stack, encode."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(files), batch):
            pictures = [transform(Image.open(io.BytesIO(file))) for file in files[start : start + batch]]
            model.encode_image(torch.stack(pictures).to(device), normalize=True).cpu().numpy()


async def ingest(encoder: OpenClipEncoder, files: Sequence[bytes]) -> None:
    """Prepares and encodes pictures one by one, many at once."""
    under_way = asyncio.Semaphore(IN_FLIGHT)

    async def one(file: bytes) -> None:
        async with under_way:
            await encoder.encode_pictures([await encoder.prepare(file)])

    await asyncio.gather(*(one(file) for file in files))


def bare_texts(model: Any, tokenize: Callable[[list[str]], torch.Tensor], texts: Sequence[str], batch: int) -> None:
    """The same for texts: tokenize, encode."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(texts), batch):
            model.encode_text(tokenize(list(texts[start : start + batch])).to(device), normalize=True).cpu().numpy()


async def search_texts(encoder: OpenClipEncoder, texts: Sequence[str]) -> None:
    """Encodes texts one by one, many at once, as searches do."""
    under_way = asyncio.Semaphore(IN_FLIGHT)

    async def one(text: str) -> None:
        async with under_way:
            await encoder.encode_texts([text])

    await asyncio.gather(*(one(text) for text in texts))


async def measure(options: argparse.Namespace) -> dict[str, str]:
    """Prints every figure; returns the ratios by what they compare."""
    files = [photograph(seed) for seed in range(options.pictures)]
    print(
        f"{len(files)} images of {sum(map(len, files)) / len(files) / 1000:.0f} kB, {torch.get_num_threads()} threads"
    )
    if options.spec.startswith("local-dir:"):
        model, _, transform = open_clip.create_model_and_transforms(options.spec)
    else:
        name, _, tag = options.spec.partition("/")
        model, _, transform = open_clip.create_model_and_transforms(name, pretrained=tag or None)
    tokenize = open_clip.get_tokenizer(options.spec if options.spec.startswith("local-dir:") else name)
    model.eval()
    if torch.cuda.is_available():
        model.cuda()
    exact = OpenClipEncoder(options.spec, dtype="float32", decode_workers=options.decode_workers)
    auto = OpenClipEncoder(options.spec, dtype="auto", decode_workers=options.decode_workers)
    await exact.start()
    await auto.start()

    async def bare(batch: int) -> None:
        await asyncio.to_thread(bare_loop, model, transform, files, batch)

    texts: list[str] = []

    async def bare_text(batch: int) -> None:
        await asyncio.to_thread(bare_texts, model, tokenize, texts, batch)

    ways: dict[str, Callable[[], Awaitable[None]]] = {
        "loop at batch 32": lambda: bare(32),
        "encoder, float32": lambda: ingest(exact, files),
        "encoder, auto": lambda: ingest(auto, files),
        "loop at batch 1": lambda: bare(1),
        "texts, loop at batch 32": lambda: bare_text(32),
        "texts, encoder, float32": lambda: search_texts(exact, texts),
        "texts, encoder, auto": lambda: search_texts(auto, texts),
        "texts, loop at batch 1": lambda: bare_text(1),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    await ingest(exact, files[:IN_FLIGHT])
    await bare(32)
    for round_ in range(options.rounds):
        texts[:] = [f"{keyword}, number {round_}" for keyword in load_lexicon().keywords]
        for name, way in ways.items():
            began = time.perf_counter()
            await way()
            items = texts if name.startswith("texts") else files
            rates[name].append(len(items) / (time.perf_counter() - began))
        print(", ".join(f"{name} {found[-1]:.1f}/s" for name, found in rates.items()))
    found = {}
    for (encoder, loop), goal in GOALS.items():
        ratio = Median.of([a / b for a, b in zip(rates[encoder], rates[loop], strict=True)])
        wanted = f" (goal: at least {goal:g})" if goal else ""
        missed = ", **missed**" if goal and ratio.median < goal else ""
        found[f"{encoder} beside a bare open_clip {loop.removeprefix('texts, ')}{wanted}"] = f"× {ratio:.2f}{missed}"
    for what, figure in found.items():
        print(f"{what}: {figure}")
    await exact.close()
    await auto.close()
    return found


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", default="ViT-B-32/", help="as OpenClipEncoder takes it; random weights by default")
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decode-workers", type=int, default=2)
    parser.add_argument("--add-to", default="", help="name of a result of the benchmark that gets the ratios as notes")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    if options.add_to:
        add_notes(RESULTS, options.add_to, found)


if __name__ == "__main__":
    main()
