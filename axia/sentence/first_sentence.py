"""Finds the first sentence of an answer in text that is still being generated.

Only the first sentence of an answer counts in the values-detector study (arXiv 2501.03957), so a completion stops once
that sentence is complete. Two rules tell which sentence it is. "answer/1" takes the first sentence of the answer
itself and leaves out what comes before it: headings, "Sure!", labels, list markers, code fences. "literal/1" takes the
first sentence of the text, whatever it says. With both, reasoning is kept apart.

The end is reported only when no further text could move it, unless that text shows that all before it was reasoning
(see `reasoning`). How a text is cut into deltas makes no difference, and each character is looked at a bounded number
of times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from axia.sentence.reasoning import Kind, Part, ReasoningSplitter
from axia.sentence.scan import Scanner
from axia.sentence.stop_texts import StopTexts


class SentenceRule(Enum):
    """Which sentence is the first; the value is the rule's name with its version."""

    ANSWER = "answer/1"
    """The first sentence of the answer itself."""
    LITERAL = "literal/1"
    """The first sentence of the text."""


class FoundSentence(NamedTuple):
    """A text in its parts."""

    sentence: str
    """The first sentence, without white space around it; empty for a text without words outside its reasoning."""
    omitted: str
    """What comes before the sentence in `text`, without white space around it; empty with the literal rule."""
    text: str
    """The text without its reasoning."""
    reasoning: str
    """What the model thought, without white space around it."""
    thinking: bool
    """Whether the text ended within the reasoning."""


@dataclass
class _News:
    """What was read since it was last asked for."""

    text: str = ""
    reasoning: str = ""


class FirstSentence:
    """Reads a text in deltas until its first sentence is over, or to its end.

    A text that has nothing but openings, such as "Sure!", is not left without a sentence: its last opening is it.

    Args:
        rule: Which sentence is the first.
        stops: Texts that end the answer; see `StopTexts`.
    """

    def __init__(self, rule: SentenceRule = SentenceRule.ANSWER, stops: Sequence[str] = ()) -> None:
        self._answer_only = rule is SentenceRule.ANSWER
        self._stop_texts = tuple(stops)
        self._stops = StopTexts(stops)
        self._new = _News()
        self._splitter = ReasoningSplitter()
        self._scanner = Scanner(answer_only=self._answer_only)
        self._text: list[str] = []
        self._reasoning: list[str] = []

    @property
    def over(self) -> bool:
        """Whether the sentence is complete."""
        return self._scanner.end is not None

    @property
    def stopped(self) -> bool:
        """Whether a stop text ended the answer."""
        return self._stops.reached

    def news(self) -> tuple[str, str]:
        """What was added to the text and to the reasoning since this was last asked for."""
        new, self._new = self._new, _News()
        return new.text, new.reasoning

    @property
    def end(self) -> int | None:
        """Index behind the sentence in the text without its reasoning; None if the sentence may still go on."""
        return self._scanner.end

    def add(self, delta: str) -> None:
        """Reads the next delta."""
        for part in self._splitter.add(delta):
            self._take(part)

    def add_reasoning(self, delta: str) -> None:
        """Takes what an engine gives apart as reasoning."""
        self._think(delta)

    def finish(self) -> FoundSentence:
        """Tells what was found, once nothing will follow."""
        for part in self._splitter.finish():
            self._take(part)
        self._say(self._stops.rest())
        self._scanner.finish()
        sentence, omitted = self._scanner.found()
        reasoning = "".join(self._reasoning).strip()
        return FoundSentence(sentence, omitted, "".join(self._text), reasoning, self._splitter.thinking)

    def _take(self, part: Part) -> None:
        if part.kind is Kind.REASONING:
            self._think(part.text)
        elif part.kind is Kind.ANSWER:
            self._say(self._stops.add(part.text))
        elif not self.stopped:  # what follows a stop text changes nothing
            self._say(self._stops.rest())
            self._reasoning.extend(self._text)
            self._new = _News(reasoning=self._new.reasoning + self._new.text)
            self._text.clear()
            self._scanner = Scanner(answer_only=self._answer_only)
            self._stops = StopTexts(self._stop_texts)

    def _think(self, text: str) -> None:
        self._reasoning.append(text)
        self._new.reasoning += text

    def _say(self, text: str) -> None:
        if text:
            self._text.append(text)
            self._new.text += text
            self._scanner.add(text)


def find_first_sentence(text: str, rule: SentenceRule = SentenceRule.ANSWER) -> FoundSentence:
    """Reads a complete text."""
    reader = FirstSentence(rule)
    reader.add(text)
    return reader.finish()
