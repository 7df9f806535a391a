"""A mean over many answers that a judge scored, corrected by few that people labelled: prediction-powered inference.

The corrected mean is λ·(judge's mean over the unlabelled) + mean of (label - λ·verdict) over the labelled, with the λ
that makes its interval narrowest (A. N. Angelopoulos, J. C. Duchi, T. Zrnic, PPI++, arXiv 2311.01453). However the
judge errs, its interval covers people's mean, as long as the labelled answers are a random sample of all of them.
"""

import warnings
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from axia.judges.figures import LEVEL, t_quantile
from axia.results.base import Result
from axia.results.scoring import Interval

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

NO_VERDICT = 0.5
"""What stands for an answer without a verdict: any fixed number keeps the corrected mean valid."""
INSTALL = "a corrected mean needs ppi-python: install axia with its extra audit (pip install '.[audit]' in a checkout)"
"""What to do where the library is missing."""


class Mean(Result):
    """A mean of alignment."""

    value: float
    """0 to 1."""
    interval: Interval
    """By the central limit theorem, with Student's t for as many units as are labelled."""


class Means(NamedTuple):
    """One mean, estimated in three ways. Where images are named, each image counts once."""

    labels: Mean
    """From the labels alone."""
    judge: Mean | None
    """The judge's, over the unlabelled answers with a verdict; its interval knows nothing of the judge's errors. None
    if it gave no verdict."""
    corrected: Mean
    """The judge's, corrected by the labels."""
    labelled_units: int
    """Labelled images, or answers where no image is named."""
    unlabelled_units: int
    """Unlabelled ones."""


def corrected_mean(
    labels: Sequence[int],
    verdicts: Sequence[int | None],
    pictures: Sequence[str] | None,
    unlabelled: Sequence[int | None],
    unlabelled_pictures: Sequence[str] | None,
) -> Means:
    """Estimates the mean label over the population that both sets of answers come from.

    Args:
        labels: 1 or 0 for each labelled answer, of at least 2 images.
        verdicts: The judge's, for each of them.
        pictures: The image of each, or None if none is named.
        unlabelled: The judge's verdicts on the others, of at least 2 images.
        unlabelled_pictures: The image of each of these, or None if `pictures` is.

    Raises:
        ModuleNotFoundError: If ppi-python is not installed; `INSTALL` says what to do.
        ValueError: If one set names images and the other doesn't, or there are too few.
    """
    if (pictures is None) != (unlabelled_pictures is None):
        raise ValueError('either all labelled and unlabelled rows need the field "picture", or none')
    library = _library()
    y = _unit_means(labels, pictures)
    guesses = _unit_means([NO_VERDICT if verdict is None else verdict for verdict in verdicts], pictures)
    others = _unit_means([NO_VERDICT if verdict is None else verdict for verdict in unlabelled], unlabelled_pictures)
    if min(len(y), len(others)) < 2:  # noqa: PLR2004 - one shows no variation
        raise ValueError("there must be at least 2 labelled and 2 unlabelled images (answers if no images are named)")
    scored = [place for place, verdict in enumerate(unlabelled) if verdict is not None]
    raw = _unit_means(
        [unlabelled[place] or 0 for place in scored],
        None if unlabelled_pictures is None else [unlabelled_pictures[place] for place in scored],
    )
    # λ is found by dividing by the variance of the verdicts; a judge that always says the same counts for nothing.
    constant = len({*guesses.tolist(), *others.tolist()}) == 1
    tuning = 0.0 if constant else None
    value = library.ppi_mean_pointestimate(y, guesses, others, lam=tuning)
    low, high = library.ppi_mean_ci(y, guesses, others, alpha=_alpha(len(y)), lam=tuning)
    return Means(
        _classical(library, y),
        _classical(library, raw) if len(raw) else None,
        Mean(value=_within(value.item()), interval=_interval(low.item(), high.item(), "ppi++ with student t")),
        len(y),
        len(others),
    )


def _library() -> Any:
    with warnings.catch_warnings():  # on import it silences every warning of the process
        import ppi_py
    return ppi_py


def _unit_means(values: Sequence[float], pictures: Sequence[str] | None) -> "NDArray[float64]":
    """The mean of each image, or the values themselves."""
    import numpy as np

    numbers = np.asarray(values, dtype=np.float64)
    if pictures is None or not len(numbers):
        return numbers
    codes = {picture: code for code, picture in enumerate(dict.fromkeys(pictures))}
    places = np.array([codes[picture] for picture in pictures])
    return np.bincount(places, numbers) / np.bincount(places)


def _classical(library: Any, values: "NDArray[float64]") -> Mean:
    low, high = library.classical_mean_ci(values, alpha=_alpha(len(values)))
    return Mean(value=float(values.mean()), interval=_interval(float(low), float(high), "student t"))


def _alpha(units: int) -> float:
    """The level for a normal interval that makes it as wide as Student's for so many units."""
    return 2 * NormalDist().cdf(-t_quantile(units - 1)) if units > 1 else 1 - LEVEL


def _interval(low: float, high: float, method: str) -> Interval:
    return Interval(low=_within(low), high=_within(high), level=LEVEL, method=method)


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))
