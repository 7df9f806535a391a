"""Adds the chunks of an endpoint's answer up to one completion."""

from typing import Literal

from services.inference.engines.answer_format import unwrapped
from services.inference.engines.engine import AnswerFormat, Delta, Finish
from services.inference.engines.openai.wire import Answer


class FormatIgnored(ValueError):
    """An answer that does not keep to the format that was asked for."""


class Tally:
    """Adds up the chunks of one completion.

    Tokens are those that the endpoint counts; until it does, a chunk with text is one token.

    Args:
        max_tokens: Tokens that were asked for.
        answer_format: What the answer is held to. A choice comes wrapped in JSON, and so whole with the last delta.
    """

    def __init__(self, max_tokens: int, answer_format: AnswerFormat | None = None) -> None:
        self._max_tokens = max_tokens
        self._format = answer_format
        self._held = ""
        """The answer so far, where it is held to a format."""
        self._tokens = 0
        self._chunks = 0
        self._prompt_tokens: int | None = None
        self._thought_tokens = 0
        self._spoke = False
        self._finish: Literal["stop", "length"] | None = None
        self.answered = False
        """Whether any choice came."""

    @property
    def finish(self) -> Literal["stop", "length"] | None:
        """Why the completion ended; None while it continues."""
        return self._finish

    @property
    def overfull(self) -> bool:
        """Whether the endpoint continues beyond the tokens that it was asked for."""
        return self._chunks > self._max_tokens

    def add(self, answer: Answer) -> Delta | None:
        """What a chunk adds; None if that is nothing."""
        text = reasoning = ""
        if (choice := answer.choice) is not None:
            self.answered = True
            self._finish = choice.finish or self._finish
            if not (self._chunks and choice.delta and choice.said is choice.message):  # all again, at the end
                text, reasoning = choice.text, choice.said.thought
            self._spoke = self._spoke or bool(text.strip())
            self._chunks += bool(text)  # not all endpoints count reasoning among the tokens that were asked for
        counted = answer.usage.completion_tokens if answer.usage else 0
        tokens = max(counted - self._tokens, int(bool(text or reasoning)))
        self._tokens += tokens
        if answer.usage:
            self._prompt_tokens = answer.usage.prompt_tokens or self._prompt_tokens
            self._thought_tokens = answer.usage.thought_tokens or self._thought_tokens
        if not text and not reasoning and not tokens and not answer.usage:
            return None
        if self._format is not None and choice is not None and choice.said.content.text:
            self._held += text
            text = text if self._format.json_schema else ""
        return Delta(text, tokens, prompt_tokens=self._prompt_tokens, reasoning=reasoning)

    def last(self) -> Delta:
        """The delta that ends the completion.

        Raises:
            FormatIgnored: If the completion ended by itself and does not keep to the format. One that was cut is no
                whole answer, and a refusal is an endpoint's own way out.
        """
        finish: Finish = "length" if self.overfull else self._finish or "stop"
        if finish == "length" and not self._spoke and self._thought_tokens:
            finish = "reasoning"  # which the endpoint may not show
        text = ""
        if self._format is not None and self._held and finish == "stop":
            answer = unwrapped(self._held, self._format)
            if answer is None:
                raise FormatIgnored
            text = "" if self._format.json_schema else answer
        return Delta(text, 0, finish, prompt_tokens=self._prompt_tokens)
