"""A threshold on agreement that bounds the errors among answered pictures, by Learn then Test.

Learn then Test (Angelopoulos and others, 2021) tests for each threshold, from the strictest on, whether the error rate
among answered pictures may be above the bound, by an exact binomial test, and stops at the first that can't be
rejected. The tests come in a fixed order, so each may use the whole δ: with probability 1 - δ over the labelled
pictures, the chosen threshold's error rate on new pictures of the same kind is at most the bound. A marginal conformal
bound would hold on average over calibrations, and so in about half of them only.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Answered(NamedTuple):
    """One labelled picture."""

    picture: str
    agreement: float
    """Share of the completions in the largest group, 0 to 1."""
    abstain_reason: str | None
    """Why there is no consensus whatever the threshold, such as ``tie``; None where there is one."""
    correct: bool
    """Whether the consensus names what annotators named."""


class Point(NamedTuple):
    """What a threshold does."""

    threshold: float
    """The least agreement that is answered, 0 to 1."""
    answered: int
    errors: int
    coverage: float
    """Share of the pictures that are answered, 0 to 1."""
    risk: float | None
    """Share of errors among them; None where none is answered."""
    p_value: float | None = None
    """Of the hypothesis that the error rate is above the bound."""


class Calibration(NamedTuple):
    """A threshold with what it promises."""

    threshold: float | None
    """The least agreement to answer with; None where no threshold keeps the bound."""
    bound: float
    delta: float
    coverage: float
    """Share of the labelled pictures that it answers; 0 without a threshold."""
    points: tuple[Point, ...]
    pictures: int


def curve(items: Sequence[Answered]) -> list[Point]:
    """Risk and coverage of each threshold that makes a difference, the strictest first."""
    can = [answer for answer in items if answer.abstain_reason is None]
    points = []
    for threshold in sorted({answer.agreement for answer in can}, reverse=True):
        answered = [answer for answer in can if answer.agreement >= threshold]
        errors = sum(not answer.correct for answer in answered)
        points.append(Point(threshold, len(answered), errors, len(answered) / len(items), errors / len(answered)))
    return points


def calibrate(items: Sequence[Answered], bound: float, delta: float = 0.05) -> Calibration:
    """The loosest threshold whose error rate is at most `bound`, with confidence 1 - `delta`.

    Args:
        items: Labelled pictures, each once.
        bound: Error rate among answered pictures, above 0 and below 1.
        delta: How often the promise may fail over calibrations, above 0 and below 1.

    Raises:
        ValueError: If there are no pictures, one is given twice, or a number is out of its range.
    """
    if not 0 < bound < 1 or not 0 < delta < 1:
        raise ValueError(f"bound is {bound} and delta {delta}: give numbers above 0 and below 1")
    if not items:
        raise ValueError("there are no labelled images: run axia eval abstention on some")
    if len({answer.picture for answer in items}) < len(items):
        raise ValueError("an image is given several times: calibrate on one answer per image (epochs 1)")
    points, chosen = [], None
    for point in curve(items):
        tested = point._replace(p_value=binomial_tail(point.errors, point.answered, bound))
        points.append(tested)
        if tested.p_value is None or tested.p_value > delta:
            break  # the order is fixed before the data are seen, so nothing behind may be tried
        chosen = tested
    return Calibration(
        chosen.threshold if chosen else None,
        bound,
        delta,
        chosen.coverage if chosen else 0.0,
        tuple(points),
        len(items),
    )


def binomial_tail(errors: int, trials: int, rate: float) -> float:
    """Probability of at most `errors` in `trials` at this rate: small where the rate is surely lower."""
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    logs = [
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * log_rate
        + (trials - k) * log_rest
        for k in range(errors + 1)
    ]
    top = max(logs)
    return min(1.0, math.exp(top) * math.fsum(math.exp(term - top) for term in logs))
