"""Ask a demo VLM, in batches, with greedy decoding or sampling; used by the recipe's own evaluation.

Serving goes through an inference engine (`training.vlm.served`); this is the short way that needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from training.vlm.conversations import Conversation
from training.vlm.learning import normalise
from training.vlm.llava import PATCHES, SIDE
from training.vlm.tokenizer import ASSISTANT, encode, token_id

BATCH = 64


def as_served(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A square picture as the checkpoint's processor reduces it: bicubic, shape (112, 112, 3)."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


class Asker(Protocol):
    """Something that answers conversations: a model in this process, or a served one."""

    def __call__(
        self,
        conversations: Sequence[Conversation],
        images: Sequence[Image.Image | None],
        max_new_tokens: int,
        temperature: float = 0.0,
    ) -> list[str]:
        """The answer to each conversation, which ends with a user turn.

        Args:
            conversations: what was said so far.
            images: the picture of each conversation; None exactly where it has none.
            max_new_tokens: cut the answer here.
            temperature: 0 decodes greedily, otherwise samples.
        """


class LocalAsker:
    """Asks a model in this process; seed torch before sampling.

    Args:
        model: in evaluation mode.
        tokenizer: the checkpoint's.
    """

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
        self._model = model
        self._tokenizer = tokenizer

    def __call__(
        self,
        conversations: Sequence[Conversation],
        images: Sequence[Image.Image | None],
        max_new_tokens: int,
        temperature: float = 0.0,
    ) -> list[str]:
        """The answer to each conversation, in batches."""
        texts: list[str] = []
        for low in range(0, len(conversations), BATCH):
            chunk = conversations[low : low + BATCH]
            shown = images[low : low + BATCH]
            texts += _ask(self._model, self._tokenizer, chunk, shown, max_new_tokens, temperature)
        return texts


@torch.inference_mode()
def _ask(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[Conversation],
    images: Sequence[Image.Image | None],
    max_new_tokens: int,
    temperature: float,
) -> list[str]:
    device = model.device
    start = token_id(tokenizer, ASSISTANT)
    rows = [[*encode(tokenizer, conversation, PATCHES)[0], start] for conversation in conversations]
    longest = max(map(len, rows))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    shown = [as_served(image) for image in images if image is not None]
    pixels: Tensor | None = None
    if shown:
        pixels = normalise(torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).to(device)).to(model.dtype)
    options: dict[str, Any] = (
        {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    )
    if pixels is not None:
        options["pixel_values"] = pixels
    asked: Any = model  # the type of `generate` asks for protocols that the class itself doesn't declare
    out = asked.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=max_new_tokens,
        pad_token_id=pad,
        **options,
    )
    decoded: list[str] = tokenizer.batch_decode(out[:, longest:], skip_special_tokens=True)
    return decoded
