"""A reader for the parts of one call: what one part had read, another that asks for the same need not."""

from collections.abc import Sequence

import numpy as np

from services.scoring.reading.labels import Question
from services.scoring.reading.model import Described, Floats, Pair, Reader, Thresholds


class OneCallReader:
    """Remembers what single sentences say; pairs and answers are asked for once anyway.

    Args:
        reader: Reads what this call has not asked for yet.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, tuple[Floats, ...]] = {}

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
        """What each sentence says: the kind of answer that it is, the values that it concerns, its vector."""
        unknown = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self._known]
        if unknown:
            self._known |= dict(zip(unknown, zip(*self._reader.describe(unknown), strict=True), strict=True))
        columns = zip(*(self._known[sentence] for sentence in sentences), strict=True)
        return Described(*map(np.array, columns)) if sentences else self._reader.describe([])
