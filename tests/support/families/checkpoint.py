"""The files of a checkpoint as the hub has them: tokenizer, configuration, weights under their published names."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

HALF = [0.5, 0.5, 0.5]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def save_tokenizer(bpe: Tokenizer, folder: Path, **config: Any) -> None:
    bpe.save(str(folder / "tokenizer.json"))
    added = {
        str(index): {
            "content": token.content,
            "lstrip": token.lstrip,
            "normalized": token.normalized,
            "rstrip": token.rstrip,
            "single_word": token.single_word,
            "special": token.special,
        }
        for index, token in sorted(bpe.get_added_tokens_decoder().items())
    }
    write(folder, "tokenizer_config.json", {"added_tokens_decoder": added, **config})
    names = ("bos_token", "eos_token", "unk_token", "pad_token", "additional_special_tokens")
    write(folder, "special_tokens_map.json", {name: config[name] for name in names if config.get(name)})


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save_weights(folder: Path, config: dict[str, Any], published: Sequence[tuple[str, str]], *, seed: int = 0) -> None:
    """Writes config.json, makes the model of it with random weights, and saves them under their published names."""
    import torch
    import transformers
    from safetensors.torch import save_file

    write(folder, "config.json", config)
    loaded = transformers.AutoConfig.from_pretrained(folder)
    torch.manual_seed(seed)
    model = getattr(transformers, config["architectures"][0])(loaded)
    dtype = getattr(torch, config["torch_dtype"])
    tied = set(getattr(model, "_tied_weights_keys", None) or {}) if loaded.tie_word_embeddings else set()
    weights: dict[str, Any] = {}
    for name, tensor in model.state_dict().items():
        if name in tied or name.endswith(("position_ids", "inv_freq")):
            continue
        empty = tensor.ndim > 1 and not tensor.any()  # as Gemma 3's projection; the picture would not matter
        filled = torch.randn_like(tensor) * 0.02 if empty else tensor
        weights[renamed(name, published)] = filled.to(dtype).contiguous().clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def renamed(name: str, published: Sequence[tuple[str, str]]) -> str:
    for old, new in published:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


LLAVA_NAMES = (
    ("model.language_model.", "language_model.model."),
    ("lm_head.", "language_model.lm_head."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("model.image_newline", "image_newline"),
    ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
    ("model.vision_tower.", "vision_tower.vision_model."),
)
