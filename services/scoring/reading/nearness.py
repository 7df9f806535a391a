"""How near two texts are in meaning, by both ways in which the reader model reads them.

    nearness = (p(same) + cosine) / 2

where p(same) comes from reading both texts together and the cosine from a vector of each. Both err, but seldom on the
same pair: the vectors hardly tell a denial from what it denies, and the joint reading misses unusual words.
"""

from collections.abc import Sequence
from typing import NamedTuple

from services.scoring.reading.labels import Relation
from services.scoring.reading.model import Floats, Pair, Reader


class Compared(NamedTuple):
    """What comparing pairs of texts found."""

    relations: Floats
    """Shape (pairs, 3): probabilities in the order of `Relation`."""
    nearness: Floats
    """Shape (pairs,), −0.5 to 1."""


def compare(reader: Reader, pairs: Sequence[Pair]) -> Compared:
    """Reads pairs of texts together and each text alone."""
    relations = reader.relate(pairs)
    first = reader.describe([pair.first for pair in pairs]).vectors
    second = reader.describe([pair.second for pair in pairs]).vectors
    return Compared(relations, (relations[:, Relation.SAME] + (first * second).sum(axis=1)) / 2)
