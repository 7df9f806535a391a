"""Reads the six items of the questionnaire from a model's answer, whatever its layout."""

import re
from dataclasses import dataclass
from itertools import chain

from services.scoring.reading.isq.data import read_json, read_xml, read_yaml
from services.scoring.reading.isq.folding import fold
from services.scoring.reading.isq.legends import without_legends
from services.scoring.reading.isq.mentions import read_mentions
from services.scoring.reading.isq.names import Mention, full_names, short_names
from services.scoring.reading.isq.scales import scale_of_all
from services.scoring.reading.isq.score import DEFAULT_THRESHOLD, ITEM_MAXIMA, IsqItems, IsqScore, score_isq
from services.scoring.reading.isq.statements import Statement, are_all, resolve_statements
from services.scoring.reading.isq.tables import read_bare, read_tables

_NAMES = tuple(ITEM_MAXIMA)
_NOTHING = IsqItems(*[None] * len(_NAMES))
_FINAL = re.compile(
    r"^[^\w\n]*(?:my )?(?:final|revised|corrected|updated|adjusted)(?: \w+)? ?"
    r"(?:answers?|scores?|ratings?|numbers?|version|response)\b[^\n]*$",
    re.M,
)


@dataclass(frozen=True)
class IsqText:
    """What a model's answer says of the six items."""

    items: IsqItems
    """None for an item that the answer does not give, or gives twice with different numbers."""
    error: str = ""
    """Why the items can't be used, for a person; then all of them are None."""


def read_isq(text: str) -> IsqText:
    """Reads the six items from a model's answer.

    An item is its name, its symbol (v_a) or a short form of it with a number that belongs to it by its place or by
    words: in JSON, YAML, XML, tables, lists, below headings or in prose. "8/10" and "80%" are read by the scale that
    they state, so on an item from 0 to 1 they are 0.8; "7-8" is 7.5; preference alignment and action desire may be yes
    or no. Six bare numbers are the items in order. What a reader could not tell stays None: nothing is guessed.
    """
    folded = without_legends(fold(text))
    names = full_names(folded)
    scale = scale_of_all(folded, names[0].start, names[-1].end) if names else None
    if scale:
        return IsqText(_NOTHING, f"the answer is on a scale to {scale:g}; those of the items are 0 to 10 and 0 to 1")
    numbers, problems = resolve_statements(_read(text, folded))
    if problems:
        return IsqText(_NOTHING, f"{_NAMES[problems[0].item]} {problems[0].problem}")
    return IsqText(IsqItems(*numbers))


def _read(text: str, whole: str) -> list[Statement]:
    """What a text says of the items; `whole` is all of it, folded."""
    from_json, rest = read_json(text)
    from_xml, rest = read_xml(rest)
    folded = whole if rest == text else without_legends(fold(rest))
    final = list(_FINAL.finditer(folded))
    if final and not from_json and not from_xml:
        last = _read_folded(folded[final[-1].end() :])
        if are_all(last):
            return last
    return _fill(text, folded, [*from_json, *from_xml])


def _fill(text: str, folded: str, data: list[Statement]) -> list[Statement]:
    """Statements of every kind; the looser kinds only of items that the stricter ones don't state."""
    found = [*data, *_read_folded(folded)]
    if not are_all(found):
        found = _complete(found, read_yaml(text)) or found
    if not are_all(found):
        found = _complete(found, read_mentions(folded, _with_short(folded, found))) or found
    return found or read_bare(_without_echo(folded))


def _read_folded(folded: str) -> list[Statement]:
    from_tables, rest = read_tables(folded)
    return [*from_tables, *read_mentions(rest, full_names(rest))]


def _with_short(folded: str, found: list[Statement]) -> list[Mention]:
    stated = {statement.item for statement in found}
    named = full_names(folded)
    known = {mention.item for mention in named}
    short = [mention for mention in short_names(folded) if mention.item not in stated and mention.item not in known]
    return sorted(chain(named, short))


def _complete(found: list[Statement], others: list[Statement]) -> list[Statement]:
    """All statements, if the others state exactly what is missing; otherwise none."""
    stated = {statement.item for statement in found}
    together = [*found, *(statement for statement in others if statement.item not in stated)]
    return together if are_all(together) else []


def _without_echo(folded: str) -> str:
    """The text without the lines of the question: names with their ranges and nothing else."""
    lines = folded.split("\n")
    return "\n".join(line for line in lines if not (full_names(line) and re.search(r"\b0 ?(?:-|to) ?10?\b", line)))


def score_isq_text(text: str, threshold: float = DEFAULT_THRESHOLD) -> IsqScore:
    """Reads and scores one answer; an answer that can't be used has an `error` and no items."""
    read = read_isq(text)
    if read.error:
        return IsqScore(None, None, read.items, (), read.error)
    return score_isq(read.items, threshold)
