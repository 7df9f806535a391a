"""Which tokens of real tokenizers are refused in messages; the lists are those of the published tokenizers."""

import pytest

from services.inference.engines.engine import Role
from services.inference.engines.vllm.tokens import SpecialTokens, read_special_tokens

GEMMA = SpecialTokens(
    special=["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>"],
    added=["\n", "\n\n", "▁▁", "<table>", "</h1>", "<b>", "<code>", "<start_of_image>"],
)
QWEN = SpecialTokens(
    special=["<|im_start|>", "<|im_end|>", "<|box_start|>", "<|object_ref_start|>", "<|image_pad|>", "<|endoftext|>"],
    added=["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<think>", "</think>", "<|im_end|>"],
)


@pytest.mark.parametrize("text", ["\n", "\n\n", "▁▁", "<table>", "</h1>", "<b>", "<code>"])
def test_line_breaks_spaces_and_html_are_text(text: str) -> None:
    assert text not in GEMMA.of(Role.USER)


@pytest.mark.parametrize("text", ["<start_of_turn>", "<image_soft_token>", "<start_of_image>", "<eos>"])
def test_turns_and_pictures_are_refused_from_everybody(text: str) -> None:
    for role in Role:
        assert text in GEMMA.of(role)


def test_markers_that_are_not_flagged_as_special_are_refused_too() -> None:
    assert "<tool_call>" in QWEN.of(Role.USER)
    assert "<think>" not in QWEN.of(Role.USER)
    assert "<|fim_prefix|>" not in QWEN.of(Role.USER)


def test_a_models_own_answer_may_hold_what_it_writes_itself() -> None:
    assert "<|box_start|>" in QWEN.of(Role.USER)
    for token in ("<|box_start|>", "<|object_ref_start|>", "<tool_call>", "<think>"):
        assert token not in QWEN.of(Role.ASSISTANT)
    for marker in ("<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|endoftext|>"):
        assert marker in QWEN.of(Role.ASSISTANT)


def test_a_token_that_any_text_may_hold_is_not_refused() -> None:
    assert SpecialTokens(special=["!", "?", "Human:", "</s>"], added=[]).of(Role.USER) == ("</s>",)


def test_brackets_of_other_scripts_are_read() -> None:
    tokens = SpecialTokens(special=["<｜User｜>", "[INST]"], added=["<｜tool▁calls▁begin｜>"])
    assert tokens.of(Role.USER) == ("<｜User｜>", "<｜tool▁calls▁begin｜>", "[INST]")


def test_a_tokenizer_of_transformers_is_read() -> None:
    class Added(str):
        special = False

    class Special(str):
        special = True

    class Tokenizer:
        all_special_tokens = ("<s>", "</s>")
        eos_token, bos_token = "</s>", None

        def __init__(self) -> None:
            self.added_tokens_decoder = {1: Special("<image>"), 2: Added("\n")}

        def get_added_vocab(self) -> dict[str, int]:
            return {"<image>": 1, "\n": 2}

    tokens = read_special_tokens(Tokenizer())
    assert set(tokens.of(Role.USER)) == {"<s>", "</s>", "<image>"}
    assert set(tokens.of(Role.ASSISTANT)) == {"<s>", "</s>", "<image>"}


@pytest.mark.parametrize(
    "token",
    ["<|patch|>", "<|endoftext10|>", "<im_patch>", "<slice>", "<imgpad>", "<|observation|>", "<|im_middle|>", "</s>"],
)
def test_picture_and_turn_tokens_of_other_families_are_refused_in_answers_too(token: str) -> None:
    assert token in SpecialTokens(special=[token], added=[]).of(Role.ASSISTANT)
