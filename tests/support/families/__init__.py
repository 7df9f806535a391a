"""Tiny checkpoints with random weights of families of vision-language models, as they are published on the hub.

Each has the files of a published repository: configuration, tokenizer with the family's special tokens, image
processor, chat template, and weights under the published names. The geometry of pictures (patches, tiles, tokens a
picture, context length) is the published model's; only widths, depths and vocabularies are small. Answers are noise.
"""

from collections.abc import Callable
from pathlib import Path

from tests.support.families import blip2, gemma, internvl, llama, llava, qwen, smolvlm

FAMILIES: dict[str, Callable[[Path], None]] = {
    "llava-v1.6-mistral": llava.llava_next_mistral,
    "llava-v1.6-34b": llava.llava_next_34b,
    "llava-large-cache": llava.llava_next_large_cache,
    "llava-onevision": llava.llava_onevision,
    "qwen3-vl": qwen.qwen3_vl,
    "qwen2.5-vl": qwen.qwen2_5_vl,
    "qwen2-vl": qwen.qwen2_vl,
    "internvl3-hf": internvl.internvl_hf,
    "internvl-chat": internvl.internvl_chat,
    "blip2-opt": blip2.blip2,
    "smolvlm": smolvlm.smolvlm,
    "smolvlm2": smolvlm.smolvlm2,
    "gemma-3": gemma.gemma3,
    "paligemma": gemma.paligemma,
    "llama-3": llama.llama_text,
}
"""What writes a checkpoint into a folder, by the family's name."""
