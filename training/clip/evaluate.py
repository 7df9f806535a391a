"""Held-out figures of a demo CLIP, on frames of template families that training never drew.

    python -m training.clip.evaluate demo/models/clip

The checkpoint is loaded as any user loads it, by stock open_clip, and pictures go through its own transform.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from demo.world.catalogue import concepts
from demo.world.families import Split
from demo.world.frames import Frame, draw_concepts, draw_frame
from demo.world.paint import paint
from training.vlm.asking import as_served
from training.vlm.learning import normalise

PAINTED = 448
NEAREST = 5
"""Pictures a keyword, as in the Value-Spectrum protocol."""
Tokenize = Callable[[list[str]], Tensor]


def held_out_frames(each: int, seed: str) -> list[Frame]:
    """`each` frames of held-out families per keyword, with that keyword as the main concept; some show a second one."""
    frames = []
    for concept in concepts():
        for i in range(each):
            shown = draw_concepts(Random(f"{seed}:{concept.keyword}:{i}"), concept)
            frames.append(draw_frame(f"{seed}:{concept.keyword}:{i}", Split.HELD_OUT, tuple(c.keyword for c in shown)))
    return frames


@torch.inference_mode()
def embed_texts(model: open_clip.CLIP, tokenize: Tokenize, texts: list[str]) -> Tensor:
    """(N, width), unit length."""
    device = next(model.parameters()).device
    return functional.normalize(model.encode_text(tokenize(texts).to(device)).float(), dim=-1)


@torch.inference_mode()
def embed_images(model: open_clip.CLIP, pixels: Sequence[Tensor]) -> Tensor:
    """(N, width), unit length, from prepared pictures (3, 112, 112)."""
    device = next(model.parameters()).device
    parts = [torch.stack(list(pixels[low : low + 128])).to(device) for low in range(0, len(pixels), 128)]
    return torch.cat([functional.normalize(model.encode_image(part).float(), dim=-1) for part in parts])


def figures(images: Tensor, keywords: Tensor, names: Tensor, frames: Sequence[Frame]) -> dict[str, float]:
    """Precision@5 of keyword → frames, by the worst keyword too, and top-1 of frame → name.

    A frame is right for a keyword that is true of it; a name is right if it is that of any concept the frame shows.
    """
    similarity = keywords @ images.T
    hits = []
    for row, concept in zip(similarity, concepts(), strict=True):
        nearest = row.topk(NEAREST).indices.tolist()
        hits.append(sum(concept.keyword in frames[i].keywords for i in nearest) / NEAREST)
    best = (images @ names.T).argmax(1).tolist()
    named = [concepts()[place].keyword in frame.keywords for place, frame in zip(best, frames, strict=True)]
    single = [right for right, frame in zip(named, frames, strict=True) if len(frame.concepts) == 1]
    return {
        "precision@5 keyword to frames": sum(hits) / len(hits),
        "lowest precision@5 of a keyword": min(hits),
        "keywords under 0.8": float(sum(hit < 0.8 for hit in hits)),
        "top-1 frame to name": sum(named) / len(named),
        "top-1 frame to name, one concept": sum(single) / len(single),
    }


def compare(
    model: open_clip.CLIP, tokenize: Tokenize, prepare: Callable[[Image.Image], Tensor], frames: Sequence[Frame]
) -> dict[str, float]:
    """All figures on given frames."""
    images = embed_images(model, [prepare(paint(frame.picture, PAINTED)) for frame in frames])
    keywords = embed_texts(model, tokenize, [concept.keyword for concept in concepts()])
    names = embed_texts(model, tokenize, [concept.name for concept in concepts()])
    return figures(images, keywords, names, frames)


def quick_figures(model: open_clip.CLIP, tokenize: Tokenize) -> str:
    """A line of the main figures, for progress; 6 frames a keyword, so that five nearest can all be right."""

    def prepare(image: Image.Image) -> Tensor:
        return normalise(torch.from_numpy(as_served(image).copy()).permute(2, 0, 1)[None])[0]

    found = compare(model, tokenize, prepare, held_out_frames(6, "quick"))
    return f"precision@5 {found['precision@5 keyword to frames']:.3f}, frame to name {found['top-1 frame to name']:.3f}"


def main() -> None:
    """Print every figure, and write them beside the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo/models/clip"))
    parser.add_argument("--each", type=int, default=10, help="held-out frames a keyword")
    args = parser.parse_args()
    name = f"local-dir:{args.folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    found = compare(model.eval(), tokenizer, transform, held_out_frames(args.each, "evaluate"))
    for figure, amount in found.items():
        print(f"{figure:40} {amount:.3f}")
    (args.folder / "figures.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
