"""Gemma 3 and PaliGemma."""

from pathlib import Path

from tests.support.families.checkpoint import HALF, LLAVA_NAMES, save_tokenizer, save_weights, write
from tests.support.families.vocabulary import begins_with, sentencepiece_like

GEMMA_TAGS = [
    *(
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
    ),
    *("strong", "em", "b", "i", "u", "s", "sub", "sup", "code"),
]
GEMMA_PLAIN = [
    *("\n" * count for count in range(1, 32)),
    *("\u2581" * count for count in range(2, 32)),
    *(f"<{tag}>" for tag in GEMMA_TAGS),
    *(f"</{tag}>" for tag in GEMMA_TAGS if tag not in {"thead"}),
    "</thead>",
]
"""Added tokens of Gemma's tokenizers that are not special: line breaks, runs of spaces, HTML tags. In gemma-2 they have
the ids 108 to 216, in gemma-3 they begin at 107."""
GEMMA3_TEMPLATE = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""


def gemma3(folder: Path) -> None:
    """As google/gemma-3-4b-it."""
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]", *(f"<unused{i}>" for i in range(99))]
    first += ["<start_of_turn>", "<end_of_turn>"]
    bpe = sentencepiece_like(
        first,
        900,
        prefix=False,
        plain=GEMMA_PLAIN,
        special_after=["<start_of_image>", "<end_of_image>", "<image_soft_token>"],
    )
    begins_with(bpe, "<bos>")
    number = bpe.token_to_id
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    save_tokenizer(
        bpe,
        folder,
        add_bos_token=True,
        add_eos_token=False,
        bos_token="<bos>",
        chat_template=GEMMA3_TEMPLATE,
        clean_up_tokenization_spaces=False,
        eos_token="<eos>",
        extra_special_tokens=named,
        model_max_length=1000000000000000019884624838656,
        pad_token="<pad>",
        processor_class="Gemma3Processor",
        sp_model_kwargs=None,
        spaces_between_special_tokens=False,
        tokenizer_class="GemmaTokenizer",
        unk_token="<unk>",
        use_default_system_prompt=False,
        **named,
    )
    write(folder, "chat_template.json", {"chat_template": GEMMA3_TEMPLATE})
    write(
        folder,
        "preprocessor_config.json",
        {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_pan_and_scan": None,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": HALF,
            "image_processor_type": "Gemma3ImageProcessor",
            "image_seq_length": 256,
            "image_std": HALF,
            "pan_and_scan_max_num_crops": None,
            "pan_and_scan_min_crop_size": None,
            "pan_and_scan_min_ratio_to_activate": None,
            "processor_class": "Gemma3Processor",
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 896, "width": 896},
        },
    )
    write(folder, "processor_config.json", {"image_seq_length": 256, "processor_class": "Gemma3Processor"})
    write(
        folder,
        "generation_config.json",
        {
            "bos_token_id": 2,
            "cache_implementation": "hybrid",
            "do_sample": True,
            "eos_token_id": [1, number("<end_of_turn>")],
            "pad_token_id": 0,
            "top_k": 64,
            "top_p": 0.95,
        },
    )
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "boi_token_index": number("<start_of_image>"),
        "eoi_token_index": number("<end_of_image>"),
        "eos_token_id": [1, number("<end_of_turn>")],
        "image_token_index": number("<image_soft_token>"),
        "initializer_range": 0.02,
        "mm_tokens_per_image": 256,
        "model_type": "gemma3",
        "text_config": {
            "head_dim": 32,
            "hidden_size": 128,
            "intermediate_size": 256,
            "max_position_embeddings": 131072,
            "model_type": "gemma3_text",
            "num_attention_heads": 4,
            "num_hidden_layers": 6,
            "num_key_value_heads": 2,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "sliding_window": 1024,
            "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
        },
        "torch_dtype": "bfloat16",
        "vision_config": {
            "hidden_size": 64,
            "image_size": 896,
            "intermediate_size": 128,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "patch_size": 14,
            "vision_use_head": False,
        },
    }
    save_weights(folder, config, LLAVA_NAMES)


def paligemma(folder: Path) -> None:
    """As google/paligemma-3b-mix-224, which has no chat template."""
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<2mass>", "[@BOS@]", *(f"<unused{i}>" for i in range(99))]
    first += ["<start_of_turn>", "<end_of_turn>"]
    after = [*(f"<loc{i:04d}>" for i in range(32)), *(f"<seg{i:03d}>" for i in range(16)), "<image>"]
    bpe = sentencepiece_like(first, 900, prefix=False, plain=GEMMA_PLAIN, special_after=after)
    begins_with(bpe, "<bos>")
    number = bpe.token_to_id
    save_tokenizer(
        bpe,
        folder,
        add_bos_token=True,
        add_eos_token=False,
        additional_special_tokens=["<image>"],
        bos_token="<bos>",
        clean_up_tokenization_spaces=False,
        eos_token="<eos>",
        model_max_length=1000000000000000019884624838656,
        pad_token="<pad>",
        processor_class="PaliGemmaProcessor",
        spaces_between_special_tokens=False,
        tokenizer_class="GemmaTokenizer",
        unk_token="<unk>",
    )
    write(
        folder,
        "preprocessor_config.json",
        {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": HALF,
            "image_processor_type": "SiglipImageProcessor",
            "image_seq_length": 256,
            "image_std": HALF,
            "processor_class": "PaliGemmaProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 224, "width": 224},
        },
    )
    write(folder, "generation_config.json", {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0})
    config = {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": 2,
        "eos_token_id": 1,
        "hidden_size": 128,
        "ignore_index": -100,
        "image_token_index": number("<image>"),
        "model_type": "paligemma",
        "pad_token_id": 0,
        "projection_dim": 128,
        "text_config": {
            "head_dim": 256,
            "hidden_size": 128,
            "intermediate_size": 256,
            "model_type": "gemma",
            "num_attention_heads": 8,
            "num_hidden_layers": 2,
            "num_image_tokens": 256,
            "num_key_value_heads": 1,
            "torch_dtype": "bfloat16",
            "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
        },
        "torch_dtype": "bfloat16",
        "vision_config": {
            "hidden_size": 64,
            "image_size": 224,
            "intermediate_size": 128,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "num_image_tokens": 256,
            "patch_size": 14,
            "projection_dim": 128,
            "projector_hidden_act": "gelu_fast",
            "vision_use_head": False,
        },
    }
    save_weights(folder, config, LLAVA_NAMES)
