"""Pictures and texts for the demo CLIP: what a text is true of, beyond its own picture.

A batch holds many frames of the same concept, so "my own caption is right and all others are wrong" would be false.
Each text carries the labels that it is about, each picture those that it shows, and a pair is right where the text's
are among the picture's.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from demo.world.catalogue import Concept, Situation
from demo.world.families import Split
from demo.world.frames import draw_frame
from demo.world.scenes import draw_scene
from training.vlm.stream import patch_sprites, render

SCENES = 0.15
"""Share of home scenes among the pictures."""
FORMS = (
    "{}",
    "a picture of {}",
    "a photo of {}",
    "a screenshot of {}",
    "a short video about {}",
    "an image with {}",
    "{} in a video",
)


@dataclass(frozen=True)
class Pairs:
    """One batch: `pixels` uint8 (B, 3, 112, 112), `sprites` int64 (B, 64), `texts` B strings, `right` float (B, B).

    `right[i, j]` is 1 where text j is true of picture i.
    """

    pixels: Tensor
    sprites: Tensor
    texts: list[str]
    right: Tensor


def concept_text(rng: Random, concept: Concept) -> str:
    """The keyword, a name, the noun phrase, or the caption of a concept, in a frame of words."""
    draw = rng.random()
    if draw < 0.1:
        return f"{concept.caption} #{concept.keyword.replace(' ', '')}"
    word = concept.keyword if draw < 0.45 else rng.choice(concept.names) if draw < 0.75 else concept.phrase
    return rng.choice(FORMS).format(word) if rng.random() < 0.6 else word


def scene_text(rng: Random, situation: Situation, room: str) -> str:
    """What a home scene shows, with the room or without."""
    word = situation.shows if rng.random() < 0.7 or not situation.element else situation.element
    return f"{word} in a {room}" if rng.random() < 0.5 else word


def make_pairs(count: int, seed: str) -> Pairs:
    """The batch that belongs to a seed, from training families only."""
    rng = Random(f"pairs:{seed}")
    pixels, sprites, texts = [], [], []
    shown: list[set[str]] = []
    about: list[set[str]] = []
    for i in range(count):
        key = f"clip:{seed}:{i}"
        if rng.random() < SCENES:
            scene = draw_scene(key, Split.TRAIN)
            picture = scene.picture
            texts.append(scene_text(rng, scene.situation, scene.room))
            labels = {scene.situation.id, scene.room}
            shown.append(labels)
            about.append(labels if texts[-1].endswith(scene.room) else {scene.situation.id})
        else:
            frame = draw_frame(key, Split.TRAIN)
            picture = frame.picture
            chosen = rng.choice(frame.concepts) if rng.random() < 0.85 else None
            parts = [chosen] if chosen else list(frame.concepts)
            texts.append(" and ".join(concept_text(rng, concept) for concept in parts))
            shown.append({concept.keyword for concept in frame.concepts})
            about.append({concept.keyword for concept in parts})
        pixels.append(render(picture, rng))
        sprites.append(patch_sprites(picture))
    right = torch.tensor([[float(text <= labels) for text in about] for labels in shown])
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return Pairs(stacked, torch.tensor(sprites), texts, right)


class PairSteps(Dataset[Pairs]):
    """Batches by step number."""

    def __init__(self, count: int, seed: int, first: int, last: int) -> None:
        self.count, self.seed, self.first, self.last = count, seed, first, last

    def __len__(self) -> int:
        return max(0, self.last - self.first)

    def __getitem__(self, place: int) -> Pairs:
        return make_pairs(self.count, f"{self.seed}:{self.first + place}")


def pair_loader(count: int, seed: int, first: int, last: int, workers: int) -> DataLoader[Pairs]:
    """Batches of steps `first` to `last` − 1, made ahead by worker processes."""
    steps = PairSteps(count, seed, first, last)
    return DataLoader(steps, batch_size=None, num_workers=workers, prefetch_factor=8 if workers else None)
