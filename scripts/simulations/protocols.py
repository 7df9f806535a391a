"""Intervals of the studies' measures: preference, alignment, misalignment, differences of models, role-play."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scripts.simulations.draws import LARGE, LEVEL, Shown, Simulation, clusters, counts, pair_of_shares, table_of
from services.scoring.protocols.misalignment import TypedAnswer, classify_misalignments
from services.scoring.protocols.persona import PersonaOutcome, score_persona
from services.scoring.protocols.preference import PreferenceAnswer, score_preference
from services.scoring.protocols.preference_pairs import compare_preferences
from services.scoring.reading.labels import Verdict
from services.scoring.reading.response_types import ResponseType
from services.scoring.statistics.intervals import clustered_newcombe, clustered_wilson, newcombe_paired, wilson


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
