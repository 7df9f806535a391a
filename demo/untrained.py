"""Makes a small LLaVA with random weights in the published Hugging Face layout.

vLLM loads it as it loads llava-hf/llava-1.5-7b-hf: same files, same weight names, same processor. Its answers are
noise. Tests use it for what does not depend on seeing, and to show that any checkpoint can be served.

    python -m demo.untrained /tmp/some-folder --seed 1
"""

import argparse
import json
from pathlib import Path
from typing import Any

from axia.prompts import load_prompts

IMAGE_TOKEN = "<image>"
_IMAGE_SIDE = 112
_PATCH = 14
_VOCABULARY = 1024
_CONTEXT = 8192

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}"
    "{% if message['role'] == 'assistant' %}</s>{% endif %}\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Turns with upper-case roles, as LLaVA 1.5 has them."""


def make_untrained_llava(folder: Path, *, seed: int = 0, ends: bool = True) -> Path:
    """Writes a LLaVA of about half a million parameters with random weights into `folder`.

    Args:
        folder: Where to write; made if needed.
        seed: Seed of the weights.
        ends: Whether the model has an end of sequence; without one each answer goes on to its token limit.

    Returns:
        The folder.
    """
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    image_token_id = _write_processor(folder, eos_token="</s>" if ends else None)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=_IMAGE_SIDE,
            patch_size=_PATCH,
            projection_dim=64,
        ),
        text_config=LlamaConfig(
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            vocab_size=_VOCABULARY,
            max_position_embeddings=_CONTEXT,
            bos_token_id=1,
            eos_token_id=2 if ends else None,
            pad_token_id=0,
            tie_word_embeddings=False,
        ),
        image_token_index=image_token_id,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config).to(torch.bfloat16)
    save_published(model, folder)
    return folder


def _write_processor(folder: Path, eos_token: str | None) -> int:
    """Writes tokenizer, image processor and chat template; returns the id of the image token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>", IMAGE_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([prompt.text for prompt in load_prompts().values()], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token=eos_token,
        pad_token="<pad>",
        additional_special_tokens=[IMAGE_TOKEN],
        model_max_length=_CONTEXT,
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": _IMAGE_SIDE}, crop_size={"height": _IMAGE_SIDE, "width": _IMAGE_SIDE}
        ),
        tokenizer=tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE_TOKEN,
        chat_template=CHAT_TEMPLATE,
    )
    processor.save_pretrained(folder)
    return int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))


def save_published(model: Any, folder: Path) -> None:
    """Saves a LLaVA under the weight names of the published checkpoints.

    transformers 5 saves other names than the checkpoints on the hub carry, and vLLM knows the published ones.
    """
    from safetensors.torch import save_file

    weights = {published_name(name): tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    config["dtype"] = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    config["architectures"] = ["LlavaForConditionalGeneration"]
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True, default=str) + "\n")


def published_name(name: str) -> str:
    """The name that the published LLaVA checkpoints give to a weight of transformers 5.

    >>> published_name("model.language_model.layers.0.mlp.up_proj.weight")
    'language_model.model.layers.0.mlp.up_proj.weight'
    """
    replacements = (
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
        ("model.vision_tower.", "vision_tower.vision_model."),
    )
    for old, new in replacements:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def main() -> None:
    """Command line: where to write, and the seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(make_untrained_llava(arguments.folder, seed=arguments.seed))


if __name__ == "__main__":
    main()
