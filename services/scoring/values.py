"""Which of Schwartz's ten values a sentence is about, with weights.

A linear classifier on the sentence's embedding gives the probability of each value v and of "no value is at stake";
the weights are the shares of the ten:

    w_v = p_v / Σ_u p_u   if p_nothing ≤ 1/2, and 0 for every value otherwise

A higher-order group weighs as much as its values together. Trained on data/values.jsonl (sentences in which a value is
kept, shown or hurt, and plain keywords) and, for "nothing", on answers of types 3 and 4 in data/response_types.jsonl.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from services.scoring.embedder import Embedder
from services.scoring.readable import is_readable
from services.scoring.schwartz import GROUPS, VALUES
from services.scoring.softmax_model import DATA, Floats, SoftmaxModel, load_softmax_model

LABELLED = DATA / "values.jsonl"
WEIGHTS = DATA / "values.npz"
NOTHING = "nothing"
"""The eleventh class: no value is at stake."""


@dataclass(frozen=True)
class ValueAttribution:
    """What a sentence is about, in values."""

    values: Mapping[str, float]
    """A weight for each of the ten, 0 to 1; they sum to 1, or are all 0 where nothing is at stake."""
    groups: Mapping[str, float]
    """A weight for each of the four higher-order groups: the sum of its values' weights."""
    at_stake: bool
    """Whether any value is at stake. False also where the sentence can't be read: empty, or not in Latin script."""


def attribution(weights: Mapping[str, float]) -> ValueAttribution:
    """Adds the groups to weights of the ten values."""
    groups = {group: sum(weights[value] for value in members) for group, members in GROUPS.items()}
    return ValueAttribution(MappingProxyType(dict(weights)), MappingProxyType(groups), any(weights.values()))


NOTHING_AT_STAKE = attribution(dict.fromkeys(VALUES, 0.0))


class ValueAttributor:
    """Attributes values to sentences.

    Args:
        embedder: The sentence model that the weights were trained on.
        model: Weights; those in data/ if left out.
    """

    def __init__(self, embedder: Embedder, model: SoftmaxModel | None = None) -> None:
        self._embedder = embedder
        self._model = model or load_softmax_model(WEIGHTS)

    def attribute(self, sentences: Sequence[str]) -> tuple[ValueAttribution, ...]:
        """One result a sentence, in order; equal sentences have the same object."""
        results = dict.fromkeys(sentences, NOTHING_AT_STAKE)
        readable = [sentence for sentence in results if is_readable(sentence)]
        if readable:
            rows = self._model.probabilities(self._embedder.embed(readable))
            for sentence, row in zip(readable, rows, strict=True):
                results[sentence] = self._weigh(row)
        return tuple(results[sentence] for sentence in sentences)

    def _weigh(self, row: Floats) -> ValueAttribution:
        probability = dict(zip(self._model.classes, row.tolist(), strict=True))
        nothing = probability.pop(NOTHING)
        if nothing > 1 / 2:
            return NOTHING_AT_STAKE
        total = sum(probability[value] for value in VALUES)
        return attribution({value: probability[value] / total for value in VALUES})
