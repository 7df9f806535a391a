"""Llama 3, which takes no pictures."""

from pathlib import Path

from tests.support.families.checkpoint import save_tokenizer, save_weights, write
from tests.support.families.vocabulary import begins_with, byte_level

LLAMA3_TEMPLATE = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def llama_text(folder: Path) -> None:
    """As meta-llama/Meta-Llama-3-8B-Instruct: text alone."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{i}|>" for i in range(4))]
    special += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    bpe = byte_level(900, special)
    begins_with(bpe, "<|begin_of_text|>")
    number = bpe.token_to_id
    save_tokenizer(
        bpe,
        folder,
        bos_token="<|begin_of_text|>",
        chat_template=LLAMA3_TEMPLATE,
        clean_up_tokenization_spaces=True,
        eos_token="<|eot_id|>",
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=1000000000000000019884624838656,
        tokenizer_class="PreTrainedTokenizerFast",
    )
    write(
        folder,
        "generation_config.json",
        {
            "bos_token_id": number("<|begin_of_text|>"),
            "do_sample": True,
            "eos_token_id": [number("<|end_of_text|>"), number("<|eot_id|>")],
            "max_length": 4096,
            "temperature": 0.6,
            "top_p": 0.9,
        },
    )
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": number("<|begin_of_text|>"),
        "eos_token_id": number("<|eot_id|>"),
        "hidden_act": "silu",
        "hidden_size": 128,
        "intermediate_size": 256,
        "max_position_embeddings": 8192,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
    }
    save_weights(folder, config, ())
