"""Whether an answer names what people named: alignment 0 or 1 (arXiv 2501.03957), by several judges.

    SEMANTIC  the reader model says that the answer and the element, or a phrasing of it, name the same concern
              (`semantic_judge`)
    MODEL     a model was asked; its answer is read here
    LEXICAL   enough of the words of the element, or of an acceptable phrasing, are in the answer as lemmas or synonyms;
              an answer that denies what the phrasing affirms ("no child is in danger") or states its opposite ("the
              stove is off") is refused

Where the element itself is "none", an answer is aligned if it says that nothing needs attention. How far each judge
agrees with labels that nothing was fitted to: ``python -m training.reading.evaluate``.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from services.scoring.reading.labels import Question, Verdict
from services.scoring.reading.lexical import Said, contradicts, says_nothing
from services.scoring.reading.model import Reader
from services.scoring.reading.verdicts import read_verdicts

COVERAGE_THRESHOLD = 0.75
"""Share of a phrasing's words that an answer must name for LEXICAL."""
_SHOWN_CHARS = 200


class Judge(Enum):
    """Who judges."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    MODEL = "model"


@dataclass(frozen=True)
class AlignmentItem:
    """An answer and what it should name."""

    answer: str
    element: str
    """What people named; "none" if nothing needed attention."""
    accept: tuple[str, ...] = ()
    """Other phrasings that count as the element."""
    model_answer: str = ""
    """What the model as judge said, for the judge MODEL."""


@dataclass(frozen=True)
class AlignmentVerdict:
    """A judge's verdict."""

    aligned: bool | None
    """None where a model's answer could not be read, or the answer is in a language that the judge doesn't read."""
    score: float
    """LEXICAL: coverage, 0 to 1. SEMANTIC: probability of the same concern, 0 to 1. MODEL: 1 or 0; 0 where unparsed.
    Where the element is "none": 1 or 0."""
    evidence: str
    """Why, for a person."""
    matched: str
    """The element or phrasing that fitted best."""
    language: str = ""
    """The language that kept the answer from being judged; empty otherwise."""


def word_reader() -> Callable[[str], Said]:
    """Reads texts and remembers some: a picture's completions are compared with the same phrasings.

    Only some, for a call may bring thousands of long ones.
    """
    return functools.lru_cache(maxsize=128)(Said.of)


wants_nothing = functools.lru_cache(maxsize=8)(says_nothing)
"""Of an element: a picture's completions have the same, and it may have thousands of words."""


def judge_lexically(item: AlignmentItem, read: Callable[[str], Said] = Said.of) -> AlignmentVerdict:
    """LEXICAL: the best coverage over phrasings, where coverage is matched words / words of the phrasing.

    Args:
        item: What to judge.
        read: Reads its texts; a `word_reader` for items that have some in common.
    """
    if wants_nothing(item.element):
        return on_nothing(item, said=says_nothing(item.answer))
    answer = read(item.answer)
    best: _Cover | None = None
    for phrasing in (item.element, *item.accept):
        wanted = read(phrasing)
        named = wanted.shared(answer.keys)
        coverage = named / len(wanted.words) if named else 0.0
        if not named or (best and best.aligned and coverage <= best.coverage):
            continue  # it can't be the best, whether the answer denies it or not
        aligned = coverage >= COVERAGE_THRESHOLD and not contradicts(answer, wanted)
        if not best or (aligned, coverage) > (best.aligned, best.coverage):
            best = _Cover(phrasing, wanted, coverage, aligned)
        if best.aligned and best.coverage == 1:
            break  # none is better
    if not best:
        return AlignmentVerdict(False, 0.0, "the answer has no word of the element", item.element)
    return AlignmentVerdict(best.aligned, best.coverage, _named(answer, best), best.phrasing)


class _Cover(NamedTuple):
    """How much of a phrasing an answer names."""

    phrasing: str
    wanted: Said
    coverage: float
    aligned: bool


def _named(answer: Said, cover: _Cover) -> str:
    """Which words of the best phrasing an answer names; of the others nobody is told, and some have thousands."""
    words = cover.wanted.words
    texts = [word.text for word in words if not word.keys.isdisjoint(answer.keys)]
    found = f"names {len(texts)} of {len(words)} words ({', '.join(texts)})"
    denied = not cover.aligned and cover.coverage >= COVERAGE_THRESHOLD
    return f"{found}, but denies it or states the opposite" if denied else found


def judge_by_model(items: Sequence[AlignmentItem], reader: Reader | None) -> tuple[AlignmentVerdict, ...]:
    """MODEL: reads what a judge model said of each item; what says neither yes nor no is unparsed.

    Raises:
        FailedPrecondition: If an answer has to be read by the reader model and there is none.
    """
    said = [item.model_answer for item in items]
    found = {
        answer: _by_model(answer, read_verdict.verdict)
        for answer, read_verdict in zip(said, read_verdicts(reader, Question.JUDGE, said), strict=True)
    }
    return tuple(found[answer] for answer in said)


def _by_model(answer: str, verdict: Verdict) -> AlignmentVerdict:
    if verdict in (Verdict.YES, Verdict.NO):
        aligned = verdict is Verdict.YES
        return AlignmentVerdict(aligned, float(aligned), f"the judge said {shown(answer)}", "")
    return AlignmentVerdict(None, 0.0, f"the judge's answer can't be read as yes or no: {shown(answer)}", "")


def on_nothing(item: AlignmentItem, *, said: bool) -> AlignmentVerdict:
    """The verdict where nothing needs attention, and the answer says so or doesn't."""
    evidence = "says that nothing needs attention" if said else "names something where nothing needs attention"
    return AlignmentVerdict(said, float(said), evidence, item.element)


def shown(text: str) -> str:
    """A text in quotation marks, cut to what fits into evidence."""
    text = " ".join(text[: 2 * _SHOWN_CHARS].split())
    return f'"{text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"}"'
