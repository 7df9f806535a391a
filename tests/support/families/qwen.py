"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from pathlib import Path
from typing import Any

from tests.support.families.checkpoint import CLIP_MEAN, CLIP_STD, HALF, save_tokenizer, save_weights, write
from tests.support.families.vocabulary import byte_level

QWEN_SPECIAL = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>"),
]
QWEN_PLAIN = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"]
QWEN_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
    "<|im_end|>\n{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content"
    " or 'image_url' in content %}{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture "
    "{{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' "
    "or 'video' in content %}{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}Video "
    "{{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}"
    "{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}"
    "<|im_start|>assistant\n{% endif %}"
)


def _qwen(folder: Path, architecture: str, kind: str, vision: dict[str, Any], context: int, processor: str) -> None:
    bpe = byte_level(900, QWEN_SPECIAL, QWEN_PLAIN if kind == "qwen2_5_vl" else (), qwen=True)
    number = bpe.token_to_id
    save_tokenizer(
        bpe,
        folder,
        add_bos_token=False,
        add_prefix_space=False,
        additional_special_tokens=QWEN_SPECIAL[1:],
        bos_token=None,
        chat_template=QWEN_TEMPLATE,
        clean_up_tokenization_spaces=False,
        eos_token="<|im_end|>",
        errors="replace",
        model_max_length=131072 if kind == "qwen2_5_vl" else 32768,
        pad_token="<|endoftext|>",
        split_special_tokens=False,
        tokenizer_class="Qwen2Tokenizer",
        unk_token=None,
    )
    write(folder, "chat_template.json", {"chat_template": QWEN_TEMPLATE})
    write(
        folder,
        "preprocessor_config.json",
        {
            "min_pixels": 3136,
            "max_pixels": 12845056,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": CLIP_MEAN,
            "image_std": CLIP_STD,
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": processor,
        },
    )
    write(
        folder,
        "generation_config.json",
        {
            "bos_token_id": number("<|endoftext|>"),
            "do_sample": True,
            "eos_token_id": [number("<|im_end|>"), number("<|endoftext|>")],
            "pad_token_id": number("<|endoftext|>"),
            "repetition_penalty": 1.05,
            "temperature": 0.1 if kind == "qwen2_5_vl" else 0.01,
            "top_k": 1,
            "top_p": 0.001,
        },
    )
    config = {
        "architectures": [architecture],
        "attention_dropout": 0.0,
        "bos_token_id": number("<|endoftext|>"),
        "eos_token_id": number("<|im_end|>"),
        "vision_start_token_id": number("<|vision_start|>"),
        "vision_end_token_id": number("<|vision_end|>"),
        "vision_token_id": number("<|vision_pad|>"),
        "image_token_id": number("<|image_pad|>"),
        "video_token_id": number("<|video_pad|>"),
        "hidden_act": "silu",
        "hidden_size": 128,
        "initializer_range": 0.02,
        "intermediate_size": 256,
        "max_position_embeddings": context,
        "max_window_layers": 2,
        "model_type": kind,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": vision,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
    }
    save_weights(folder, config, (("model.visual.", "visual."), ("model.language_model.", "model.")))


def qwen2_vl(folder: Path) -> None:
    """As Qwen/Qwen2-VL-2B-Instruct."""
    vision = {
        "depth": 2,
        "embed_dim": 64,
        "mlp_ratio": 4,
        "num_heads": 2,
        "in_chans": 3,
        "hidden_size": 128,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
    }
    _qwen(folder, "Qwen2VLForConditionalGeneration", "qwen2_vl", vision, 32768, "Qwen2VLProcessor")


def qwen2_5_vl(folder: Path) -> None:
    """As Qwen/Qwen2.5-VL-3B-Instruct."""
    vision = {
        "depth": 4,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 2,
        "in_chans": 3,
        "out_hidden_size": 128,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [1, 3],
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
    }
    _qwen(folder, "Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", vision, 128000, "Qwen2_5_VLProcessor")


def qwen3_vl(folder: Path) -> None:
    """As Qwen/Qwen3-VL-4B-Instruct: patches of 16 pixels, features of several vision layers, no default system prompt."""
    bpe = byte_level(900, QWEN_SPECIAL, [*QWEN_PLAIN, "<think>", "</think>"], qwen=True)
    number = bpe.token_to_id
    template = QWEN_TEMPLATE.replace(
        "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "{% endif %}",
        "",
    )
    save_tokenizer(
        bpe,
        folder,
        add_bos_token=False,
        add_prefix_space=False,
        additional_special_tokens=QWEN_SPECIAL[1:],
        bos_token=None,
        chat_template=template,
        clean_up_tokenization_spaces=False,
        eos_token="<|im_end|>",
        errors="replace",
        model_max_length=262144,
        pad_token="<|endoftext|>",
        split_special_tokens=False,
        tokenizer_class="Qwen2Tokenizer",
        unk_token=None,
    )
    write(folder, "chat_template.json", {"chat_template": template})
    pixels = {
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": HALF,
        "image_std": HALF,
        "processor_class": "Qwen3VLProcessor",
    }
    image = {
        "size": {"longest_edge": 16777216, "shortest_edge": 65536},
        "image_processor_type": "Qwen2VLImageProcessorFast",
    }
    write(folder, "preprocessor_config.json", {**pixels, **image})
    video = {"size": {"longest_edge": 25165824, "shortest_edge": 4096}, "video_processor_type": "Qwen3VLVideoProcessor"}
    write(folder, "video_preprocessor_config.json", {**pixels, **video})
    ends = [number("<|im_end|>"), number("<|endoftext|>")]
    write(folder, "generation_config.json", {"do_sample": True, "eos_token_id": ends, "temperature": 0.7, "top_k": 20})
    config = {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "image_token_id": number("<|image_pad|>"),
        "video_token_id": number("<|video_pad|>"),
        "vision_start_token_id": number("<|vision_start|>"),
        "vision_end_token_id": number("<|vision_end|>"),
        "model_type": "qwen3_vl",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "text_config": {
            "attention_bias": False,
            "bos_token_id": number("<|endoftext|>"),
            "eos_token_id": number("<|im_end|>"),
            "head_dim": 32,
            "hidden_act": "silu",
            "hidden_size": 128,
            "intermediate_size": 256,
            "max_position_embeddings": 262144,
            "model_type": "qwen3_vl_text",
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default"},
            "rope_theta": 5000000,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
        },
        "vision_config": {
            "deepstack_visual_indexes": [0, 1, 2],
            "depth": 4,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 64,
            "in_channels": 3,
            "intermediate_size": 128,
            "model_type": "qwen3_vl",
            "num_heads": 2,
            "num_position_embeddings": 2304,
            "out_hidden_size": 128,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }
    save_weights(folder, config, ())
