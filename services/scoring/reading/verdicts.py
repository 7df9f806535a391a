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
    r"(?:^|[.!?;,…\n]|\s[-–—]+\s|—)\W{0,3}(?:correction|corrected|on (?:second thoughts?|reflection)|scratch that"
    r"|strike that|wait|make that|i mean(?:t)?|(?:let me |i )?changed? (?:that|it|my (?:answer|mind|verdict)))\b"
    r"[\s,.:;!…–—-]{0,5}"
    r"(?:(?:it's|it is|that's|that is|(?:the|my) answer is|make (?:it|that)|definitely|actually|an?|to)\s+){0,3}"
    r"(yes|no)\b(?=\W{0,9}$|\s*[.,;:!…\n–—])",
    re.IGNORECASE,
)
"""A clause that corrects an earlier yes or no: "No. Correction: yes.". "I can't wait, no way" has no such clause."""
_AGAINST_LEAD = 0.9
"""Probability that a verdict needs against the yes or no that an answer begins with, and a no against signs of yes."""
_FEWEST_LETTERS = 3
"""Letters of an answer that the model reads; fewer are what is left of one that was cut off."""
_OPPOSITE_OF = {"yes": Verdict.NO, "no": Verdict.YES}
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
            sure = float(row[best]) >= needed and not _is_contradicted(text, verdict)
            found[answer] = ReadVerdict(verdict if sure else Verdict.UNPARSED, float(row[best]))
    return tuple(found[answer] for answer in answers)


def _takes_back(text: str, verdict: Verdict) -> bool:
    """Whether an answer begins with the opposite of what the model reads: "Yes, it is sharp, but I don't like it"."""
    lead = _LEAD.match(text)
    begun = lead is not None and _OPPOSITE_OF[lead[1].casefold()] is verdict
    return begun or (verdict is Verdict.NO and said_by_signs(text) is Verdict.YES)


def _is_contradicted(text: str, verdict: Verdict) -> bool:
    """Whether an answer has signs of no beside a yes ("match ✗"), or takes back the yes or no that the model reads."""
    if verdict is Verdict.YES and said_by_signs(text) is Verdict.NO:
        return True
    last = next(reversed(list(_CORRECTED.finditer(text))), None)
    if last is None or _OPPOSITE_OF[last[1].casefold()] is not verdict:
        return False
    return re.search(rf"\b{verdict.value}\b", text[: last.start()], re.IGNORECASE) is not None


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
