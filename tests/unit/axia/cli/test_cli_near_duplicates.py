"""Pairs of near hashes, against comparing all with all."""

import random
from itertools import combinations

from axia.cli._images.near_duplicates import DISTANCE, near_duplicates


def test_all_pairs_within_the_distance_are_found_and_no_others() -> None:
    draw = random.Random(1)
    hashes = [draw.getrandbits(64) for _ in range(60)]
    for bits in range(8):
        hashes.append(hashes[bits])
        for _ in range(bits):
            hashes[-1] ^= 1 << draw.randrange(64)
    distinct = {f"{number:03d}": f"{value:016x}" for number, value in enumerate(dict.fromkeys(hashes))}
    expected = {
        (one, two)
        for one, two in combinations(distinct, 2)
        if (int(distinct[one], 16) ^ int(distinct[two], 16)).bit_count() <= DISTANCE
    }
    found = near_duplicates(distinct)
    assert len(found) == len(expected) >= 4
    assert {tuple(sorted(pair[:2])) for pair in found} == expected


def test_many_with_one_hash_are_paired_with_the_first_alone() -> None:
    found = near_duplicates({str(number): "00000000000000ff" for number in range(1000)})
    assert len(found) == 999
    assert {pair.first for pair in found} == {"0"}
