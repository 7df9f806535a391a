"""Whether a sentence ends at a full stop or another terminator, in a text that grows.

What follows decides: more terminators, closing quotes, then a space and the next word. `scan` goes through the text and
has a StopScanner at each terminator or emoji; `ends` has the rules.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from axia.sentence.ends import (
    CLOSERS,
    LOOKED_AHEAD,
    LOOKED_BACK,
    OPENERS,
    TERMINATORS,
    Mark,
    ends_sentence,
    ends_with_list_marker,
    is_unspaced,
    may_be_joined,
    tail,
)


class Stop(NamedTuple):
    """A run of terminators with the closers behind it, or of emoji."""

    end: int
    """Index behind it."""
    ends_sentence: bool


class StopScanner:
    """Reads on behind one stop until it is known whether a sentence ends there; continues where it waited.

    Args:
        chars: The text so far, which grows.
        start: Index of the stop's first character, a terminator or an emoji.
        unit: Index at which the sentence, line or label begins.
        says: Whether there are words before the stop.
        small: Whether the first letter is a small one.
    """

    def __init__(self, chars: Sequence[str], start: int, unit: int, *, says: bool, small: bool) -> None:
        self._chars, self._start, self._unit = chars, start, unit
        self._says, self._small = says, small
        self._look, self._end = start, -1
        """How far is read, and where the stop ends."""
        self._closing, self._opened = False, False
        """Whether its terminators are read, and openers behind it."""

    def find(self, *, complete: bool) -> Stop | None:
        """The stop, or None if further text decides.

        Args:
            complete: Whether nothing will follow.
        """
        start = self._start
        emoji = self._chars[start] not in TERMINATORS
        if self._end < 0 and not self._find_end(emoji=emoji, complete=complete):
            return None
        end = self._end
        rest = "".join(self._chars[end : end + LOOKED_AHEAD])
        unspaced = is_unspaced(self._chars[start])
        if not unspaced and (not rest or rest[0].isspace()):
            if not self._find_next(complete=complete):
                return None
        elif not (unspaced or emoji or complete) and len(rest) < LOOKED_AHEAD and may_be_joined(rest):
            return None
        following = "".join(self._chars[self._look : self._look + 1]).strip()
        if emoji:
            return Stop(end, following.isupper() and rest[:1].isspace())
        begin = max(self._unit, start - LOOKED_BACK)
        mark = Mark(
            before=tail("".join(self._chars[begin:start]), cut=begin > self._unit),
            says=self._says,
            small=self._small,
            terminators="".join(self._chars[start : min(start + 3, end)]),
            last=self._chars[end - 1],
            rest=rest,
            following=following,
        )
        return Stop(end, ends_sentence(mark))

    def _find_end(self, *, emoji: bool, complete: bool) -> bool:
        """Finds the end of the run of terminators with the closers behind; False if more may follow."""
        if not self._closing:
            self._look = self._skip(self._look, is_emoji if emoji else TERMINATORS.__contains__)
            if self._look == len(self._chars) and not complete:
                return False
            self._closing = True
        if not emoji:
            self._look = self._skip(self._look, CLOSERS.__contains__)
            if self._look == len(self._chars) and not complete:
                return False
        self._end = self._look
        return True

    def _find_next(self, *, complete: bool) -> bool:
        """Finds the first character of what follows; False if it is not there yet."""
        while self._look < len(self._chars):
            char = self._chars[self._look]
            if char == "\n" and (self._opened or not self._is_list_marker()):
                return True
            if not char.isspace():
                if char not in OPENERS:
                    return True
                self._opened = True
            self._look += 1
        return complete

    def _is_list_marker(self) -> bool:
        begin = max(self._unit, self._start - LOOKED_BACK)
        before = "".join(self._chars[begin : self._start])
        return ends_with_list_marker(tail(before, cut=begin > self._unit) + self._chars[self._start])

    def _skip(self, position: int, kind: Callable[[str], bool]) -> int:
        while position < len(self._chars) and kind(self._chars[position]):
            position += 1
        return position


def is_emoji(char: str) -> bool:
    """Whether a character is an emoji, or joins or varies one."""
    return "\u2600" <= char <= "\u27bf" or "\U0001f000" <= char <= "\U0001faff" or char in "\ufe0f\u200d"
