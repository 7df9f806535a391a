"""Tells what a model thinks before it answers from the answer, in text that is still being generated.

Reasoning models write their thoughts between tags, mostly ``<think>`` and ``</think>``; LLaVA-CoT between ``<SUMMARY>``
and ``<CONCLUSION>``, gpt-oss in a channel of its own. Some chat templates write the
opening tag themselves, and then the text begins with the thoughts and only the closing tag is seen: all that came
before it is reasoning.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

_NAMES = ("think", "thinking", "thought", "reasoning", "scratchpad", "analysis")
_OPENING = [
    *(f"<{name}>" for name in _NAMES),
    "◁think▷",
    "[think]",
    "<|begin_of_thought|>",
    "<|channel|>analysis<|message|>",
]
_CLOSING = [
    *(f"</{name}>" for name in _NAMES),
    "◁/think▷",
    "[/think]",
    "<|end_of_thought|>",
    "<|channel|>final<|message|>",
]
_STAGES = ["<SUMMARY>", "<CAPTION>", "<CONCLUSION>"]
"""LLaVA-CoT's tags, in capital letters: its answer is what follows the last one."""
_TAG = re.compile(f"(?i:{'|'.join(map(re.escape, _OPENING + _CLOSING))})|{'|'.join(_STAGES)}")
_BEGINNINGS = frozenset(tag.lower()[:length] for tag in _OPENING + _CLOSING + _STAGES for length in range(1, len(tag)))
_LONGEST = max(map(len, _BEGINNINGS))


class Kind(Enum):
    """What a part of a text is."""

    ANSWER = "answer"
    """A part of the answer."""
    REASONING = "reasoning"
    """A part of the reasoning."""
    RESTART = "restart"
    """All that was told as answer until now is reasoning: a closing tag came without an opening one."""


class Part(NamedTuple):
    """A part of a text."""

    kind: Kind
    text: str = ""


class ReasoningSplitter:
    """Reads a text in deltas and tells its parts; each character is looked at a bounded number of times."""

    def __init__(self) -> None:
        self._held = ""
        """The end of the text where it may be the beginning of a tag."""
        self._thinking = False
        self._fresh = False
        """Whether reasoning came last, so that the white space that follows separates it from the answer."""

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends within reasoning."""
        return self._thinking

    def add(self, delta: str) -> Iterator[Part]:
        """Tells the parts that a delta completes."""
        text, position = self._held + delta, 0
        for tag in _TAG.finditer(text):
            yield from self._part(text[position : tag.start()])
            position = tag.end()
            closes = tag.group().lower() in _CLOSING or tag.group() == _STAGES[-1]
            if closes and not self._thinking:
                yield Part(Kind.RESTART)
            elif not closes and self._thinking:
                yield from self._part(tag.group())
            self._thinking, self._fresh = not closes, closes
        held = self._beginning_of_tag(text, position)
        self._held = text[held:]
        yield from self._part(text[position:held])

    def finish(self) -> Iterator[Part]:
        """Tells what was held back; nothing may follow."""
        held, self._held = self._held, ""
        yield from self._part(held)

    def _part(self, text: str) -> Iterator[Part]:
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        if text:
            yield Part(Kind.REASONING if self._thinking else Kind.ANSWER, text)

    @staticmethod
    def _beginning_of_tag(text: str, position: int) -> int:
        """Where a tag may begin that the text does not hold to its end; the text's length if none does."""
        for start in range(max(position, len(text) - _LONGEST), len(text)):
            if text[start] in "<◁[" and text[start:].lower() in _BEGINNINGS:
                return start
        return len(text)
