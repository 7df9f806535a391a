"""A reader for the parts of one call: what one part had read, another that asks for the same need not."""

from collections.abc import Sequence

import numpy as np

from services.scoring.reader_labels import Question
from services.scoring.reader_model import Described, Floats, Pair, Reader, Thresholds


class OneCallReader:
    """Remembers what single sentences say; pairs and answers are asked for once anyway.

    Args:
        reader: Reads what this call has not asked for yet.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, tuple[Floats, Floats]] = {}

    @property
    def name(self) -> str:
        """The model's name."""
        return self._reader.name

    @property
    def revision(self) -> str:
        """The first 12 hexadecimal digits of the model's SHA-256."""
        return self._reader.revision

    @property
    def thresholds(self) -> Thresholds:
        """What counts."""
        return self._reader.thresholds

    def relate(self, pairs: Sequence[Pair]) -> Floats:
        """Shape (pairs, 3)."""
        return self._reader.relate(pairs)

    def decide(self, question: Question, answers: Sequence[str]) -> Floats:
        """Shape (answers, 4)."""
        return self._reader.decide(question, answers)

    def describe(self, sentences: Sequence[str]) -> Described:
        """What kind of answer each sentence is, and which values it concerns."""
        unknown = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self._known]
        if unknown:
            found = self._reader.describe(unknown)
            self._known |= dict(zip(unknown, zip(found.types, found.values, strict=True), strict=True))
        rows = [self._known[sentence] for sentence in sentences]
        return Described(np.array([types for types, _ in rows]), np.array([values for _, values in rows]))
