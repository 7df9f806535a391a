"""Whether models differ in alignment on the same pictures: one binary value a picture, and the paper's replica form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.statistics.cochran import DEFAULT_PERMUTATIONS, CochranTest, cochran_test
from services.scoring.statistics.intervals import (
    DEFAULT_LEVEL,
    Interval,
    check_level,
    clustered_wilson,
    newcombe_paired,
)
from services.scoring.statistics.mcnemar import holm, mcnemar_p, mcnemar_power, needed_pairs
from services.scoring.statistics.tables import binary_vector
from services.serving.errors import InvalidArgument
from services.serving.limits import MAX_SEED, check_between

DEFAULT_TARGET_POWER = 0.8
"""Power that the needed number of pictures aims at where a caller names none."""
MIN_PERMUTATIONS = 100
"""Fewest random permutations."""
MAX_PERMUTATIONS = 20_000
"""Most random permutations."""


MIN_DIFFERENCE = 1e-6
"""Smallest difference to plan for; it takes some 10¹³ pictures, and those for smaller ones soon fit no integer."""


class ModelScores(NamedTuple):
    """One model's scores; entry i of both lists belongs to one completion."""

    model: str
    """Name of the model."""
    picture_ids: Sequence[str]
    """The picture of each completion."""
    scores: Sequence[float]
    """The alignment of each completion, 0 or 1."""


@dataclass(frozen=True)
class ModelAlignment:
    """One model's alignment."""

    model: str
    """Name."""
    mean: float
    """Over all completions, 0 to 1."""
    interval: Interval
    """Of the mean, clustered by picture."""
    majority_share: float
    """Share of pictures aligned by strict majority of their completions."""
    ties: int
    """Pictures with as many aligned completions as others; they count as not aligned."""
    completions: int
    """Completions."""


@dataclass(frozen=True)
class ModelPair:
    """Two models compared on one binary value a picture."""

    first: str
    """Name of the first."""
    second: str
    """Name of the second."""
    first_only: int
    """Pictures on which the first alone is aligned."""
    second_only: int
    """Pictures on which the second alone is aligned."""
    difference: float
    """Of the shares of aligned pictures, first minus second."""
    interval: Interval
    """Newcombe's interval of the difference."""
    p_value: float
    """McNemar's exact test, two-sided."""
    adjusted_p_value: float
    """After Holm's correction over all pairs."""
    power: float | None
    """Of McNemar's exact test at these pictures, Holm's correction included, to find the target difference; None
    without one, or if no picture is discordant."""
    needed_pictures: int | None
    """For the target power, likewise; None if the difference is 0 or no picture is discordant."""


@dataclass(frozen=True)
class ModelComparison:
    """How models compare."""

    models: tuple[ModelAlignment, ...]
    """One for each model."""
    majority: CochranTest | None
    """On one binary value a picture; None for a single model."""
    completion_replica: CochranTest | None
    """On a row per completion; None for a single model or unequal numbers of completions."""
    pairs: tuple[ModelPair, ...]
    """Every pair of models."""
    pictures: int
    """Pictures."""


class _Counts(NamedTuple):
    """Completions of one model by picture, in the sorted order of the pictures' ids."""

    ids: NDArray[np.object_]
    aligned: NDArray[np.int64]
    completions: NDArray[np.int64]
    by_picture: NDArray[np.int64]
    """The scores, those of a picture together and in their order."""

    def majority(self) -> NDArray[np.int64]:
        return (2 * self.aligned > self.completions).astype(np.int64)


def compare_models(
    models: Sequence[ModelScores],
    level: float = DEFAULT_LEVEL,
    permutations: int = DEFAULT_PERMUTATIONS,
    seed: int = 0,
    target_power: float = DEFAULT_TARGET_POWER,
    target_difference: float | None = None,
) -> ModelComparison:
    """Compares models on the same pictures.

    The tests run on one binary value a picture, the strict majority of its completions. Completion k of one model is
    not matched with completion k of another, so the paper's form, with a row per completion, is given as a replica
    alone (arXiv 2501.03957 reports p = 0.077).

    Args:
        models: At least one, each with the same set of pictures.
        level: Confidence level, 0.5 to 0.999; tests use 1 minus it. Power and the needed number of pictures use that
            over the number of pairs, which Holm's correction leaves the smallest p-value: enough for a pair whatever
            the others show.
        permutations: Of Cochran's test in small tables too large to enumerate, 100 to 20,000.
        seed: Of those.
        target_power: Power for the needed number of pictures, 0.5 to 0.99.
        target_difference: Difference to detect, 0.000001 or more and below 1, with the observed share of discordant
            pictures (or the difference itself, if that is larger). None for each pair's own, and no power: the power to
            find what was observed says no more than the p-value (J. M. Hoenig and D. M. Heisey, The American
            Statistician 55, 2001).

    Raises:
        InvalidArgument: If there is no model or no completion, an id is empty, names come twice, lists have different
            lengths, sets of pictures differ, or a score is neither 0 nor 1.
    """
    check_level("confidence_level", level)
    check_between("permutations", permutations, MIN_PERMUTATIONS, MAX_PERMUTATIONS)
    check_between("seed", seed, 0, MAX_SEED)
    check_between("target_power", target_power, 0.5, 0.99)
    if target_difference is not None and not MIN_DIFFERENCE <= target_difference < 1:
        raise InvalidArgument(
            "target_difference",
            "must be above 0 and below 1, and not below 0.000001, which no study could detect",
            reason="OUT_OF_RANGE",
        )
    counts = _read(models)
    table = np.column_stack([count.majority() for count in counts])
    several = len(models) > 1
    plan = _Plan(level, (1 - level) / max(1, math.comb(len(models), 2)), target_power, target_difference)
    return ModelComparison(
        models=tuple(_alignment(model.model, count, level) for model, count in zip(models, counts, strict=True)),
        majority=cochran_test(table, permutations, seed) if several else None,
        completion_replica=_replica(counts, permutations, seed) if several else None,
        pairs=_pairs([model.model for model in models], table, plan),
        pictures=len(table),
    )


def _read(models: Sequence[ModelScores]) -> list[_Counts]:
    if not models:
        raise InvalidArgument("models", "must not be empty", reason="EMPTY")
    names: set[str] = set()
    counts: list[_Counts] = []
    for index, model in enumerate(models):
        field = f"models[{index}]"
        if not model.model or model.model in names:
            problem = "was already sent; send each model once" if model.model else "must not be empty"
            raise InvalidArgument(f"{field}.model", problem, reason="DUPLICATE" if model.model else "EMPTY")
        names.add(model.model)
        counts.append(_count(field, model))
        if not np.array_equal(counts[0].ids, counts[-1].ids):
            odd = sorted({*counts[0].ids.tolist()} ^ {*counts[-1].ids.tolist()})[0]
            raise InvalidArgument(
                f"{field}.picture_ids",
                f"must name the same images as those of models[0]; {odd[:40]!r} is in only one of them",
                reason="PICTURES_DIFFER",
            )
    return counts


def _count(field: str, given: ModelScores) -> _Counts:
    if len(given.picture_ids) == 0:
        raise InvalidArgument(f"{field}.picture_ids", "must not be empty", reason="EMPTY")
    if len(given.picture_ids) != len(given.scores):
        raise InvalidArgument(
            f"{field}.scores",
            f"has {len(given.scores)} values, and there are {len(given.picture_ids)} image ids",
            reason="RAGGED",
        )
    if "" in given.picture_ids:
        index = given.picture_ids.index("")
        raise InvalidArgument(f"{field}.picture_ids[{index}]", "must not be empty", reason="EMPTY")
    scores = binary_vector(f"{field}.scores", given.scores)
    # Python's dictionary is faster than numpy's sort of texts, and keeps ids that end in a NUL character apart.
    codes = {name: code for code, name in enumerate(sorted(set(given.picture_ids)))}
    pictures = np.fromiter((codes[name] for name in given.picture_ids), dtype=np.int64, count=len(scores))
    return _Counts(
        ids=np.array(list(codes), dtype=object),
        aligned=np.bincount(pictures, weights=scores, minlength=len(codes)).astype(np.int64),
        completions=np.bincount(pictures, minlength=len(codes)).astype(np.int64),
        by_picture=scores[np.argsort(pictures, kind="stable")],
    )


def _alignment(model: str, counts: _Counts, level: float) -> ModelAlignment:
    return ModelAlignment(
        model=model,
        mean=float(counts.aligned.sum() / counts.completions.sum()),
        interval=clustered_wilson(counts.aligned, counts.completions, level),
        majority_share=float(counts.majority().mean()),
        ties=int((2 * counts.aligned == counts.completions).sum()),
        completions=int(counts.completions.sum()),
    )


def _replica(counts: list[_Counts], permutations: int, seed: int) -> CochranTest | None:
    if any(not np.array_equal(counts[0].completions, other.completions) for other in counts):
        return None
    return cochran_test(np.column_stack([count.by_picture for count in counts]), permutations, seed)


class _Plan(NamedTuple):
    level: float
    alpha: float
    target_power: float
    target_difference: float | None


def _pairs(names: list[str], table: NDArray[np.int64], plan: _Plan) -> tuple[ModelPair, ...]:
    both = table.T @ table  # aligned by both, for every two models at once
    pairs: list[ModelPair] = []
    for one, other in combinations(range(len(names)), 2):
        first = int(both[one, one] - both[one, other])
        second = int(both[other, other] - both[one, other])
        pairs.append(_pair((names[one], names[other]), (int(both[one, other]), first, second), len(table), plan))
    adjusted = holm([pair.p_value for pair in pairs])
    return tuple(replace(pair, adjusted_p_value=p) for pair, p in zip(pairs, adjusted, strict=True))


def _pair(names: tuple[str, str], counts: tuple[int, int, int], pictures: int, plan: _Plan) -> ModelPair:
    both, first, second = counts
    p_value = mcnemar_p(first, second)
    difference = (first - second) / pictures
    discordant = (first + second) / pictures
    power: float | None = None
    needed: int | None = None
    if discordant:
        assumed = difference if plan.target_difference is None else plan.target_difference
        discordant = max(discordant, abs(assumed))
        needed = needed_pairs(discordant, assumed, plan.alpha, plan.target_power)
        if plan.target_difference is not None:
            power = mcnemar_power(pictures, discordant, assumed, plan.alpha)
    return ModelPair(
        first=names[0],
        second=names[1],
        first_only=first,
        second_only=second,
        difference=difference,
        interval=newcombe_paired(both, first, second, pictures - both - first - second, plan.level),
        p_value=p_value,
        adjusted_p_value=p_value,
        power=power,
        needed_pictures=needed,
    )
