"""What kind of answer a sentence is: the response types of the values-detector study (arXiv 2501.03957).

    1 descriptive      names or describes something: "the child"
    2 value-aware      says what is at stake: "the child is writing on the wall"
    3 none             says that nothing needs attention (that this is a type of its own is ours)
    4 picture quality  comments on the picture instead of what it shows
    5 refusal          declines to answer (ours)

A bare "none" is literal; all else is the reader model's word. Figures are in its card, data/reader/README.md.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.scoring.reading.labels import TYPES
from services.scoring.reading.model import Floats, Reader
from services.scoring.reading.readable import is_readable
from services.scoring.reading.spoken import foreign_language

NO_PROBABILITIES = (0.0, 0.0, 0.0, 0.0, 0.0)
LITERAL_NONE = frozenset(
    {"none", "nothing", "no", "n/a", "na", "not applicable", "no element", "nope", "nothing at all"}
)
"""Whole answers that say that nothing needs attention, without letter case and outer punctuation."""


class ResponseType(IntEnum):
    """The types with their numbers in the study."""

    UNSPECIFIED = 0
    """No answer at all ("Sure!"), or can't be judged: empty, without letters, or not in English."""
    DESCRIPTIVE = 1
    VALUE_AWARE = 2
    NONE = 3
    PICTURE_QUALITY = 4
    REFUSAL = 5


JUDGED = tuple(kind for kind in ResponseType if kind)
"""The types that a sentence can be found to have, in the order of `TypedResponse.probabilities`."""


@dataclass(frozen=True)
class TypedResponse:
    """A sentence's type."""

    type: ResponseType
    confidence: float
    """Probability of the type by the reader model, 0 to 1; 0 where the type is UNSPECIFIED."""
    probabilities: tuple[float, ...]
    """Of types 1 to 5; what is missing to 1 is the probability of no answer at all. All 0 where it can't be judged."""
    language: str = ""
    """The language that kept it from being judged, as `foreign_language` names it; empty otherwise."""


UNJUDGED = TypedResponse(ResponseType.UNSPECIFIED, 0.0, NO_PROBABILITIES)
_NONE = TypedResponse(ResponseType.NONE, 1.0, (0.0, 0.0, 1.0, 0.0, 0.0))
_OUTER = re.compile(r"^\W+|\W+$")
_EXCEPTION = re.compile(
    r"\b(?:nothing|none|no ?one|nobody) (?:but|except|besides|other than|(?:apart|aside) from)\b", re.I
)
"""What follows is named all the same: "Nothing but its own weight keeps the load in place"."""


def is_literally_none(sentence: str) -> bool:
    """Whether a sentence is a bare "none"."""
    folded = " ".join(unicodedata.normalize("NFKC", sentence[:100]).casefold().split())
    return len(sentence) <= 100 and _OUTER.sub("", folded) in LITERAL_NONE  # noqa: PLR2004 - the longest has 16


class ResponseTypeClassifier:
    """Tells the types of sentences.

    Args:
        reader: The reader model.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def classify(self, sentences: Sequence[str]) -> tuple[TypedResponse, ...]:
        """One result a sentence, in order; equally probable types go to the lower number.

        Equal sentences have the same object.
        """
        results: dict[str, TypedResponse] = {}
        to_read = []
        for sentence in dict.fromkeys(sentences):
            if is_literally_none(sentence):
                results[sentence] = _NONE
            elif language := foreign_language(sentence):
                results[sentence] = TypedResponse(ResponseType.UNSPECIFIED, 0.0, NO_PROBABILITIES, language)
            elif is_readable(sentence):
                to_read.append(sentence)
            else:
                results[sentence] = UNJUDGED
        if to_read:
            rows = self._reader.describe(to_read).types
            results |= {sentence: self._typed(sentence, row) for sentence, row in zip(to_read, rows, strict=True)}
        return tuple(results[sentence] for sentence in sentences)

    def _typed(self, sentence: str, row: Floats) -> TypedResponse:
        none = TYPES.index("none")
        best = int(row.argmax())
        if best == none and (row[none] < self._reader.thresholds.none or _EXCEPTION.search(sentence)):
            # "None" keeps a robot from looking, so the runner-up is the safer reading.
            best = int(row[1:none].argmax()) + 1
        probabilities = tuple(float(figure) for figure in row[1:])
        return TypedResponse(ResponseType(best), float(row[best]) if best else 0.0, probabilities)
