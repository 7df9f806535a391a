"""Keeps what a model thinks apart from what it answers, by a parser of vLLM's; see `sentence.reasoning` for models
without one.

vLLM has a parser for each family of reasoning models. Some read the text, some the ids of tokens, and some begin inside
the reasoning because the model's chat template opened it. `Parser` is what axia uses of them. vLLM's own chat server
makes the same calls in the same order (`DelegatingParser.parse_delta` of vLLM 0.32).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class ParserDelta(Protocol):
    """What a parser takes a delta of text for: reasoning, answer, or some of both."""

    reasoning: str | None
    content: str | None


class Parser(Protocol):
    """A reasoning parser; each completion needs one of its own. Engine-based ones have two further methods."""

    engine_based_streaming: bool

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether these tokens end outside the reasoning."""

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether the last of these tokens end the reasoning."""

    def adjust_initial_state_from_prompt(self, prompt_token_ids: Sequence[int]) -> None:
        """Tells how the prompt ends."""

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> ParserDelta | None:
        """Takes the next delta of text."""


class EngineBasedParser(Parser, Protocol):
    """A parser that holds text back until it is sure what it is."""

    def has_engine_confirmed_reasoning_end(self) -> bool:
        """Whether the reasoning is over."""

    def finish_streaming(self) -> ParserDelta | None:
        """What was held back."""


class Parsed(NamedTuple):
    """A delta of a completion, taken apart."""

    reasoning: str
    text: str


class ParsedReasoning:
    """Takes one completion apart, delta by delta.

    Args:
        parser: For this completion alone.
        prompt_token_ids: The prompt; its template may have opened the reasoning, or closed it.
        hidden: Special tokens of the model as text, which are in neither part.
    """

    def __init__(
        self, parser: Parser | EngineBasedParser, prompt_token_ids: Sequence[int], hidden: Sequence[str] = ()
    ) -> None:
        self._parser = parser
        self._hidden = hidden
        self._text = ""
        self._ids: list[int] = []
        self._answering = parser.is_reasoning_end(prompt_token_ids)
        if not self._answering:
            parser.adjust_initial_state_from_prompt(prompt_token_ids)

    def add(self, text: str, token_ids: Sequence[int], *, last: bool = False) -> Parsed:
        """Takes a further delta apart.

        Args:
            text: What was generated.
            token_ids: Its tokens.
            last: Whether nothing follows.
        """
        if self._answering:
            return self._shown("", text)
        # Parsers look at all that came before. Reasoning has a few thousand tokens at most, and the answer, which
        # follows it, is not parsed any more.
        before, before_ids = self._text, list(self._ids)
        self._text += text
        self._ids += token_ids
        deltas = [
            self._parser.extract_reasoning_streaming(before, self._text, text, before_ids, self._ids, list(token_ids))
        ]
        if self._parser.engine_based_streaming:
            parser: EngineBasedParser = self._parser  # type: ignore[assignment]  # its own attribute says so
            self._answering = parser.has_engine_confirmed_reasoning_end()
            if self._answering or last:
                deltas.append(parser.finish_streaming())
        else:
            self._answering = self._parser.is_reasoning_end_streaming(self._ids, token_ids)
        given = [delta for delta in deltas if delta is not None]
        reasoning = "".join(delta.reasoning or "" for delta in given)
        return self._shown(reasoning, "".join(delta.content or "" for delta in given))

    def _shown(self, reasoning: str, text: str) -> Parsed:
        for token in self._hidden:
            reasoning, text = reasoning.replace(token, ""), text.replace(token, "")
        return Parsed(reasoning, text)
