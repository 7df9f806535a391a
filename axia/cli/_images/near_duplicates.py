"""Images that look alike, by their perceptual hashes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, pairwise
from typing import NamedTuple

DISTANCE = 4
"""Bits of 64 in which the hashes of two images may differ that look alike."""

_BITS = 64
_BANDS = DISTANCE + 1


class Alike(NamedTuple):
    """Two images that look alike."""

    first: str
    second: str
    distance: int
    """Bits in which their hashes differ."""


def near_duplicates(hashes: Mapping[str, str]) -> list[Alike]:
    """Pairs of images whose hashes differ in at most DISTANCE bits, the nearest first.

    A hash is cut into one band more than bits may differ, so that two near ones have a band in common: only images
    that share a band are compared. Of several images with the same hash each is paired with the first alone.

    Args:
        hashes: 16 hexadecimal digits by the image's name.
    """
    names: dict[int, list[str]] = defaultdict(list)
    for name, digits in hashes.items():
        names[int(digits, 16)].append(name)
    found = [Alike(first, other, 0) for first, *others in names.values() for other in others]
    for one, two in _candidates(names):
        if (distance := (one ^ two).bit_count()) <= DISTANCE:
            found.append(Alike(names[one][0], names[two][0], distance))
    return sorted(found, key=lambda pair: (pair.distance, pair.first, pair.second))


def _candidates(hashes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Pairs that have a band in common, each once."""
    distinct = list(hashes)
    edges = [_BITS * band // _BANDS for band in range(_BANDS + 1)]
    bands = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)]
    for number, (low, mask) in enumerate(bands):
        buckets: dict[int, list[int]] = defaultdict(list)
        for value in distinct:
            buckets[value >> low & mask].append(value)
        for bucket in buckets.values():
            for one, two in combinations(bucket, 2):
                # An earlier band in common means that the pair was already stored.
                if all((one ^ two) >> shift & earlier for shift, earlier in bands[:number]):
                    yield one, two
