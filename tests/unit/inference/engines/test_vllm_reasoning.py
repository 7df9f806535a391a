"""Keeps reasoning apart as vLLM's parsers tell it: by their two kinds, which behave here as vLLM's own do."""

from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import pytest

from services.inference.engines.vllm.reasoning import ParsedReasoning, ParserDelta

OPEN, CLOSE = 1, 2


class ByTokens:
    """As BaseThinkingReasoningParser of vLLM: looks for the ids of two tokens."""

    engine_based_streaming = False

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        marks = [token for token in input_ids if token in {OPEN, CLOSE}]
        return marks[-1:] == [CLOSE]

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        return CLOSE in delta_ids

    def adjust_initial_state_from_prompt(self, prompt_token_ids: Sequence[int]) -> None:
        pass

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> ParserDelta | None:
        if list(delta_token_ids) in ([OPEN], [CLOSE]):
            return None
        reasoning, found, content = delta_text.partition("</think>")
        if not found and OPEN not in previous_token_ids:
            return SimpleNamespace(reasoning=None, content=delta_text)
        return SimpleNamespace(reasoning=reasoning, content=content or None)


class EngineBased(ByTokens):
    """As ParserEngineReasoningAdapter of vLLM: thinks from the start, and holds text back."""

    engine_based_streaming = True

    def __init__(self) -> None:
        self._held = ""
        self._ended = False

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> ParserDelta | None:
        text, self._held = self._held + delta_text, ""
        reasoning, found, content = text.partition("</think>")
        self._ended = bool(found)
        if found:
            self._held = content
            return SimpleNamespace(reasoning=reasoning, content=None)
        self._held = text[-1:]
        return SimpleNamespace(reasoning=text[:-1], content=None)

    def has_engine_confirmed_reasoning_end(self) -> bool:
        return self._ended

    def finish_streaming(self) -> ParserDelta | None:
        held, self._held = self._held, ""
        return SimpleNamespace(reasoning=None, content=held) if self._ended else SimpleNamespace(
            reasoning=held, content=None
        )  # fmt: skip


def split(parser: ByTokens, deltas: Sequence[tuple[str, list[int]]], prompt: Sequence[int] = (9,)) -> tuple[str, str]:
    splitter = ParsedReasoning(parser, prompt, hidden=("<|im_end|>",))
    parts = [splitter.add(text, ids, last=place == len(deltas) - 1) for place, (text, ids) in enumerate(deltas)]
    return "".join(part.reasoning for part in parts), "".join(part.text for part in parts)


THOUGHT = [("<think>", [OPEN]), ("A child", [5]), (" there.", [6]), ("</think>", [CLOSE]), ("The stove.", [7])]


def test_text_between_the_tokens_is_reasoning() -> None:
    assert split(ByTokens(), THOUGHT) == ("A child there.", "The stove.")


def test_an_answer_without_reasoning_is_all_text() -> None:
    assert split(ByTokens(), [("The", [5]), (" stove.", [6])]) == ("", "The stove.")


def test_a_prompt_that_closes_the_reasoning_leaves_all_for_the_answer() -> None:
    assert split(ByTokens(), [("The stove.", [5])], prompt=[OPEN, CLOSE]) == ("", "The stove.")


@pytest.mark.parametrize("end", ["A child.</think>The stove.", "A child.</think>The stove.<|im_end|>"])
def test_what_an_engine_based_parser_holds_back_is_given_out_where_the_reasoning_ends(end: str) -> None:
    assert split(EngineBased(), [("Hm. ", [4]), (end, [5]), (" Hot.", [6])]) == ("Hm. A child.", "The stove. Hot.")


def test_reasoning_that_is_cut_is_all_reasoning() -> None:
    assert split(EngineBased(), [("A child", [4]), (" at", [5])]) == ("A child at", "")
    assert split(ByTokens(), THOUGHT[:3]) == ("A child there.", "")
