"""Training batches of the demo VLM, rendered on the fly by worker processes.

Batch number `step` is a pure function of the seed and the step, so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from demo.world import atlas
from demo.world.families import Split
from demo.world.frames import draw_frame
from demo.world.paint import paint
from demo.world.picture import Picture
from demo.world.scenes import draw_scene
from training.vlm.conversations import FRAME_TASKS, about_frame, about_scene, about_text
from training.vlm.llava import PATCH, PATCHES, SIDE
from training.vlm.tokenizer import encode

IGNORE = -100
"""Label of a token that is not learned."""
REDUCED = {112: 0.7, 224: 0.28, 448: 0.02}
"""Side at which a training picture is painted → share; larger ones are reduced as the processor reduces a user's."""


@dataclass(frozen=True)
class Batch:
    """One step's data.

    `pixels` uint8 (B, 3, 112, 112); `sprites` int64 (B, 64), the sprite seen in each patch (0 none); `ids` and `labels`
    int64 (S, T), sorted from short to long and padded at the end; `weights` float (S, T); `lengths` and `owner` int64
    (S,), the tokens of each sequence and its picture (−1 none).
    """

    pixels: Tensor
    sprites: Tensor
    ids: Tensor
    labels: Tensor
    weights: Tensor
    lengths: Tensor
    owner: Tensor


@dataclass(frozen=True)
class Plan:
    """What a step holds.

    `pictures`, of which one in `scene_every` is a home scene and the others are feed frames; `conversations` a picture;
    `texts`, conversations without a picture; `frame_tasks`, what is asked about frames; `decision`, how much more the
    decisive words of role-play count.
    """

    pictures: int
    conversations: int
    texts: int
    scene_every: int = 2
    frame_tasks: tuple[tuple[str, float], ...] = tuple(FRAME_TASKS.items())
    decision: float = 1.0


def render(picture: Picture, rng: Random) -> NDArray[np.uint8]:
    """A picture at training size, shape (112, 112, 3); some painted larger and reduced."""
    side = rng.choices(list(REDUCED), list(REDUCED.values()))[0]
    image = paint(picture, side)
    if side != SIDE:
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image)


def patch_sprites(picture: Picture) -> list[int]:
    """For each patch, row by row, the number (from 1) of the topmost sprite over its centre; 0 where there is none.

    Parts of the subject count above furniture and litter, and their boxes are widened to cover at least one patch.
    """
    numbers = {name: place + 1 for place, name in enumerate(atlas.names())}
    side = SIDE // PATCH
    grid = [0] * PATCHES
    for placed in sorted(picture.placed, key=lambda placed: placed.subject):
        left, top, right, bottom = (edge * side for edge in placed.box())
        grow_x, grow_y = max(0.0, (1.01 - (right - left)) / 2), max(0.0, (1.01 - (bottom - top)) / 2)
        for row in range(side):
            if not top - grow_y <= row + 0.5 <= bottom + grow_y:
                continue
            for column in range(side):
                if left - grow_x <= column + 0.5 <= right + grow_x:
                    grid[row * side + column] = numbers[placed.sprite]
    return grid


class Steps(Dataset[Batch]):
    """Batches by step number."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, plan: Plan, seed: int, first: int, last: int) -> None:
        self.tokenizer, self.plan, self.seed, self.first, self.last = tokenizer, plan, seed, first, last

    def __len__(self) -> int:
        return max(0, self.last - self.first)

    def __getitem__(self, place: int) -> Batch:
        return make_batch(self.tokenizer, self.plan, f"{self.seed}:{self.first + place}")


def make_batch(tokenizer: PreTrainedTokenizerFast, plan: Plan, seed: str) -> Batch:
    """The batch that belongs to a seed, from training families only."""
    rng = Random(f"batch:{seed}")
    pixels, sprites = [], []
    tasks = dict(plan.frame_tasks)
    rows: list[tuple[list[int], list[float], int]] = []
    for i in range(plan.pictures):
        key = f"train:{seed}:{i}"
        if i % plan.scene_every == plan.scene_every - 1:
            scene = draw_scene(key, Split.TRAIN)
            picture, talks = scene.picture, [about_scene(rng, scene) for _ in range(plan.conversations)]
        else:
            frame = draw_frame(key, Split.TRAIN)
            picture, talks = frame.picture, [about_frame(rng, frame, tasks) for _ in range(plan.conversations)]
        pixels.append(render(picture, rng))
        sprites.append(patch_sprites(picture))
        rows += [(*encode(tokenizer, talk, PATCHES, plan.decision if talk.role_play else 1.0), i) for talk in talks]
    rows += [(*encode(tokenizer, about_text(rng), PATCHES), -1) for _ in range(plan.texts)]
    rows.sort(key=lambda row: len(row[0]))
    longest = max((len(ids) for ids, _, _ in rows), default=0)
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORE, dtype=torch.long)
    weights = torch.zeros(ids.shape)
    for place, (tokens, weight, _) in enumerate(rows):
        row = torch.tensor(tokens)
        ids[place, : len(row)] = row
        weights[place, : len(row)] = torch.tensor(weight)
        labels[place, : len(row)] = torch.where(weights[place, : len(row)] > 0, row, IGNORE)
    return Batch(
        pixels=torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(),
        sprites=torch.tensor(sprites),
        ids=ids,
        labels=labels,
        weights=weights,
        lengths=torch.tensor([len(ids) for ids, _, _ in rows], dtype=torch.long),
        owner=torch.tensor([owner for _, _, owner in rows], dtype=torch.long),
    )


def batches(
    tokenizer: PreTrainedTokenizerFast, plan: Plan, seed: int, first: int, last: int, workers: int
) -> Iterator[Batch]:
    """Batches of steps `first` to `last` − 1, made ahead by worker processes."""
    steps = Steps(tokenizer, plan, seed, first, last)
    loader = DataLoader(
        steps, batch_size=None, num_workers=workers, prefetch_factor=8 if workers else None, worker_init_fn=_one_thread
    )
    yield from loader


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
