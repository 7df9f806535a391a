"""The demo VLM's tokenizer: byte-level BPE trained on the world's own conversations, with a chat template.

Bytes are the base alphabet, so any text can be encoded; words of the world are one token each, digits are always
single, and whatever is rare falls apart into letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from demo.world.frames import draw_frame
from demo.world.scenes import draw_scene
from training.vlm.conversations import Conversation, about_frame, about_scene, about_text

VOCABULARY = 2560
CORPUS = 12_000
"""Conversations that the vocabulary is counted on."""
PAD, SYSTEM, USER, ASSISTANT, END, IMAGE = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<image>"
SPECIAL = (PAD, SYSTEM, USER, ASSISTANT, END, IMAGE)
MAX_LENGTH = 2048
OPENING = 3.0
"""Weight of an answer's first two tokens in the loss."""
DIGIT = 2.0
"""Weight of a digit."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|{{ message['role'] }}|>
{%- if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{{ '<image>\\n' }}
{%- elif part['type'] == 'text' -%}
{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|end|>
{%- endfor -%}
{%- if add_generation_prompt -%}
<|assistant|>
{%- endif -%}
"""


def corpus(seed: int, count: int = CORPUS) -> Iterator[str]:
    """Text of random conversations of the world."""
    for i in range(count):
        rng = Random(f"corpus:{seed}:{i}")
        kind = i % 5
        if kind < 2:
            conversation = about_scene(rng, draw_scene(f"corpus:{seed}:{i}"))
        elif kind < 4:
            conversation = about_frame(rng, draw_frame(f"corpus:{seed}:{i}"))
        else:
            conversation = about_text(rng)
        for turn in conversation.turns:
            yield turn.text


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `VOCABULARY` tokens."""
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r"'s|[^\S\n]?\p{L}+|\p{N}|[^\S\n]?[^\s\p{L}\p{N}]+|\n|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(seed), trainer)
    make: Any = PreTrainedTokenizerFast  # transformers leaves its arguments untyped
    fast: PreTrainedTokenizerFast = make(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE},
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        model_max_length=MAX_LENGTH,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def token_id(tokenizer: PreTrainedTokenizerFast, name: str) -> int:
    """The number of a special token."""
    found = tokenizer.convert_tokens_to_ids(name)
    if not isinstance(found, int):
        raise TypeError(f"{name!r} is not one token")
    return found


def encode(
    tokenizer: PreTrainedTokenizerFast, conversation: Conversation, patches: int, decision: float = 1.0
) -> tuple[list[int], list[float]]:
    """A conversation as token ids, and how much each is to be learned (0 for all but assistants' words and their end).

    The picture becomes `patches` image tokens and a line break before the first question, as the chat template and
    the processor write it. The first words of an answer and the scores of a questionnaire weigh more, because they
    carry the decision; the rest of an answer mostly follows from them. `decision` multiplies those weights.
    """
    special = {name: token_id(tokenizer, name) for name in SPECIAL}
    roles = {"system": special[SYSTEM], "user": special[USER], "assistant": special[ASSISTANT]}
    ids: list[int] = []
    weights: list[float] = []
    picture = conversation.picture
    for turn in conversation.turns:
        text = turn.text
        head = [roles[turn.role]]
        if turn.role == "user" and picture:
            head += [special[IMAGE]] * patches
            text, picture = f"\n{text}", False
        body: list[int] = tokenizer.encode(text, add_special_tokens=False)
        ids += [*head, *body, special[END]]
        weights += [0.0] * len(head)
        if turn.role == "assistant":
            digits = [token.strip("\u0120").isdigit() for token in tokenizer.convert_ids_to_tokens(body)]
            weights += [
                OPENING * decision if i < 2 else DIGIT * decision if digits[i] else 1.0 for i in range(len(body))
            ] + [1.0]
        else:
            weights += [0.0] * (len(body) + 1)
    return ids, weights
