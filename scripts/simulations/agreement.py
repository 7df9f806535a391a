"""Intervals of agreement: of annotators with each other, of judges with people, and means that judges correct."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from axia.judges.figures import kappa, kappa_difference, measure
from scripts.simulations.draws import LARGE, LEVEL, Shown, Simulation, clusters
from services.scoring.statistics.agreement import fleiss_kappa
from services.scoring.statistics.ceiling import human_ceiling
from services.scoring.statistics.coefficient_intervals import cohen_interval, fleiss_interval, krippendorff_interval


def elements(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
    """14 annotators name elements of 12 pictures; a share of them names the main one, others one of three more."""
    many = _named(share, icc, LARGE, 14, generator)
    per_picture = np.stack([(many == category).sum(axis=1) for category in range(4)], axis=1)
    squares = float((per_picture**2).sum(axis=1).mean())
    # Each picture has elements of its own, so that two ratings agree by chance only if both are about the same of 12.
    observed, chance = (squares - 14) / (14 * 13), squares / 14**2 / 12
    truth = (observed - chance) / (1 - chance)
    ceiling = human_ceiling(_by_unit(many), LEVEL).ceiling or 0.0
    while True:
        by_unit = _by_unit(_named(share, icc, 12, 14, generator))
        units = [list(by_annotator.values()) for by_annotator in by_unit.values()]
        yield [
            Shown("Fleiss' κ, elements", fleiss_interval(units, LEVEL), truth),
            Shown("Krippendorff's α, elements", krippendorff_interval(units, LEVEL), truth),
            Shown("human ceiling", human_ceiling(by_unit, LEVEL).ceiling_interval, ceiling),
        ]


def _named(share: float, icc: float, units: int, people: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Elements 0 (the main one) to 3, shape (units, people)."""
    main = generator.random((units, people)) < clusters(share, icc, units, generator)[:, None]
    return np.where(main, 0, generator.integers(1, 4, (units, people)))


def _by_unit(named: NDArray[np.int64]) -> dict[str, dict[str, str]]:
    return {
        f"picture {unit}": {
            f"annotator {name}": f"element {unit}.{category}" for name, category in enumerate(categories)
        }
        for unit, categories in enumerate(named.tolist())
    }


def types(units: int, people: int) -> Simulation:
    """Annotators give units one of two categories; the first is right for a share of units, and 80% of ratings are."""

    def draw(share: float, icc: float, number: int, generator: np.random.Generator) -> list[list[int]]:
        right = generator.random((number, people)) < clusters(0.8, icc, number, generator)[:, None]
        return ((generator.random((number, 1)) < share) == right).astype(int).tolist()

    def simulate(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
        truth = fleiss_kappa(draw(share, icc, LARGE, generator)) or 0.0
        while True:
            given = draw(share, icc, units, generator)
            first, second, *_ = zip(*given, strict=True)
            yield [
                Shown("Fleiss' κ, two categories", fleiss_interval(given, LEVEL), truth),
                Shown("Krippendorff's α, two categories", krippendorff_interval(given, LEVEL), truth),
                Shown("Cohen's κ of two annotators", cohen_interval(first, second, LEVEL), truth),
            ]

    return simulate


def judged(pictures: int, size: int) -> Simulation:
    """A judge that misses a fifth and wrongly finds a tenth, beside labels, and a second judge."""

    def draw(
        share: float, icc: float, number: int, generator: np.random.Generator
    ) -> tuple[list[int], list[int], list[int]]:
        labels = generator.random((number, size)) < clusters(share, icc, number, generator)[:, None]
        verdicts = [
            np.where(
                labels,
                generator.random((number, size)) < clusters(1 - missed, icc, number, generator)[:, None],
                generator.random((number, size)) < clusters(found, icc, number, generator)[:, None],
            )
            for missed, found in ((0.2, 0.1), (0.3, 0.1))
        ]
        return labels.ravel().astype(int).tolist(), *(verdict.ravel().astype(int).tolist() for verdict in verdicts)

    def simulate(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
        hits, false, people = 0.8 * share, 0.1 * (1 - share), share
        truth = kappa([hits, false, people - hits, 1 - people - false]) or 0.0  # type: ignore[list-item] # shares
        second = kappa([0.7 * share, false, 0.3 * share, 1 - people - false]) or 0.0  # type: ignore[list-item] # shares
        names = [f"picture {place // size}" for place in range(pictures * size)]
        for run in range(1 << 30):
            labels, one, other = draw(share, icc, pictures, generator)
            found = measure(one, labels, names)
            shown = [
                Shown("judge's κ (axia judges)", found.kappa_interval, truth),
                Shown("judge's κ (ScoreAlignment)", cohen_interval(one, labels, LEVEL, names, "picture"), truth),
                Shown("precision", found.precision_interval, hits / (hits + false)),
                Shown("recall", found.recall_interval, 0.8),
                Shown("F1", found.f1_interval, 2 * hits / (2 * hits + false + people - hits)),
            ]
            if run % 10 == 0:  # 2,000 resamples in pure Python
                difference = kappa_difference(one, other, labels, names, seed=run)
                shown.append(Shown("difference of two judges' κ", difference and difference[1], truth - second))
            yield shown

    return simulate


def corrected(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
    """A mean by 100 labelled pictures and by a judge on 1,000 more."""
    from axia.judges.ppi import corrected_mean

    def draw(number: int) -> tuple[list[int], list[int]]:
        labels = generator.random(number) < share
        verdicts = generator.random(number) < np.where(labels, 0.8, 0.1)
        return labels.astype(int).tolist(), verdicts.astype(int).tolist()

    while True:
        labels, verdicts = draw(100)
        _, others = draw(1_000)
        found = corrected_mean(labels, verdicts, None, others, None)
        yield [
            Shown("mean from labels alone", found.labels.interval, share),
            Shown("mean by the judge alone, of its verdicts", found.judge and found.judge.interval, 0.1 + 0.7 * share),
            Shown("mean corrected by labels", found.corrected.interval, share),
        ]
