"""Reads the completions of one picture: groups, response types, values and alignment, read once.

Each part is what it is when it is asked for alone, to the last bit. What one part can't do, for want of the
reader model or because of what only that part compares, leaves the others as they are.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from services.scoring.reading.alignment import AlignmentItem, Judge
from services.scoring.reading.grouping import Consensus
from services.scoring.reading.language import Language
from services.scoring.reading.response_types import TypedResponse
from services.scoring.reading.values import ValueAttribution
from services.scoring.scorer import Alignment, score_alignment
from services.scoring.statistics.intervals import DEFAULT_LEVEL
from services.serving.errors import FailedPrecondition, InvalidArgument
from services.serving.limits import check_between

Part = Literal["grouping", "response_types", "values", "alignment"]
"""What is said of completions."""
ReadT = TypeVar("ReadT")

_ITEM = re.compile(r"^items\[(\d+)\]\.")


class AnnotatedElement(NamedTuple):
    """What annotators named in a picture, and who judges whether its completions name it."""

    element: str
    """What people named; "none" if nothing needed attention."""
    accept: tuple[str, ...]
    """Other phrasings that count as the element."""
    judge: Judge
    model_answers: tuple[str, ...]
    """What the model as judge said of each completion; empty with another judge."""


class MissingPart(NamedTuple):
    """A part that could not be read."""

    part: Part
    reason: str
    """In UPPER_SNAKE_CASE, for programs."""
    message: str
    """What is wrong and what to do, for a person."""


@dataclass(frozen=True)
class Reading:
    """What one picture's completions say; None stands for a part that is missing or was not asked for."""

    grouping: Consensus | None
    response_types: tuple[TypedResponse, ...] | None
    """One for each completion, as below."""
    values: tuple[ValueAttribution, ...] | None
    alignment: Alignment | None
    missing: tuple[MissingPart, ...]
    """In the order of the fields."""


def read_completions(
    language: Language, sentences: Sequence[str], abstain_threshold: float, truth: AnnotatedElement | None
) -> Reading:
    """Reads everything that is asked for.

    Args:
        language: Who reads.
        sentences: First sentences of the completions, at least one.
        abstain_threshold: 0 to 1: agreement below it is an abstention.
        truth: What the completions should name; None asks for no alignment.

    Raises:
        InvalidArgument: If there is no sentence, there are too many, one is too long, or the threshold is out of
            bounds: no part can be read then.
    """
    language.check_sentences(sentences)
    check_between("abstain_threshold", abstain_threshold, 0, 1)
    once = language.for_one_call()
    missing: list[MissingPart] = []

    def attempt(part: Part, read: Callable[[], ReadT]) -> ReadT | None:
        try:
            return read()
        except (FailedPrecondition, InvalidArgument) as error:
            missing.append(MissingPart(part, error.reason, error.renamed(_as_asked).message))
            return None

    return Reading(
        grouping=attempt("grouping", lambda: once.summarize(sentences, abstain_threshold)),
        response_types=attempt("response_types", lambda: once.classify(sentences)),
        values=attempt("values", lambda: once.attribute(sentences)),
        alignment=attempt("alignment", lambda: _align(once, sentences, truth)) if truth else None,
        missing=tuple(missing),
    )


def _align(language: Language, sentences: Sequence[str], truth: AnnotatedElement) -> Alignment:
    answers = truth.model_answers or ("",) * len(sentences)
    items = [
        AlignmentItem(sentence, truth.element, truth.accept, answer)
        for sentence, answer in zip(sentences, answers, strict=True)
    ]
    return score_alignment(language, items, truth.judge, [""] * len(items), (), DEFAULT_LEVEL)


def _as_asked(field: str) -> str:
    """The caller's name of a field of an item: there is one element for all of them, and an answer each."""
    item = _ITEM.match(field)
    if item and field.endswith(".model_answer"):
        return f"ground_truth.model_answers[{item[1]}]"
    return _ITEM.sub("ground_truth.", field)
