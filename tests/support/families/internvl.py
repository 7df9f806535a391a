"""InternVL3 in the layout of transformers, and InternVL 2.5 whose configuration is code in its repository."""

from pathlib import Path

from tests.support.families.checkpoint import IMAGENET_MEAN, IMAGENET_STD, save_tokenizer, save_weights, write
from tests.support.families.qwen import QWEN_PLAIN, QWEN_SPECIAL
from tests.support.families.vocabulary import byte_level

INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'video' %}{{ '<video>\n' }}{% elif content['type'] == 'text' %}"
    "{{ content['text'] }}{% endif %}{% endfor %}{% endif %}{{'<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{'<|im_start|>assistant\n' }}{% endif %}"
)
INTERN_SPECIAL = [
    *QWEN_SPECIAL,
    *("<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"),
]


def internvl_hf(folder: Path) -> None:
    """As OpenGVLab/InternVL3-1B-hf, which transformers knows by itself."""
    bpe = byte_level(900, [*INTERN_SPECIAL, "<video>"], QWEN_PLAIN, qwen=True)
    number = bpe.token_to_id
    save_tokenizer(
        bpe,
        folder,
        add_bos_token=False,
        add_prefix_space=False,
        bos_token=None,
        chat_template=INTERNVL_TEMPLATE,
        clean_up_tokenization_spaces=False,
        context_image_token="<IMG_CONTEXT>",
        end_image_token="</img>",
        eos_token="<|im_end|>",
        errors="replace",
        extra_special_tokens={
            "context_image_token": "<IMG_CONTEXT>",
            "end_image_token": "</img>",
            "start_image_token": "<img>",
            "video_token": "<video>",
        },
        model_max_length=8192,
        pad_token="<|endoftext|>",
        processor_class="InternVLProcessor",
        split_special_tokens=False,
        start_image_token="<img>",
        tokenizer_class="Qwen2Tokenizer",
        unk_token=None,
        video_token="<video>",
    )
    (folder / "chat_template.jinja").write_text(INTERNVL_TEMPLATE, encoding="utf-8")
    write(
        folder,
        "preprocessor_config.json",
        {
            "crop_size": None,
            "crop_to_patches": False,
            "do_center_crop": None,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": IMAGENET_MEAN,
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "image_std": IMAGENET_STD,
            "max_patches": 12,
            "min_patches": 1,
            "processor_class": "InternVLProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 448, "width": 448},
        },
    )
    write(folder, "processor_config.json", {"image_seq_length": 256, "processor_class": "InternVLProcessor"})
    write(
        folder,
        "video_preprocessor_config.json",
        {
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": IMAGENET_MEAN,
            "image_std": IMAGENET_STD,
            "processor_class": "InternVLProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 384, "width": 384},
            "video_processor_type": "InternVLVideoProcessor",
        },
    )
    write(folder, "generation_config.json", {"eos_token_id": number("<|im_end|>"), "max_new_tokens": 8192})
    config = {
        "architectures": ["InternVLForConditionalGeneration"],
        "downsample_ratio": 0.5,
        "image_seq_length": 256,
        "image_token_id": number("<IMG_CONTEXT>"),
        "model_type": "internvl",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "bos_token_id": number("<|endoftext|>"),
            "eos_token_id": number("<|im_end|>"),
            "hidden_act": "silu",
            "hidden_size": 128,
            "intermediate_size": 256,
            "max_position_embeddings": 32768,
            "max_window_layers": 2,
            "model_type": "qwen2",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"},
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "torch_dtype": "bfloat16",
            "use_sliding_window": False,
            "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vision_config": {
            "architectures": ["InternVisionModel"],
            "attention_bias": True,
            "attention_dropout": 0.0,
            "dropout": 0.0,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "hidden_size": 64,
            "image_size": [448, 448],
            "initializer_factor": 0.1,
            "initializer_range": 1e-10,
            "intermediate_size": 128,
            "layer_norm_eps": 1e-06,
            "layer_scale_init_value": 0.1,
            "model_type": "internvl_vision",
            "norm_type": "layer_norm",
            "num_attention_heads": 2,
            "num_channels": 3,
            "num_hidden_layers": 2,
            "patch_size": [14, 14],
            "projection_dropout": 0.0,
            "torch_dtype": "bfloat16",
            "use_absolute_position_embeddings": True,
            "use_mask_token": False,
            "use_mean_pooling": True,
            "use_qk_norm": False,
        },
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
    }
    names = (
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.vision_tower.", "vision_tower."),
    )
    save_weights(folder, config, names)


def internvl_chat(folder: Path) -> None:
    """As OpenGVLab/InternVL2_5-1B: the original repository, whose configuration is code in the repository (auto_map).
    The code itself is left out but for a stub, and there are no weights: it is about whether the server gets so far."""
    bpe = byte_level(900, INTERN_SPECIAL, QWEN_PLAIN, qwen=True)
    save_tokenizer(
        bpe,
        folder,
        additional_special_tokens=INTERN_SPECIAL[1:],
        chat_template=(
            "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system"
            "\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
            "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
            "{{ '<|im_start|>assistant\n' }}{% endif %}"
        ),
        eos_token="<|im_end|>",
        model_max_length=8192,
        pad_token="<|endoftext|>",
        tokenizer_class="Qwen2Tokenizer",
    )
    write(
        folder,
        "config.json",
        {
            "architectures": ["InternVLChatModel"],
            "auto_map": {
                "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
                "AutoModel": "modeling_internvl_chat.InternVLChatModel",
                "AutoModelForCausalLM": "modeling_internvl_chat.InternVLChatModel",
            },
            "downsample_ratio": 0.5,
            "dynamic_image_size": True,
            "force_image_size": 448,
            "llm_config": {
                "architectures": ["Qwen2ForCausalLM"],
                "hidden_size": 128,
                "intermediate_size": 256,
                "max_position_embeddings": 32768,
                "model_type": "qwen2",
                "num_attention_heads": 4,
                "num_hidden_layers": 2,
                "num_key_value_heads": 2,
                "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
            },
            "max_dynamic_patch": 12,
            "min_dynamic_patch": 1,
            "model_type": "internvl_chat",
            "ps_version": "v2",
            "select_layer": -1,
            "template": "internvl2_5",
            "torch_dtype": "bfloat16",
            "use_thumbnail": True,
            "vision_config": {
                "architectures": ["InternVisionModel"],
                "hidden_size": 64,
                "image_size": 448,
                "intermediate_size": 128,
                "model_type": "intern_vit_6b",
                "num_attention_heads": 2,
                "num_hidden_layers": 2,
                "patch_size": 14,
            },
        },
    )
    (folder / "configuration_internvl_chat.py").write_text(
        "from transformers import PretrainedConfig\n\n\nclass InternVLChatConfig(PretrainedConfig):\n"
        "    model_type = 'internvl_chat'\n",
        encoding="utf-8",
    )
