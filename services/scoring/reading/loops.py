"""Shortens what a model that loops repeats: "very hot very hot very hot …" says no more than "very hot"."""

from collections.abc import Sequence

LONGEST_PERIOD = 16
"""Words of the longest phrase whose repetition is found."""
LEAST_REPEATS = 4
"""Times that a phrase must follow itself; "no, no, no" is speech."""


def without_loops(words: Sequence[str]) -> list[str]:
    """Words in which each phrase that follows itself LEAST_REPEATS times or more stands once.

    The time is linear in the words.

    >>> without_loops("The pan is hot hot hot hot hot now".split())
    ['The', 'pan', 'is', 'hot', 'now']
    """
    kept = list(words)
    for period in range(1, LONGEST_PERIOD + 1):
        if len(kept) < period * LEAST_REPEATS:
            break
        kept = _once(kept, period)
    return kept


def _once(words: Sequence[str], period: int) -> list[str]:
    """Leaves one of the phrases of `period` words that follow themselves."""
    kept: list[str] = []
    place = 0
    while place < len(words):
        end = place + period
        while end < len(words) and words[end] == words[end - period]:
            end += 1
        if end - place >= period * LEAST_REPEATS:
            kept += words[place : place + period]
            # What is left of a phrase that was cut off is a part of the loop.
            place = end
        else:
            kept.append(words[place])
            place += 1
    return kept
