"""When calls arrive: the rate over time, and how arrivals are spaced."""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

ShapeName = Literal["steady", "poisson", "ramp", "spike", "soak"]
Rate = Annotated[float, Field(gt=0, le=100_000)]


class Point(NamedTuple):
    """The rate at a time; between two points it changes linearly."""

    at_s: float
    rate: float


class Shape(BaseModel):
    """One phase of a run.

    | shape | rate | spacing |
    | --- | --- | --- |
    | steady | constant | even |
    | poisson | constant | random, as independent callers arrive |
    | ramp | from `rate` to `peak` | random |
    | spike | `rate`, but `peak` in the middle fifth | random |
    | soak | constant, for long: half an hour where nothing is said | random |
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shape: ShapeName = "poisson"
    rate: Rate = 5.0
    """Calls a second."""
    peak: Rate | None = None
    """Calls a second at the end of a ramp or in a spike. Default: four times `rate`."""
    seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] | None = None
    """Length. Default: 60, or 1,800 for a soak."""
    seed: int = 0
    """Draws the spacing, and which call is of which scenario."""

    @model_validator(mode="after")
    def _peak_is_used(self) -> "Shape":
        if self.peak is not None and self.shape not in {"ramp", "spike"}:
            raise ValueError(f"a {self.shape} has no peak: leave it out, or choose ramp or spike")
        return self

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return self.seconds if self.seconds is not None else {"soak": 1800.0}.get(self.shape, 60.0)

    @property
    def profile(self) -> tuple[Point, ...]:
        """The rate over time, beginning at 0 s and ending at `length_s`."""
        length, peak = self.length_s, self.peak if self.peak is not None else 4 * self.rate
        if self.shape == "ramp":
            return Point(0, self.rate), Point(length, peak)
        if self.shape == "spike":
            begin, end = 0.4 * length, 0.6 * length
            return (
                *(Point(0, self.rate), Point(begin, self.rate), Point(begin, peak)),
                *(Point(end, peak), Point(end, self.rate), Point(length, self.rate)),
            )
        return Point(0, self.rate), Point(length, self.rate)

    def arrivals(self) -> list[float]:
        """Seconds from the phase's begin at which calls are to be sent, ascending; the same for the same shape."""
        draw = random.Random(self.seed)
        if self.shape == "steady":
            return _arrivals(self.profile, count(0.0))
        return _arrivals(self.profile, accumulate(draw.expovariate(1.0) for _ in count()))


def _arrivals(profile: Sequence[Point], due: Iterator[float]) -> list[float]:
    """Times at which the expected number of calls so far reaches each number of `due`.

    With 0, 1, 2 … the calls are evenly spaced; with sums of exponential draws they are a Poisson process of this rate,
    by the time-change theorem (Daley and Vere-Jones, An Introduction to the Theory of Point Processes, 7.4).
    """
    times: list[float] = []
    before = 0.0
    number = next(due)
    for begin, end in pairwise(profile):
        width = end.at_s - begin.at_s
        if not width:
            continue
        expected = width * (begin.rate + end.rate) / 2
        while number < before + expected:
            times.append(begin.at_s + _time_of(number - before, begin.rate, (end.rate - begin.rate) / width))
            number = next(due)
        before += expected
    return times


def _time_of(expected: float, rate: float, slope: float) -> float:
    """Seconds until rate · t + slope · t² / 2 reaches `expected`."""
    # This form of the quadratic's root holds for a slope of 0 as well, and loses no digits near it.
    return 2 * expected / (rate + math.sqrt(max(0.0, rate * rate + 2 * slope * expected)))
