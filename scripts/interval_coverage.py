"""Simulates how often the intervals that axia prints hold the true figure: python -m scripts.interval_coverage

Every interval is computed by the function that serves it, at the sizes of the two studies (12 pictures with 3
completions and 14 annotators, arXiv 2501.03957; 10 keywords with 5 pictures a value, arXiv 2411.11479), for true shares
of 0.1 to 0.9. Answers in a cluster resemble each other by an intraclass correlation (ICC): the clusters' own shares
follow a beta distribution. Prints, for each interval, the mean coverage over the shares and the lowest;
docs/intervals.md has the table. With 2,000 runs it takes about half an hour of processor time.
"""

import argparse
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from axia.judges.figures import kappa, kappa_difference, measure
from services.scoring.protocols.misalignment import TypedAnswer, classify_misalignments
from services.scoring.protocols.persona import PersonaOutcome, score_persona
from services.scoring.protocols.preference import PreferenceAnswer, score_preference
from services.scoring.protocols.preference_pairs import compare_preferences
from services.scoring.reading.labels import Verdict
from services.scoring.reading.response_types import ResponseType
from services.scoring.statistics.agreement import fleiss_kappa
from services.scoring.statistics.ceiling import human_ceiling
from services.scoring.statistics.coefficient_intervals import cohen_interval, fleiss_interval, krippendorff_interval
from services.scoring.statistics.intervals import clustered_newcombe, clustered_wilson, newcombe_paired, wilson

SHARES = tuple(tenth / 10 for tenth in range(1, 10))
LEVEL = 0.95
LARGE = 20_000
"""Units from which the true figure is computed where it has no closed form."""


class Ends(Protocol):
    """Any interval, of the services or of the client."""

    @property
    def low(self) -> float:
        """Lower end."""

    @property
    def high(self) -> float:
        """Upper end."""


class Shown(NamedTuple):
    """One interval of one run."""

    name: str
    interval: Ends | None
    truth: float


Simulation = Callable[[float, float, np.random.Generator], Iterator[list[Shown]]]
"""Given a share, an ICC and a generator: the intervals of one run after another, without end."""


class Case(NamedTuple):
    """What to simulate."""

    sizes: str
    """In words."""
    iccs: tuple[float, ...]
    simulate: Simulation


class Row(NamedTuple):
    """How often one interval holds the truth."""

    name: str
    sizes: str
    icc: float
    by_share: tuple[float, ...]
    missing: float
    """Share of runs that have no such interval."""


def clusters(share: float, icc: float, number: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """True shares of clusters, shape (number,)."""
    if not icc:
        return np.full(number, share)
    scale = (1 - icc) / icc
    return generator.beta(share * scale, (1 - share) * scale, number)


def counts(share: float, icc: float, sizes: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Successes in clusters of these sizes."""
    return generator.binomial(sizes, clusters(share, icc, len(sizes), generator))


def wilson_of(name: str, number: int, size: int, unit: str) -> Simulation:
    """A proportion of answers in clusters."""

    def simulate(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
        sizes = np.full(number, size)
        while True:
            yield [Shown(name, clustered_wilson(counts(share, icc, sizes, generator), sizes, LEVEL, unit), share)]

    return simulate


def plain(name: str, trials: int) -> Simulation:
    """A proportion of independent answers."""

    def simulate(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
        while True:
            yield [Shown(name, wilson(int(generator.binomial(trials, share)), trials, LEVEL), share)]

    return simulate


def unclustered(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
    """Wilson's plain interval of answers in clusters, for comparison; nothing prints it where there are clusters."""
    sizes = np.full(10, 5)
    while True:
        interval = wilson(int(counts(share, icc, sizes, generator).sum()), 50, LEVEL)
        yield [Shown("(plain Wilson, for comparison)", interval, share)]


def preference(refusing: float) -> Simulation:
    """A value's percentage of yes, of yes and no and of all, with a fifth or none of the answers refusing."""
    answers = [PreferenceAnswer("power", "", f"keyword {place // 5}", str(place)) for place in range(50)]

    def simulate(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
        while True:
            yes = generator.random(50) < np.repeat(clusters(share, icc, 10, generator), 5)
            silent = generator.random(50) < (np.repeat(clusters(refusing, icc, 10, generator), 5) if refusing else 0.0)
            verdicts = [
                Verdict.REFUSAL if mute else Verdict.YES if is_yes else Verdict.NO
                for is_yes, mute in zip(yes, silent, strict=True)
            ]
            score = score_preference(answers, verdicts, LEVEL).scores[0]
            yield [
                Shown("preference, of yes and no", score.interval, 100 * share),
                Shown("preference, of all answers", score.interval_of_all, 100 * share * (1 - refusing)),
                Shown("preference, from resampled keywords", score.keyword_interval, 100 * share),
            ]

    return simulate


def pair_of_shares(
    share: float, icc: float, number: int, size: int, generator: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float]:
    """Answers of two models to the same questions, shape (number, size) each, and the difference of their shares.

    The second has 0.1 more, or less where that is nearer to a half. Normal copulas correlate clusters and answers by ½.
    """
    other = share + 0.1 if share < 0.5 else share - 0.1  # noqa: PLR2004 - a half
    half, rest = 0.5, math.sqrt(1 - 0.5**2)
    of_cluster = generator.standard_normal((number, 1))
    both = [of_cluster, half * of_cluster + rest * generator.standard_normal((number, 1))]
    first = generator.standard_normal((number, size))
    noises = [first, half * first + rest * generator.standard_normal((number, size))]
    said = []
    for mean, cluster, noise in zip((share, other), both, noises, strict=True):
        scale = (1 - icc) / icc if icc else 0.0
        shares = stats.beta.ppf(stats.norm.cdf(cluster), mean * scale, (1 - mean) * scale) if icc else mean
        said.append(stats.norm.cdf(noise) < shares)
    return said[0], said[1], share - other


def table_of(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Both, first only, second only, neither, for each cluster."""
    cells = ((first, second), (first, ~second), (~first, second), (~first, ~second))
    return np.stack([(one & other).sum(axis=1) for one, other in cells], axis=1)


def comparison(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
    """The difference of two models in one value."""
    answers = [PreferenceAnswer("power", "", f"keyword {place // 5}", str(place)) for place in range(50)]
    while True:
        first, second, difference = pair_of_shares(share, icc, 10, 5, generator)
        said = [[Verdict.YES if is_yes else Verdict.NO for is_yes in one.ravel()] for one in (first, second)]
        found = compare_preferences(answers, answers, (said[0], said[1]), LEVEL).differences[0]
        yield [Shown("difference in a value", found.interval, 100 * difference)]


def overall(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
    """The same over ten values together."""
    while True:
        first, second, difference = pair_of_shares(share, icc, 100, 5, generator)
        found = clustered_newcombe(table_of(first, second), LEVEL, "keyword")
        yield [Shown("difference over all values", found, difference)]


def models(pictures: int) -> Simulation:
    """The difference of two models' shares of aligned pictures."""

    def simulate(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
        while True:
            first, second, difference = pair_of_shares(share, 0.0, 1, pictures, generator)
            both, one, other, neither = map(int, table_of(first, second)[0])
            yield [Shown("difference of two models", newcombe_paired(both, one, other, neither, LEVEL), difference)]

    return simulate


def misses(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
    """The share of descriptive answers among the misses of five models on 12 pictures."""
    while True:
        sizes = generator.integers(3, 16, 12)
        descriptive = counts(share, icc, sizes, generator)
        kinds = (ResponseType.DESCRIPTIVE, ResponseType.NONE)
        items = [
            TypedAnswer(kinds[int(place >= first_other)], ResponseType.VALUE_AWARE, 0)
            for first_other, size in zip(descriptive, sizes, strict=True)
            for place in range(size)
        ]
        pictures = [str(picture) for picture, size in enumerate(sizes) for _ in range(size)]
        yield [
            Shown("share of a misalignment", classify_misalignments(items, LEVEL, pictures).shares[0].interval, share)
        ]


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


def personas(number: int) -> Simulation:
    """Feeds of 50 videos before and after; shares scatter over personas, and move by 10 points on average."""

    def draw(
        share: float, people: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        before = generator.beta(share * 12, (1 - share) * 12, people)
        after = np.clip(before + generator.normal(0.1, 0.1, people), 0, 1)
        return generator.binomial(50, before) / 50, generator.binomial(50, after) / 50

    def simulate(share: float, icc: float, generator: np.random.Generator) -> Iterator[list[Shown]]:
        before, after = draw(share, 20 * LARGE, generator)
        percent = float((100 * (after - before)[before > 0] / before[before > 0]).mean())
        points = float(100 * (after - before).mean())
        while True:
            found = score_persona(
                [
                    PersonaOutcome(str(place), "TikTok", earlier, later)
                    for place, (earlier, later) in enumerate(zip(*draw(share, number, generator), strict=True))
                ],
                LEVEL,
                resamples=2_000,
            ).platforms[0]
            yield [Shown("I_avg", found.interval, percent), Shown("change in points", found.points_interval, points)]

    return simulate


CASES = (
    Case("10 keywords × 5 pictures", (0.0, 0.1, 0.3), preference(0.0)),
    Case("10 keywords × 5 pictures, a fifth refused", (0.0, 0.1, 0.3), preference(0.2)),
    Case("10 keywords × 5 pictures", (0.0, 0.1, 0.3), comparison),
    Case("100 keywords × 5 pictures", (0.0, 0.1, 0.3), overall),
    Case("12 pictures × 3 completions", (0.0, 0.1, 0.3, 0.6), wilson_of("mean alignment", 12, 3, "picture")),
    Case("36 answers without pictures", (0.0,), plain("mean alignment", 36)),
    Case("3 completions of one picture", (0.0,), plain("mean alignment", 3)),
    Case("12 pictures", (0.0,), models(12)),
    Case("50 pictures", (0.0,), models(50)),
    Case("12 pictures × 3 to 15 misses", (0.0, 0.1, 0.3), misses),
    Case("12 pictures × 14 annotators", (0.1, 0.3), elements),
    Case("12 pictures × 14 annotators", (0.1, 0.3), types(12, 14)),
    Case("12 pictures × 3 annotators", (0.1, 0.3), types(12, 3)),
    Case("50 pictures × 3 annotators", (0.1, 0.3), types(50, 3)),
    Case("50 pictures × 3 answers", (0.0, 0.1, 0.3), judged(50, 3)),
    Case("100 labels, 1,000 verdicts", (0.0,), corrected),
    Case("5 personas × 50 videos", (0.0,), personas(5)),
    Case("10 personas × 50 videos", (0.0,), personas(10)),
    Case("50 personas × 50 videos", (0.0,), personas(50)),
    Case("10 keywords × 5 pictures", (0.0, 0.1, 0.3), unclustered),
)


def cover(case: int, icc: float, runs: int, seed: int) -> list[Row]:
    """Simulates one case with one ICC."""
    simulated = CASES[case]
    held: dict[str, list[tuple[int, int, int]]] = {}
    for share in SHARES:
        drawn = np.random.default_rng([seed, case, zlib.crc32(f"{icc} {share}".encode())])
        found: dict[str, list[int]] = {}
        for _, shown in zip(range(runs), simulated.simulate(share, icc, drawn), strict=False):
            for name, interval, truth in shown:
                tally = found.setdefault(name, [0, 0, 0])
                tally[0] += 1
                tally[1] += interval is not None
                tally[2] += interval is not None and interval.low - 1e-9 <= truth <= interval.high + 1e-9
        for name, (asked, given, covered) in found.items():
            held.setdefault(name, []).append((asked, given, covered))
    return [
        Row(
            name,
            simulated.sizes,
            icc,
            tuple(covered / max(1, given) for _, given, covered in tallies),
            1 - sum(given for _, given, _ in tallies) / sum(asked for asked, _, _ in tallies),
        )
        for name, tallies in held.items()
    ]


def as_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| interval | sizes | ICC | mean coverage | lowest | at share | no interval |", "| --- " * 7 + "|"]
    for row in sorted(rows, key=lambda row: (row.name, row.sizes, row.icc)):
        lowest = min(row.by_share)
        where = SHARES[row.by_share.index(lowest)]
        mean = sum(row.by_share) / len(row.by_share)
        lines.append(
            f"| {row.name} | {row.sizes} | {row.icc:g} | {mean:.1%} | {lowest:.1%} | {where:g} | {row.missing:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Simulates all cases, or those whose intervals or sizes are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000, help="runs for each share (default 2,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--case", type=int, nargs="*", help=f"numbers of cases, 0 to {len(CASES) - 1} (default all)")
    options = parser.parse_args()
    jobs = [(case, icc) for case in options.case or range(len(CASES)) for icc in CASES[case].iccs]
    with ProcessPoolExecutor(options.jobs) as pool:
        pending = [pool.submit(cover, case, icc, options.runs, options.seed) for case, icc in jobs]
        print(as_table([row for future in pending for row in future.result()]))


if __name__ == "__main__":
    main()
