"""Statistics over models and over annotators."""

from typing import Literal

from axia.results.base import Result
from axia.results.scoring import Interval


class ModelAlignment(Result):
    """One model's alignment."""

    model: str
    """Name of the model."""
    mean: float
    """Mean of its scores over all completions, 0 to 1."""
    interval: Interval | None
    """Interval of the mean, clustered by image."""
    majority_share: float
    """Share of images whose completions are aligned by strict majority, 0 to 1."""
    ties: int
    """Images with as many aligned completions as others."""
    completions: int
    """Completions."""


class CochranTest(Result):
    """Cochran's Q test."""

    q: float | None
    """Q; None if every row is constant."""
    degrees_of_freedom: int
    """Models less 1."""
    p_value: float
    """By the chi-squared distribution."""
    permutation_p_value: float | None
    """By permutation within rows; None for large samples."""
    permutation_method: Literal["exact", "random"] | None
    """How that was computed."""
    rows: int
    """Rows of the table."""
    informative_rows: int
    """Rows that are not constant."""
    permutations: int
    """Random permutations drawn."""


class ModelPair(Result):
    """Two models compared on one binary value an image."""

    first: str
    """Name of the first."""
    second: str
    """Name of the second."""
    first_only: int
    """Images on which the first alone is aligned."""
    second_only: int
    """Images on which the second alone is aligned."""
    difference: float
    """Difference of the shares of aligned images, -1 to 1."""
    interval: Interval | None
    """Newcombe's interval of the paired difference."""
    p_value: float
    """McNemar's exact test, two-sided."""
    adjusted_p_value: float
    """The same after Holm's correction over all pairs."""
    power: float | None
    """Power at these images to find `target_difference`, with Holm's correction; None without one, or if no image
    is discordant."""
    needed_pictures: int | None
    """Images from which on McNemar's exact test has the target power, with Holm's correction."""


class ModelComparison(Result):
    """How models compare on the same images."""

    models: tuple[ModelAlignment, ...]
    """One for each model, in their order."""
    majority: CochranTest | None
    """On one binary value an image; None for a single model."""
    completion_replica: CochranTest | None
    """On a row per completion, a replica of arXiv 2501.03957 only."""
    pairs: tuple[ModelPair, ...]
    """Every pair of models."""
    pictures: int
    """Images."""


class AnnotatorPair(Result):
    """Two annotators."""

    first: str
    """The first."""
    second: str
    """The second."""
    cohen_kappa: float | None
    """Cohen's kappa, -1 to 1."""
    observed: float
    """Share of equal ratings, 0 to 1."""
    units: int
    """Units that both rated."""
    cohen_kappa_interval: Interval | None = None
    """Interval of Cohen's kappa; None with it, for a single unit, and from a gateway of an earlier release."""


class AnnotatorScore(Result):
    """One annotator, left out and then scored as a model would be."""

    annotator: str
    """The annotator."""
    score: float | None
    """Mean agreement with the majority of the others, 0 to 1."""
    units: int
    """Units that somebody else rated too."""


class Agreement(Result):
    """How far annotators agree."""

    fleiss_kappa: float | None
    """Fleiss' kappa; None where units differ in their number of ratings."""
    krippendorff_alpha: float | None
    """Krippendorff's alpha for nominal data."""
    pairs: tuple[AnnotatorPair, ...]
    """Each pair of annotators who rated a unit in common."""
    annotators: tuple[AnnotatorScore, ...]
    """Each annotator against the others."""
    ceiling: float | None
    """The human ceiling, 0 to 1."""
    ceiling_interval: Interval | None
    """Its interval, clustered by unit."""
    units: int
    """Units."""
    pairable_units: int
    """Units with two ratings or more."""
    fleiss_kappa_interval: Interval | None = None
    """Interval of Fleiss' kappa; None with it, for a single unit, and from a gateway of an earlier release."""
    krippendorff_alpha_interval: Interval | None = None
    """Interval of Krippendorff's alpha; None likewise."""
    sentence_model: str = ""
    """The reader model that judged for the ceiling; empty where none did."""
    unjudged: int = 0
    """Ratings that are in no annotator's score, because the judge can't read them."""
