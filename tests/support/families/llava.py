"""LLaVA 1.6 (LLaVA-NeXT) on Mistral and on Yi, and LLaVA-OneVision on Qwen2."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tests.support.families.checkpoint import (
    CLIP_MEAN,
    CLIP_STD,
    HALF,
    LLAVA_NAMES,
    save_tokenizer,
    save_weights,
    write,
)
from tests.support.families.vocabulary import begins_with, byte_level, sentencepiece_like

MISTRAL_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<<SYS>>\n' + message['content'][0]['text'] + "
    "'\n<</SYS>>\n\n' }}{% elif message['role'] == 'user' %}{{ '[INST] ' }}{# Render all images first #}{% for content "
    "in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}{# Render all text "
    "next #}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] }}"
    "{% endfor %}{{' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'][0]['text'] + "
    "'</s> '}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
YI_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{# Render all images first #}{% for content"
    " in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}{# Render all text "
    "next #}{% if message['role'] != 'assistant' %}{% for content in message['content'] | selectattr('type', 'equalto', "
    "'text') %}{{ content['text'] }}{% endfor %}{% else %}{% for content in message['content'] | selectattr('type', "
    "'equalto', 'text') %}{% generation %}{{ content['text'] }}{% endgeneration %}{% endfor %}{% endif %}"
    "{{'<|im_end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _llava_next(folder: Path, bpe: Tokenizer, text: dict[str, Any], **tokenizer: Any) -> None:
    image = bpe.token_to_id("<image>")
    vocabulary = -(-bpe.get_vocab_size() // 64) * 64
    save_tokenizer(
        bpe, folder, tokenizer_class="LlamaTokenizer", processor_class="LlavaNextProcessor", legacy=False, **tokenizer
    )
    write(
        folder,
        "preprocessor_config.json",
        {
            "aspect_ratio_setting": "anyres",
            "crop_size": {"height": 336, "width": 336},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_pad": True,
            "do_rescale": True,
            "do_resize": True,
            "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
            "image_mean": CLIP_MEAN,
            "image_processor_type": "LlavaNextImageProcessor",
            "image_std": CLIP_STD,
            "processor_class": "LlavaNextProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": 336},
        },
    )
    write(
        folder,
        "processor_config.json",
        {
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": 14,
            "processor_class": "LlavaNextProcessor",
            "vision_feature_select_strategy": "default",
        },
    )
    config = {
        "architectures": ["LlavaNextForConditionalGeneration"],
        "ignore_index": -100,
        "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
        "image_seq_length": 576,
        "image_token_index": image,
        "model_type": "llava_next",
        "projector_hidden_act": "gelu",
        "text_config": {"vocab_size": vocabulary, "torch_dtype": "float16", **text},
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_image_newline_parameter": True,
        "vision_config": {
            "hidden_size": 64,
            "image_size": 336,
            "intermediate_size": 128,
            "model_type": "clip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "patch_size": 14,
            "projection_dim": 64,
            "vocab_size": 32000,
        },
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": vocabulary,
    }
    save_weights(folder, config, LLAVA_NAMES)


def llava_next_mistral(folder: Path, other: dict[str, Any] | None = None) -> None:
    """As llava-hf/llava-v1.6-mistral-7b-hf."""
    bpe = sentencepiece_like(["<unk>", "<s>", "</s>"], 900, prefix=True, special_after=["<image>", "<pad>"])
    begins_with(bpe, "<s>")
    write(folder, "chat_template.json", {"chat_template": MISTRAL_TEMPLATE})
    write(folder, "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2})
    text = {
        "architectures": ["MistralForCausalLM"],
        "hidden_size": 128,
        "intermediate_size": 256,
        "max_position_embeddings": 32768,
        "model_type": "mistral",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        **(other or {}),
    }
    _llava_next(
        folder,
        bpe,
        text,
        add_bos_token=True,
        add_eos_token=False,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        model_max_length=1000000000000000019884624838656,
        spaces_between_special_tokens=False,
        use_default_system_prompt=False,
    )


def llava_next_large_cache(folder: Path) -> None:
    """The first one with a cache of 36 KiB a token: its context of 32768 needs 1.1 GiB, more than the default on a CPU,
    as the 4 GiB of the published model's do."""
    llava_next_mistral(
        folder,
        {
            "head_dim": 128,
            "num_attention_heads": 8,
            "num_key_value_heads": 8,
            "num_hidden_layers": 9,
            "intermediate_size": 64,
        },
    )


def llava_next_34b(folder: Path) -> None:
    """As llava-hf/llava-v1.6-34b-hf: Nous-Hermes-2-Yi with ChatML, a context of 4096, pictures of up to 2,928 tokens."""
    first = ["<unk>", "<|startoftext|>", "<|endoftext|>", "<|Human|>", "<|Assistant|>", "<|System|>"]
    first += ["<|im_start|>", "<|im_end|>"]
    bpe = sentencepiece_like(first, 900, prefix=False, special_after=["<image>", "<pad>"])
    write(folder, "chat_template.json", {"chat_template": YI_TEMPLATE})
    write(folder, "generation_config.json", {"bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0})
    text = {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 7,
        "hidden_size": 128,
        "intermediate_size": 256,
        "max_position_embeddings": 4096,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-05,
        "rope_theta": 5000000.0,
        "use_cache": False,
    }
    _llava_next(
        folder,
        bpe,
        text,
        add_bos_token=False,
        add_eos_token=False,
        bos_token="<|startoftext|>",
        eos_token="<|im_end|>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        model_max_length=4096,
    )


ONEVISION_PINPOINTS = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}{# Render all images first #}{% for content in"
    " message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}{# Render all text next #}"
    "{% if message['role'] != 'assistant' %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') "
    "%}{{ '\n' + content['text'] }}{% endfor %}{% else %}{% for content in message['content'] | selectattr('type', "
    "'equalto', 'text') %}{% generation %}{{ '\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}"
    "{{'<|im_end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def llava_onevision(folder: Path) -> None:
    """As llava-hf/llava-onevision-qwen2-0.5b-ov-hf: SigLIP of 384 pixels, up to 36 tiles in any order."""
    bpe = byte_level(900, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"], qwen=True)
    number = bpe.token_to_id
    vocabulary = -(-bpe.get_vocab_size() // 64) * 64
    save_tokenizer(
        bpe,
        folder,
        add_prefix_space=False,
        bos_token=None,
        clean_up_tokenization_spaces=False,
        eos_token="<|im_end|>",
        errors="replace",
        model_max_length=32768,
        pad_token="<|endoftext|>",
        processor_class="LlavaOnevisionProcessor",
        tokenizer_class="Qwen2Tokenizer",
        unk_token=None,
    )
    write(folder, "chat_template.json", {"chat_template": ONEVISION_TEMPLATE})
    pixels = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": HALF,
        "image_std": HALF,
        "processor_class": "LlavaOnevisionProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": 384, "width": 384},
    }
    image = {
        "do_pad": True,
        "image_grid_pinpoints": ONEVISION_PINPOINTS,
        "image_processor_type": "LlavaOnevisionImageProcessor",
    }
    write(folder, "preprocessor_config.json", {**pixels, **image})
    write(folder, "video_preprocessor_config.json", {**pixels, "video_processor_type": "LlavaOnevisionVideoProcessor"})
    processor = {
        "image_token": "<image>",
        "num_image_tokens": 729,
        "processor_class": "LlavaOnevisionProcessor",
        "video_token": "<video>",
        "vision_feature_select_strategy": "full",
    }
    write(folder, "processor_config.json", processor)
    write(
        folder,
        "generation_config.json",
        {"eos_token_id": number("<|im_end|>"), "pad_token_id": number("<|endoftext|>")},
    )
    config = {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "image_grid_pinpoints": ONEVISION_PINPOINTS,
        "image_token_index": number("<image>"),
        "model_type": "llava_onevision",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "bos_token_id": number("<|endoftext|>"),
            "eos_token_id": number("<|im_end|>"),
            "hidden_size": 128,
            "intermediate_size": 256,
            "max_position_embeddings": 32768,
            "model_type": "qwen2",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rope_theta": 1000000.0,
            "torch_dtype": "bfloat16",
            "vocab_size": vocabulary,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_image_newline_parameter": True,
        "video_token_index": number("<video>"),
        "vision_aspect_ratio": "anyres_max_9",
        "vision_config": {
            "hidden_size": 64,
            "image_size": 384,
            "intermediate_size": 128,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "patch_size": 14,
            "vision_use_head": False,
        },
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }
    save_weights(folder, config, LLAVA_NAMES)
