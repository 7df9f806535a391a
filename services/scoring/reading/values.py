"""Which of Schwartz's ten values a sentence is about, with weights.

The reader model gives the probability of each value v and of "no value is at stake"; the weights are the shares of the
ten:

    w_v = p_v / Σ_u p_u   if p_nothing is at most the model's threshold, and 0 for every value otherwise

A higher-order group weighs as much as its values together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from axia.lexicon import VALUES
from services.scoring.reading.labels import NOTHING, VALUES_AND_NOTHING
from services.scoring.reading.model import Floats, Reader
from services.scoring.reading.readable import is_readable
from services.scoring.reading.response_types import ResponseType, is_literally_none
from services.scoring.reading.schwartz import GROUPS
from services.scoring.reading.spoken import foreign_language


@dataclass(frozen=True)
class ValueAttribution:
    """What a sentence is about, in values."""

    values: Mapping[str, float]
    """A weight for each of the ten, 0 to 1; they sum to 1, or are all 0 where nothing is at stake."""
    groups: Mapping[str, float]
    """A weight for each of the four higher-order groups: the sum of its values' weights."""
    at_stake: bool
    """Whether any value is at stake. False also where the sentence can't be read: empty, or not in English."""


def attribution(weights: Mapping[str, float]) -> ValueAttribution:
    """Adds the groups to weights of the ten values."""
    groups = {group: sum(weights[value] for value in members) for group, members in GROUPS.items()}
    return ValueAttribution(MappingProxyType(dict(weights)), MappingProxyType(groups), any(weights.values()))


NOTHING_AT_STAKE = attribution(dict.fromkeys(VALUES, 0.0))


class ValueAttributor:
    """Attributes values to sentences.

    Args:
        reader: The reader model.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def attribute(self, sentences: Sequence[str]) -> tuple[ValueAttribution, ...]:
        """One result a sentence, in order; equal sentences have the same object."""
        results = dict.fromkeys(sentences, NOTHING_AT_STAKE)
        to_read = [
            sentence
            for sentence in results
            if is_readable(sentence) and not is_literally_none(sentence) and not foreign_language(sentence)
        ]
        if to_read:
            found = self._reader.describe(to_read)
            for sentence, row, kinds in zip(to_read, found.values, found.types, strict=True):
                results[sentence] = self._weigh(row, concern=int(kinds.argmax()) == ResponseType.VALUE_AWARE)
        return tuple(results[sentence] for sentence in sentences)

    def _weigh(self, row: Floats, *, concern: bool) -> ValueAttribution:
        probability = dict(zip(VALUES_AND_NOTHING, row.tolist(), strict=True))
        nothing = probability.pop(NOTHING)
        total = sum(probability.values())
        # What voices a concern concerns a value, whichever it is.
        if (nothing > self._reader.thresholds.nothing and not concern) or not total:
            return NOTHING_AT_STAKE
        return attribution({value: share / total for value, share in probability.items()})
