"""What kind of answer a sentence is: the response types of the values-detector study (arXiv 2501.03957).

    1 descriptive      names or describes something: "the child"
    2 value-aware      says what is at stake: "the child is writing on the wall"
    3 none             says that nothing needs attention (that this is a type of its own is ours)
    4 picture quality  comments on the picture instead of what it shows

A linear classifier on the sentence's embedding decides, so meaning counts and not single words. It was trained on
data/response_types.jsonl; ``python -m services.scoring.evaluate_response_types`` prints figures on its held-out part
and on data/response_types_independent.jsonl, sentences by other authors that nothing was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.scoring.embedder import Embedder
from services.scoring.readable import is_readable
from services.scoring.softmax_model import DATA, SoftmaxModel, load_softmax_model

LABELLED = DATA / "response_types.jsonl"
INDEPENDENT = DATA / "response_types_independent.jsonl"
WEIGHTS = DATA / "response_types.npz"


class ResponseType(IntEnum):
    """The types with their numbers in the study."""

    UNSPECIFIED = 0
    """Can't be judged: empty, without letters, or not in Latin script, which the sentence model can't read."""
    DESCRIPTIVE = 1
    VALUE_AWARE = 2
    NONE = 3
    PICTURE_QUALITY = 4


JUDGED = (ResponseType.DESCRIPTIVE, ResponseType.VALUE_AWARE, ResponseType.NONE, ResponseType.PICTURE_QUALITY)
"""The types that a sentence can be found to have, in the order of `TypedResponse.probabilities`."""


@dataclass(frozen=True)
class TypedResponse:
    """A sentence's type."""

    type: ResponseType
    confidence: float
    """Probability of the type by the classifier, above 0.25 and at most 1; 0 where the type is UNSPECIFIED."""
    probabilities: tuple[float, float, float, float]
    """Of types 1 to 4; they sum to 1, or are all 0 where the type is UNSPECIFIED."""


UNJUDGED = TypedResponse(ResponseType.UNSPECIFIED, 0.0, (0.0, 0.0, 0.0, 0.0))


class ResponseTypeClassifier:
    """Tells the types of sentences.

    Args:
        embedder: The sentence model that the weights were trained on.
        model: Weights; those in data/ if left out.
    """

    def __init__(self, embedder: Embedder, model: SoftmaxModel | None = None) -> None:
        self._embedder = embedder
        self._model = model or load_softmax_model(WEIGHTS)

    def classify(self, sentences: Sequence[str]) -> tuple[TypedResponse, ...]:
        """One result a sentence, in order; equally probable types go to the lower number.

        Equal sentences have the same object.
        """
        results = dict.fromkeys(sentences, UNJUDGED)
        readable = [sentence for sentence in results if is_readable(sentence)]
        if readable:
            rows = self._model.probabilities(self._embedder.embed(readable))
            for sentence, row in zip(readable, rows, strict=True):
                descriptive, value_aware, none, quality = row.tolist()
                best = int(row.argmax())
                results[sentence] = TypedResponse(
                    JUDGED[best], float(row[best]), (descriptive, value_aware, none, quality)
                )
        return tuple(results[sentence] for sentence in sentences)
