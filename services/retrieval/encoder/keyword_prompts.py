"""Sentences that keywords are put into before they are encoded, such as "a photo of {}".

A model that learned from captions can find a picture better by a caption than by a bare word. With several sentences
the vectors of a keyword are averaged, as CLIP does (Radford et al. 2021, https://arxiv.org/abs/2103.00020, 3.1.4).
"""

from collections.abc import Sequence

import numpy as np

from services.retrieval.encoder.protocol import Encoder
from services.retrieval.index import Vectors

PLACE = "{}"
"""Where the keyword goes."""


def keyword_texts(prompts: Sequence[str], keywords: Sequence[str]) -> list[str]:
    """The texts that are encoded: all sentences of the first keyword, then those of the second, and so on."""
    return [prompt.replace(PLACE, keyword) for keyword in keywords for prompt in prompts]


async def encode_keywords(encoder: Encoder, prompts: Sequence[str], keywords: Sequence[str]) -> Vectors:
    """Vectors of keywords, shape (n, dimension), each of unit length: the mean over the sentences, scaled."""
    vectors = await encoder.encode_texts(keyword_texts(prompts, keywords))
    if len(prompts) == 1:
        return vectors
    means = vectors.reshape(len(keywords), len(prompts), -1).mean(axis=1)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    scaled: Vectors = (means / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return scaled
