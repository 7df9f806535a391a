"""Figures of agreement between labels and what was read."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Cohen's κ of two binary ratings; 1 where both are the same throughout."""
    observed = float((first == second).mean())
    chance = float(first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean()))
    return 1.0 if chance == 1 else (observed - chance) / (1 - chance)


def macro_f1(truth: Sequence[int], found: Sequence[int], classes: Sequence[int]) -> float:
    """The mean of the F1 of the classes that occur."""
    scores = []
    for label in classes:
        right = sum(a == b == label for a, b in zip(truth, found, strict=True))
        total = sum(a == label for a in truth) + sum(b == label for b in found)
        if any(a == label for a in truth):
            scores.append(2 * right / total)
    return sum(scores) / len(scores)
