"""vLLM's own reasoning parsers, driven as the adapter drives them; the model's tokenizer is a few words."""

from collections.abc import Sequence
from typing import Any

import pytest

from services.inference.engines.vllm.reasoning import ParsedReasoning

WORDS = ["<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>"]
WORDS += ["Hm", " child", ".", "\n\n", "The", " stove"]
VOCABULARY = {word: place for place, word in enumerate(WORDS)}


class Words:
    """A tokenizer whose tokens are words; what a parser asks of a real one."""

    all_special_tokens = ("<|im_start|>", "<|im_end|>")

    def get_vocab(self) -> dict[str, int]:
        return VOCABULARY

    def encode(self, text: str, **_: Any) -> list[int]:
        return [VOCABULARY[text]] if text in VOCABULARY else []

    def decode(self, ids: Sequence[int] | int, **_: Any) -> str:
        return "".join(WORDS[token] for token in ([ids] if isinstance(ids, int) else ids))

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        return VOCABULARY.get(tokens) if isinstance(tokens, str) else [VOCABULARY.get(token) for token in tokens]

    @property
    def vocab(self) -> dict[str, int]:
        return VOCABULARY


def split(name: str, generated: Sequence[str], prompt: Sequence[str] = ("<|im_start|>",)) -> tuple[str, str]:
    from vllm.reasoning.abs_reasoning_parsers import ReasoningParserManager

    tokenizer = Words()
    parser = ReasoningParserManager.get_reasoning_parser(name)(tokenizer)
    parsed = ParsedReasoning(parser, [VOCABULARY[word] for word in prompt], tokenizer.all_special_tokens)
    parts = [
        parsed.add(word, [VOCABULARY[word]], last=place == len(generated) - 1) for place, word in enumerate(generated)
    ]
    return "".join(part.reasoning for part in parts).strip(), "".join(part.text for part in parts).strip()


@pytest.mark.parametrize("name", ["qwen3", "deepseek_r1"])
def test_reasoning_is_told_from_the_answer(name: str) -> None:
    answer = ["The", " stove", "."]
    thought = ["Hm", " child", ".", "</think>", "\n\n"]
    assert split(name, ["<think>", *thought, *answer]) == ("Hm child.", "The stove.")
    assert split(name, [*thought, *answer], prompt=["<|im_start|>", "<think>"]) == ("Hm child.", "The stove.")
    assert split(name, answer, prompt=["<think>", "</think>"]) == ("", "The stove.")
    assert split(name, ["<think>", "Hm", " child"]) == ("Hm child", "")
    assert split(name, ["<think>", *thought, *answer, "<|im_end|>"]) == ("Hm child.", "The stove.")
