"""One training step of the demo VLM: what is predicted, and the loss."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration

from demo.world import atlas
from training.vlm.llava import FEATURE_LAYER, MEAN, STD
from training.vlm.stream import IGNORE, Batch

GROUPS = 3
"""Sequences are computed in this many groups of similar length, so that little is spent on padding."""


class Losses(NamedTuple):
    """Mean losses of a step, nats: next token (weighted), sprite of each patch."""

    text: Tensor
    sprites: Tensor


class Sight(nn.Module):
    """Names the sprite seen in each patch. It teaches the vision tower to see and is left out of the checkpoint."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.names = nn.Linear(width, len(atlas.names()) + 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 64, width) → (B, 64, sprites + 1) logits."""
        logits: Tensor = self.names(self.norm(features))
        return logits


def normalise(pixels: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) → float with CLIP's mean and deviation."""
    mean = torch.tensor(MEAN, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=pixels.device).view(1, 3, 1, 1)
    return (pixels.float() / 255 - mean) / std


def see(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """Patch features of the last but one layer, (B, 64, width), as LLaVA takes them."""
    out = model.model.vision_tower(normalise(pixels), output_hidden_states=True)
    features: Tensor = out.hidden_states[FEATURE_LAYER][:, 1:]
    return features


def sprite_loss(logits: Tensor, sprites: Tensor) -> Tensor:
    """Cross-entropy per patch; patches without a sprite count a quarter, because they are most of a picture."""
    weights = torch.ones(logits.shape[-1], device=logits.device)
    weights[0] = 0.25
    return functional.cross_entropy(logits.flatten(0, 1).float(), sprites.flatten(), weights)


def text_loss(model: LlavaForConditionalGeneration, features: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy of the next token over all answers of a batch."""
    seen = model.model.multi_modal_projector(features)
    embed = model.get_input_embeddings()
    image_token = model.config.image_token_id
    total = torch.zeros((), device=features.device)
    bounds = [len(batch.ids) * i // GROUPS for i in range(GROUPS + 1)]
    for low, high in pairwise(bounds):
        if low == high:
            continue
        length = int(batch.lengths[low:high].max())
        ids = batch.ids[low:high, :length]
        inputs = embed(ids).to(seen.dtype)
        owner = batch.owner[low:high]
        has = owner >= 0
        # Every sequence with a picture holds exactly one run of image tokens, in the order of its patches.
        inputs = inputs.masked_scatter((ids == image_token).unsqueeze(-1), seen[owner[has]])
        # Padding stands at the end, so the causal mask alone keeps it from being seen.
        hidden = model.model.language_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
        target = batch.labels[low:high, 1:length]
        chosen = target != IGNORE
        logits = model.lm_head(hidden[:, :-1][chosen]).float()
        each = functional.cross_entropy(logits, target[chosen], reduction="none")
        total = total + (each * batch.weights[low:high, 1:length][chosen]).sum()
    return total / batch.weights.sum()
