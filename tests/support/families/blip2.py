"""BLIP-2 on OPT."""

from pathlib import Path

from tokenizers import AddedToken

from tests.support.families.checkpoint import CLIP_MEAN, CLIP_STD, save_tokenizer, save_weights, write
from tests.support.families.vocabulary import begins_with, byte_level


def blip2(folder: Path) -> None:
    """As Salesforce/blip2-opt-2.7b, which has no chat template."""
    bpe = byte_level(900, ["<pad>", "</s>"])
    bpe.add_special_tokens([AddedToken("<image>", normalized=False, special=True)])
    begins_with(bpe, "</s>")
    number = bpe.token_to_id
    save_tokenizer(
        bpe,
        folder,
        add_bos_token=True,
        add_prefix_space=False,
        bos_token="</s>",
        clean_up_tokenization_spaces=True,
        eos_token="</s>",
        errors="replace",
        model_max_length=1000000000000000019884624838656,
        pad_token="<pad>",
        processor_class="Blip2Processor",
        tokenizer_class="GPT2Tokenizer",
        unk_token="</s>",
    )
    write(
        folder,
        "preprocessor_config.json",
        {
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": CLIP_MEAN,
            "image_processor_type": "BlipImageProcessor",
            "image_std": CLIP_STD,
            "processor_class": "Blip2Processor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 224, "width": 224},
        },
    )
    write(folder, "processor_config.json", {"num_query_tokens": 32, "processor_class": "Blip2Processor"})
    write(folder, "generation_config.json", {"bos_token_id": number("</s>"), "eos_token_id": number("</s>")})
    config = {
        "architectures": ["Blip2ForConditionalGeneration"],
        "image_text_hidden_size": 256,
        "image_token_index": number("<image>"),
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "model_type": "blip-2",
        "num_query_tokens": 32,
        "qformer_config": {
            "cross_attention_frequency": 2,
            "encoder_hidden_size": 64,
            "hidden_size": 64,
            "intermediate_size": 128,
            "max_position_embeddings": 512,
            "model_type": "blip_2_qformer",
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "vocab_size": 30522,
        },
        "text_config": {
            "_remove_final_layer_norm": False,
            "activation_function": "relu",
            "architectures": ["OPTForCausalLM"],
            "bos_token_id": number("</s>"),
            "do_layer_norm_before": True,
            "eos_token_id": number("</s>"),
            "ffn_dim": 256,
            "hidden_size": 128,
            "max_position_embeddings": 2048,
            "model_type": "opt",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "pad_token_id": number("<pad>"),
            "prefix": "</s>",
            "vocab_size": -(-bpe.get_vocab_size() // 64) * 64,
            "word_embed_proj_dim": 128,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_decoder_only_language_model": True,
        "vision_config": {
            "hidden_size": 64,
            "image_size": 224,
            "intermediate_size": 128,
            "model_type": "blip_2_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "patch_size": 14,
            "qkv_bias": True,
        },
    }
    save_weights(folder, config, ())
