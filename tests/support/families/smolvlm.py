"""SmolVLM, an Idefics3, and SmolVLM2."""

from pathlib import Path

from tests.support.families.checkpoint import HALF, save_tokenizer, save_weights, write
from tests.support.families.vocabulary import byte_level

SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == "
    "'image' %}{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}"
    "{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def _smol(folder: Path, kind: str, architecture: str, processor: str) -> None:
    after = ["<global-img>", *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))]
    after += ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]
    bpe = byte_level(
        900, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", *after]
    )
    number = bpe.token_to_id
    named = {
        "end_of_utterance_token": "<end_of_utterance>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "image_token": "<image>",
    }
    save_tokenizer(
        bpe,
        folder,
        add_prefix_space=False,
        additional_special_tokens=["<fake_token_around_image>", "<image>", "<end_of_utterance>"],
        bos_token="<|im_start|>",
        chat_template=SMOL_TEMPLATE,
        clean_up_tokenization_spaces=False,
        eos_token="<end_of_utterance>",
        extra_special_tokens=named,
        legacy=False,
        model_max_length=8192,
        pad_token="<|im_end|>",
        processor_class=processor,
        tokenizer_class="GPT2Tokenizer",
        truncation_side="left",
        unk_token="<|endoftext|>",
        **(named if kind == "smolvlm" else {}),
    )
    write(folder, "chat_template.json", {"chat_template": SMOL_TEMPLATE})
    image_processor = {
        "do_convert_rgb": True,
        "do_image_splitting": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": HALF,
        "image_processor_type": "Idefics3ImageProcessor" if kind == "idefics3" else "SmolVLMImageProcessor",
        "image_std": HALF,
        "max_image_size": {"longest_edge": 512},
        "processor_class": processor,
        "resample": 1,
        "rescale_factor": 0.00392156862745098,
        "size": {"longest_edge": 2048},
    }
    if kind == "smolvlm":
        image_processor["video_sampling"] = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}}
    write(folder, "preprocessor_config.json", image_processor)
    write(folder, "processor_config.json", {"image_seq_len": 64, "processor_class": processor})
    ends = {"bos_token_id": number("<|im_start|>"), "eos_token_id": number("<end_of_utterance>")}
    write(folder, "generation_config.json", {**ends, "pad_token_id": number("<|im_end|>")})
    config = {
        "architectures": [architecture],
        "image_token_id": number("<image>"),
        "model_type": kind,
        "pad_token_id": number("<|im_end|>"),
        "scale_factor": 4,
        "text_config": {
            "architectures": ["VLlama3ForCausalLM"],
            "bos_token_id": number("<|im_start|>"),
            "eos_token_id": number("<end_of_utterance>"),
            "head_dim": 32,
            "hidden_act": "silu",
            "hidden_size": 128,
            "intermediate_size": 256,
            "max_position_embeddings": 8192,
            "model_type": "llama",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "pad_token_id": number("<|im_end|>"),
            "rms_norm_eps": 1e-05,
            "rope_theta": 100000,
            "torch_dtype": "bfloat16",
            "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vision_config": {
            "hidden_size": 64,
            "image_size": 512,
            "intermediate_size": 128,
            "max_image_size": {"longest_edge": 512},
            "model_type": "idefics3_vision" if kind == "idefics3" else "smolvlm_vision",
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "patch_size": 16,
            "size": {"longest_edge": 2048},
            "tie_word_embeddings": False,
            "use_base_siglip": False,
        },
        "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
    }
    save_weights(folder, config, ())


def smolvlm(folder: Path) -> None:
    """As HuggingFaceTB/SmolVLM-256M-Instruct, which is an Idefics3."""
    _smol(folder, "idefics3", "Idefics3ForConditionalGeneration", "Idefics3Processor")


def smolvlm2(folder: Path) -> None:
    """As HuggingFaceTB/SmolVLM2-256M-Video-Instruct."""
    _smol(folder, "smolvlm", "SmolVLMForConditionalGeneration", "SmolVLMProcessor")
