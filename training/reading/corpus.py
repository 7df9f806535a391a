"""The labelled texts: who wrote them, what they hold, and which author serves for what.

Every author wrote alone, knew the job and the labels, and saw neither the code nor another author's texts. Texts are
written in the styles of named model families; none is the output of a real model. GUIDE.md is what they were told.

    {"domain": "home", "element": "open tap", "phrasings": [5], "aligned": [8], "descriptive": [4], "denied": [3],
     "other": [3 or 4], "values": ["universalism"]}
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

DATA = Path(__file__).parent / "data"

Part = Literal["situations", "groups", "types", "like", "interest", "judge", "isq", "first"]
"""Kinds of labelled texts."""

TRAINED = (1, 4, 6, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 21, 22, 23, 24, 25, 26, 27, *range(30, 36))
"""Authors whose texts the model is fitted to, in the order in which the learning curve adds them."""
CALIBRATED = (5, 28)
"""Authors whose texts thresholds and temperatures are fitted to."""
HELD_OUT = (12, 13, 19, 20, 29, 36)
"""Authors to whom nothing is fitted."""


@dataclass(frozen=True)
class Situation:
    """A picture's situation, and texts that do and don't name what needs attention in it."""

    author: int
    domain: str
    element: str
    """What annotators named; "none" where nothing needs attention."""
    phrasings: tuple[str, ...]
    """How five annotators put it."""
    aligned: tuple[str, ...]
    """Answers that name it."""
    descriptive: tuple[str, ...]
    """Answers that describe the scene."""
    denied: tuple[str, ...]
    """Answers that deny it or state the opposite; for "none", answers that claim a problem."""
    other: tuple[str, ...]
    """Answers that name something else that needs attention."""
    values: tuple[str, ...]
    """Values concerned by the author's label, the most concerned first."""
    quality: tuple[str, ...] = ()
    """Comments on the picture's quality."""
    refusal: tuple[str, ...] = ()
    """Refusals."""
    lead_in: tuple[str, ...] = ()
    """Sentences that come before an answer and say nothing."""

    @property
    def value_labels(self) -> tuple[tuple[str, ...], ...]:
        """The author's label of values and those of further annotators; empty where nothing needs attention."""
        return tuple(
            labels for labels in (self.values, *_further_labels().get((self.author, self.element), ())) if labels
        )

    @property
    def heaviest_value(self) -> str:
        """The value that most labels have first, the author's in a tie; empty without a label."""
        firsts = [labels[0] for labels in self.value_labels]
        return max(firsts, key=firsts.count) if firsts else ""

    @property
    def nothing(self) -> bool:
        """Whether nothing needs attention."""
        return self.element.casefold() == "none"


@functools.cache
def _further_labels() -> Mapping[tuple[int, str], list[tuple[str, ...]]]:
    lines = (DATA / "value_labels.jsonl").read_text(encoding="utf-8").splitlines()
    found = map(json.loads, lines)
    return {(row["author"], row["element"]): [tuple(groups) for groups in row["annotators"]] for row in found}


class Labelled(NamedTuple):
    """A text with its label."""

    text: str
    label: Any


class CompletionSet(NamedTuple):
    """Completions of one picture; equal numbers mean the same."""

    sentences: tuple[str, ...]
    groups: tuple[int, ...]


@functools.cache
def rows(author: int, part: Part) -> tuple[Mapping[str, Any], ...]:
    """The lines of one part by one author; empty where the author wrote none."""
    path = DATA / f"author_{author}_{part}.jsonl"
    if not path.is_file():
        return ()
    return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def situations(authors: Sequence[int]) -> list[Situation]:
    """The situations of some authors."""
    found = []
    for author in authors:
        for row in rows(author, "situations"):
            fields = {name: value for name, value in row.items() if name in Situation.__dataclass_fields__}
            lists = {
                name: (value,) if isinstance(value, str) else tuple(value)
                for name, value in fields.items()
                if name not in ("domain", "element")
            }
            found.append(Situation(author=author, domain=row["domain"], element=row["element"], **lists))
    return found


def labelled(authors: Sequence[int], part: Part, text: str, label: str) -> list[Labelled]:
    """Texts of a part with their labels, by the names of both fields."""
    return [Labelled(row[text], row[label]) for author in authors for row in rows(author, part)]


def completion_sets(authors: Sequence[int]) -> list[CompletionSet]:
    """Sets of completions of some authors."""
    return [
        CompletionSet(tuple(row["sentences"]), tuple(row["groups"]))
        for author in authors
        for row in rows(author, "groups")
    ]
