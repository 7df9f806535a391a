"""The demo VLM's architecture, and how it is saved: a LLaVA in the layout of llava-hf/llava-1.5-7b-hf.

A CLIP vision tower of 64 patches, a two-layer projector, and a Llama. As in LLaVA 1.5 the features come from the
last but one layer of the tower, so the last one is never used. Head size is 64 in both, which every engine serves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from training.vlm.tokenizer import END, IMAGE, MAX_LENGTH, PAD, token_id

SIDE = 112
"""Side of a picture, pixels."""
PATCH = 14
PATCHES = (SIDE // PATCH) ** 2
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation, red, green, blue, for levels 0–1."""
FEATURE_LAYER = -2
VISION_WIDTH = 192

# transformers 5 names modules differently from the published checkpoints, which are what engines load.
PUBLISHED = (
    ("model.language_model.", "language_model.model."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("lm_head.", "language_model.lm_head."),
)


def config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """Sizes of the demo VLM (about 5 million parameters)."""
    end, pad = token_id(tokenizer, END), token_id(tokenizer, PAD)
    make: Any = LlavaConfig  # token ids are keywords of every configuration, though not in this one's signature
    made: LlavaConfig = make(
        vision_config=CLIPVisionConfig(
            hidden_size=VISION_WIDTH,
            intermediate_size=512,
            num_hidden_layers=5,
            num_attention_heads=3,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=192,
            hidden_act="quick_gelu",
        ),
        text_config=LlamaConfig(
            vocab_size=-(-len(tokenizer) // 64) * 64,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=3,
            num_key_value_heads=3,
            head_dim=64,
            max_position_embeddings=MAX_LENGTH,
            bos_token_id=None,
            eos_token_id=end,
            pad_token_id=pad,
            tie_word_embeddings=False,
        ),
        image_token_index=token_id(tokenizer, IMAGE),
        image_seq_length=PATCHES,
        projector_hidden_act="gelu",
        vision_feature_select_strategy="default",
        vision_feature_layer=FEATURE_LAYER,
        tie_word_embeddings=False,
        pad_token_id=pad,
        eos_token_id=end,
    )
    return made


def build(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """An untrained model."""
    torch.manual_seed(seed)
    return LlavaForConditionalGeneration(config(tokenizer))


def published_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights under the names of the published checkpoints."""
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in PUBLISHED:
            if name.startswith(ours):
                # Some releases of transformers keep the tower's inner module, some don't.
                renamed[theirs + name.removeprefix(ours).removeprefix("vision_model.")] = tensor
                break
        else:
            raise ValueError(f"weight {name!r} has no place in the published layout")
    return renamed


def save(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a checkpoint in the published layout, weights in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    # The class name that every release of transformers knows.
    described = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    _write(folder / "tokenizer_config.json", described | {"tokenizer_class": "PreTrainedTokenizerFast"})
    weights = {
        name: t.detach().to("cpu", torch.bfloat16).contiguous()
        for name, t in published_names(model.state_dict()).items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    described = model.config.to_dict()
    described.update(architectures=["LlavaForConditionalGeneration"], dtype="bfloat16", torch_dtype="bfloat16")
    described["text_config"]["architectures"] = ["LlamaForCausalLM"]
    _write(folder / "config.json", described)
    end, pad = token_id(tokenizer, END), token_id(tokenizer, PAD)
    _write(folder / "generation_config.json", {"eos_token_id": end, "pad_token_id": pad})
    _write(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "processor_class": "LlavaProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": SIDE},
            "resample": 3,
            "do_center_crop": True,
            "crop_size": {"height": SIDE, "width": SIDE},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": MEAN,
            "image_std": STD,
        },
    )
    _write(
        folder / "processor_config.json",
        {
            "processor_class": "LlavaProcessor",
            "image_token": IMAGE,
            "patch_size": PATCH,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
    )


def load(folder: Path, device: str) -> LlavaForConditionalGeneration:
    """A saved checkpoint in float32, from our own names, independent of how transformers maps the published ones."""
    from transformers import AutoConfig

    model = LlavaForConditionalGeneration(AutoConfig.from_pretrained(folder))
    stored = load_file(folder / "model.safetensors")
    state = model.state_dict()
    theirs = published_names({name: torch.empty(0) for name in state})
    for ours, published in zip(state, theirs, strict=True):
        state[ours] = stored[published].to(torch.float32)
    model.load_state_dict(state)
    move: Any = model  # transformers types `to` for strings in a way that mypy can't follow
    loaded: LlavaForConditionalGeneration = move.to(device).eval()
    return loaded


def _write(path: Path, data: dict[str, object]) -> None:
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")
