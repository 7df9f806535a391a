"""What the scoring service does with sentences: checks them, then hands them to the part that judges.

Everything here is a pure function of its arguments and the reader model. Only English is judged; `spoken` tells what is
in another language.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.scoring.reading.alignment import (
    AlignmentItem,
    AlignmentVerdict,
    Judge,
    judge_by_model,
    judge_lexically,
    word_reader,
)
from services.scoring.reading.grouping import Consensus, GroupBy, summarise
from services.scoring.reading.labels import Question
from services.scoring.reading.model import INSTALL, Reader
from services.scoring.reading.one_call_reader import OneCallReader
from services.scoring.reading.readable import is_readable
from services.scoring.reading.response_types import ResponseTypeClassifier, TypedResponse, is_literally_none
from services.scoring.reading.semantic_judge import SemanticJudge
from services.scoring.reading.spoken import foreign_language
from services.scoring.reading.values import ValueAttribution, ValueAttributor
from services.scoring.reading.verdicts import ReadVerdict, read_verdicts
from services.serving.errors import FailedPrecondition, InvalidArgument
from services.serving.limits import check_between


@dataclass(frozen=True)
class LanguageLimits:
    """Bounds of one call."""

    max_sentences: int = 10_000
    """Sentences, or items, at most."""
    max_completions: int = 256
    """Completions summarised together at most; joining them costs the square of their number."""
    max_accept: int = 64
    """Acceptable phrasings of one item at most."""
    max_chars: int = 20_000
    """Characters of one text at most."""


class Language:
    """Judges sentences.

    Args:
        reader: The reader model; without it only what works on words and forms alone is served, and the rest raises
            FailedPrecondition.
        limits: Bounds of one call.
    """

    def __init__(self, reader: Reader | None, limits: LanguageLimits | None = None) -> None:
        self._reader = reader
        self._limits = limits or LanguageLimits()
        if reader is not None:
            self._classifier = ResponseTypeClassifier(reader)
            self._attributor = ValueAttributor(reader)
            self._semantic = SemanticJudge(reader, self._classifier)

    @property
    def reader(self) -> Reader | None:
        """The reader model, for provenance."""
        return self._reader

    def for_one_call(self) -> "Language":
        """The same for the parts of one call, which read what they have in common once; for one thread."""
        return Language(self._reader and OneCallReader(self._reader), self._limits)

    def check_sentences(self, sentences: Sequence[str]) -> None:
        """Raises InvalidArgument if there is no sentence, too many, or one is too long."""
        self._check_texts("sentences", sentences, self._limits.max_sentences)

    def classify(self, sentences: Sequence[str]) -> tuple[TypedResponse, ...]:
        """The response type of each sentence.

        Raises:
            InvalidArgument: If there is no sentence, too many, or one is too long.
            FailedPrecondition: Without a reader model.
        """
        self.check_sentences(sentences)
        self._need_reader()
        return self._classifier.classify(sentences)

    def attribute(self, sentences: Sequence[str]) -> tuple[ValueAttribution, ...]:
        """The values that each sentence is about; raises as `classify` does."""
        self.check_sentences(sentences)
        self._need_reader()
        return self._attributor.attribute(sentences)

    def decide(self, question: Question, answers: Sequence[str], field: str = "answers") -> tuple[ReadVerdict, ...]:
        """What each answer to a yes-or-no question says.

        Raises:
            InvalidArgument: If there is no answer, too many, or one is too long.
            FailedPrecondition: If an answer has to be read by the reader model and there is none.
        """
        self._check_texts(field, answers, self._limits.max_sentences)
        return read_verdicts(self._reader, question, answers)

    def summarize(self, sentences: Sequence[str], abstain_threshold: float, by: GroupBy | None = None) -> Consensus:
        """What completions say together.

        Args:
            sentences: First sentences of the completions, at least one.
            abstain_threshold: 0 to 1: agreement below it is an abstention.
            by: How to group; by meaning if unset and there is a reader model, by words otherwise.

        Raises:
            InvalidArgument: If an argument is out of bounds.
            FailedPrecondition: If `by` is SEMANTIC and there is no reader model.
        """
        self._check_texts("sentences", sentences, self._limits.max_completions)
        check_between("abstain_threshold", abstain_threshold, 0, 1)
        if by is GroupBy.SEMANTIC:
            self._need_reader()
        if by is GroupBy.LEXICAL or self._reader is None:
            return summarise(sentences, abstain_threshold)
        return summarise(sentences, abstain_threshold, OneCallReader(self._reader))

    def align(self, items: Sequence[AlignmentItem], judge: Judge) -> tuple[AlignmentVerdict, ...]:
        """Whether each answer names its element.

        Raises:
            InvalidArgument: If there is no item, too many, or one has no element, a text too long, or for SEMANTIC an
                element that the reader model can't read.
            FailedPrecondition: If the judge is SEMANTIC and there is no reader model, or MODEL and an answer of the
                judge has to be read by it.
        """
        self._check_count("items", len(items), self._limits.max_sentences)
        checked = set[tuple[str, tuple[str, ...]]]()
        for index, item in enumerate(items):
            field = f"items[{index}]"
            self._check_length(f"{field}.answer", item.answer)
            if judge is Judge.MODEL:
                self._check_length(f"{field}.model_answer", item.model_answer)
            if (item.element, item.accept) not in checked:  # a picture's thousands of completions have one element
                self._check_phrasings(field, item, judge)
                checked.add((item.element, item.accept))
        if judge is Judge.MODEL:
            return judge_by_model(items, self._reader)
        if judge is Judge.LEXICAL:
            read = word_reader()
            verdicts = {item: judge_lexically(item, read) for item in dict.fromkeys(items)}
            return tuple(verdicts[item] for item in items)
        self._need_reader()
        return self._semantic.judge(items)

    def _check_phrasings(self, field: str, item: AlignmentItem, judge: Judge) -> None:
        if len(item.accept) > self._limits.max_accept:
            raise InvalidArgument(
                f"{field}.accept",
                f"has {len(item.accept):,} phrasings, at most {self._limits.max_accept} are allowed",
                reason="LIST_TOO_LONG",
            )
        phrasings = {f"{field}.element": item.element}
        phrasings |= {f"{field}.accept[{number}]": phrasing for number, phrasing in enumerate(item.accept)}
        for name, phrasing in phrasings.items():
            self._check_length(name, phrasing)
            if not any(character.isalnum() for character in phrasing):
                raise InvalidArgument(name, "must contain a word", reason="TEXT_EMPTY")
            if judge is Judge.SEMANTIC and not _reads(phrasing):
                raise InvalidArgument(
                    name,
                    "is not in English, but the reader model reads only English; use a model as judge (JUDGE_MODEL)",
                    reason="LANGUAGE_UNKNOWN",
                )

    def _check_texts(self, field: str, texts: Sequence[str], most: int) -> None:
        self._check_count(field, len(texts), most)
        for index, text in enumerate(texts):
            self._check_length(f"{field}[{index}]", text)

    def _check_count(self, field: str, count: int, most: int) -> None:
        if not count:
            raise InvalidArgument(field, "must not be empty", reason="LIST_EMPTY")
        if count > most:
            raise InvalidArgument(field, f"has {count:,} entries, at most {most:,} are allowed", reason="LIST_TOO_LONG")

    def _check_length(self, field: str, text: str) -> None:
        most = self._limits.max_chars
        if len(text) > most:
            raise InvalidArgument(
                field,
                f"has {len(text):,} characters, at most {most:,} are allowed",
                reason="TEXT_TOO_LONG",
            )

    def _need_reader(self) -> None:
        if self._reader is None:
            raise FailedPrecondition(
                f"this needs the reader model, and none is loaded: {INSTALL}", reason="READER_MISSING"
            )


def _reads(phrasing: str) -> bool:
    return is_literally_none(phrasing) or (is_readable(phrasing) and not foreign_language(phrasing))
