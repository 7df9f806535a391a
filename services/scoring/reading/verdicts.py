"""Reads yes, no, a refusal or neither from free-text answers, with the question that was asked.

An answer whose form leaves no doubt is read by its form, plain words of other languages by a list, and all else by the
reader model. A verdict whose probability is below the threshold is unparsed, and so is text in a language that the
model was not trained for: reported, never guessed.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from services.scoring.reading.answer_form import read_form, said_by_signs, without_wrapping, words_of_json
from services.scoring.reading.labels import VERDICTS, Question, Verdict
from services.scoring.reading.model import INSTALL, Reader
from services.scoring.reading.readable import is_readable
from services.scoring.reading.short_answers import plain_verdict
from services.scoring.reading.spoken import foreign_language
from services.serving.errors import FailedPrecondition


class ReadVerdict(NamedTuple):
    """What an answer says."""

    verdict: Verdict
    confidence: float
    """Probability of the verdict, 0 to 1; 1 where the form of the answer leaves no doubt."""
    language: str = ""
    """The language that kept an answer from being read, as `foreign_language` names it; empty otherwise."""


_LONGEST_WORD = 40
"""Characters of an answer that is one word; a longer one is none."""
_LEAD = re.compile(
    r"\W*(yes|no)\b(?! (?:doubt|question|problem|one|longer|wonder|matter|need|more|reason|complaints?)\b)",
    re.IGNORECASE,
)
_CORRECTED = re.compile(
    r"\b(?:correction|corrected|on (?:second thoughts?|reflection)|scratch that|strike that|wait|make that|i mean)\b"
    r"[^\w.!?]*(?:\w+\W+){0,3}?(yes|no)\b(?! (?:doubt|question|problem|one|longer|wonder|matter|need|more|reason)\b)",
    re.IGNORECASE,
)
"""A yes or no that takes back an earlier one: "No. Correction: yes."."""
_AGAINST_LEAD = 0.9
"""Probability that a verdict needs against the yes or no that an answer begins with, or against its pictures."""
_FEWEST_LETTERS = 3
"""Letters of an answer that the model reads; fewer are what is left of one that was cut off."""
_OPPOSITE = {"yes": Verdict.NO, "no": Verdict.YES}
_UNREADABLE = ReadVerdict(Verdict.UNPARSED, 1.0)


def read_verdicts(reader: Reader | None, question: Question, answers: Sequence[str]) -> tuple[ReadVerdict, ...]:
    """One verdict for each answer, in order; equal answers have the same object.

    Args:
        reader: Reads what form alone doesn't tell.
        question: What was asked.
        answers: Any number.

    Raises:
        FailedPrecondition: If an answer has to be read and there is no reader model.
    """
    found: dict[str, ReadVerdict] = {}
    open_answers: dict[str, str] = {}
    for answer in dict.fromkeys(answers):
        known, text = _by_form(answer, question)
        if known:
            found[answer] = known
        else:
            open_answers[answer] = text
    if open_answers:
        if reader is None:
            raise FailedPrecondition(
                f"reading answers needs the reader model, and none is loaded: {INSTALL}", reason="READER_MISSING"
            )
        rows = reader.decide(question, list(open_answers.values()))
        for answer, row in zip(open_answers, rows, strict=True):
            best = int(row.argmax())
            verdict = VERDICTS[best]
            text = open_answers[answer]
            needed = _AGAINST_LEAD if _takes_back(text, verdict) else reader.thresholds.verdict
            sure = float(row[best]) >= needed and not _is_corrected(text, verdict)
            found[answer] = ReadVerdict(verdict if sure else Verdict.UNPARSED, float(row[best]))
    return tuple(found[answer] for answer in answers)


def _takes_back(text: str, verdict: Verdict) -> bool:
    """Whether an answer begins with the opposite of what the model reads, or its pictures say the opposite: "Yes, it is
    sharp, but I don't like it", "match ✗"."""
    lead = _LEAD.match(text)
    begun = lead is not None and _OPPOSITE[lead[1].casefold()] is verdict
    return begun or {verdict, said_by_signs(text)} == {Verdict.YES, Verdict.NO}


def _is_corrected(text: str, verdict: Verdict) -> bool:
    """Whether an answer takes back what the model reads, by a plain yes or no."""
    corrections = _CORRECTED.findall(text)
    return bool(corrections) and _OPPOSITE[corrections[-1].casefold()] is verdict


def _by_form(answer: str, question: Question) -> tuple[ReadVerdict | None, str]:
    """The verdict by form, and the text to read where there is none."""
    text = without_wrapping(answer)
    if not text:
        return _UNREADABLE, text
    verdict = read_form(text, question)
    if verdict is Verdict.UNPARSED and (words := words_of_json(text)):
        verdict, text = None, words
    if verdict is None and (plain := plain_verdict(text)):
        verdict = Verdict(plain)
    if verdict is not None:
        return ReadVerdict(verdict, 1.0), text
    if language := foreign_language(text):
        return _UNREADABLE._replace(language=language), text
    letters = sum(map(str.isalpha, text))
    a_word = len(text) <= _LONGEST_WORD or len(text.split()) > 1
    return (None, text) if is_readable(text) and letters >= _FEWEST_LETTERS and a_word else (_UNREADABLE, text)
