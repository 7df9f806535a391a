"""What a text says of one item: the number that its name and the words around it give."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.scoring.reading.isq.amounts import Amount, OffScale

HIGHEST = (10.0, 10.0, 10.0, 10.0, 1.0, 1.0)
"""The highest number of each item, in the questionnaire's order."""
YES_NO_ITEMS = (4, 5)
"""Items that may be answered by yes or no."""


class Statement(NamedTuple):
    """What one place of a text says of an item."""

    item: int
    number: float | None
    """None where a reader could not tell it."""
    problem: str = ""
    """Why the number can't be: it is off the item's scale."""
    sure: bool = True
    """Whether form tells that the number is the item's, not wording alone."""


def state(item: int, amount: Amount, *, sure: bool = True) -> Statement:
    """That an item has a number."""
    try:
        return Statement(item, amount.on(HIGHEST[item]), sure=sure)
    except OffScale as error:
        return Statement(item, None, str(error) if sure else "", sure)


_YES_NO = {
    **dict.fromkeys(("yes", "true", "是", "ja", "sí", "oui", "sim", "да", "はい", "네", "✅", "✔", "✓", "👍"), 1.0),
    **dict.fromkeys(("no", "false", "否", "nein", "non", "não", "нет", "いいえ", "아니요", "❌", "✗", "✘", "👎"), 0.0),
}
YES_NO = re.compile(rf"(?P<word>{'|'.join(_YES_NO)})(?!\w)(?=[ \t]*(?:[.,;:!()\n*_\"'|/}}\]<-]|$))")
"""A yes or no that is not the beginning of other words, as in "no desire"."""


_OTHER_CHOICE = re.compile(r"(?:/|\||\bor\b) ?(?:yes|no|true|false)\b")
"""What makes a yes or no the template of an answer: "yes/no"."""


def yes_or_no(word: str) -> float:
    """1 for yes, 0 for no."""
    return _YES_NO[word]


def as_yes_or_no(item: int, text: str) -> Statement | None:
    """A folded text that is nothing but yes or no, for an item that takes one."""
    found = YES_NO.match(text.strip(" \t\n*_\"'"))
    if found and _OTHER_CHOICE.search(text):
        return None
    return Statement(item, yes_or_no(found["word"])) if found and item in YES_NO_ITEMS else None


def resolve_statements(statements: Iterable[Statement]) -> tuple[list[float | None], list[Statement]]:
    """The number of each item, None where statements contradict each other; and the statements with a problem.

    A number that wording alone gives counts only where no form gives one.
    """
    by_item: list[list[Statement]] = [[] for _ in HIGHEST]
    for statement in statements:
        by_item[statement.item].append(statement)
    numbers: list[float | None] = []
    for about_item in by_item:
        counted = [statement for statement in about_item if statement.sure] or about_item
        said = {None if one.number is None else round(one.number, 6) for one in counted}
        numbers.append(counted[0].number if len(said) == 1 else None)
    return numbers, [statement for about_item in by_item for statement in about_item if statement.problem]


def are_all(statements: Sequence[Statement]) -> bool:
    """Whether every item is stated."""
    return {statement.item for statement in statements} == set(range(len(HIGHEST)))
