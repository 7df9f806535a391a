"""How a detection's time is shared out: sampling, reading what was sampled, and the way of the answer to the caller.

What is kept back from sampling is measured where it can be, and never more than a share of the caller's time: a call
with a tenth of a second is worth an attempt too.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from services.serving.errors import DeadlineExceeded
from services.serving.limits import TOLD_TOO_LATE

_MARGIN_SHARE, _READING_SHARE = 0.1, 0.15
_TRANSIT_SHARE, _LEAST_TRANSIT_S = 0.1, 0.005
_USUAL_TRANSIT_S = 0.025
_REMEMBERED = 40
"""Readings that are remembered."""
_USUAL = 0.9
"""Share of the remembered readings that end within the usual time. The first readings of a process are many times
slower; a mean would remember them for dozens of calls."""


class Measured:
    """How long something takes, from the newest readings.

    Args:
        most_s: What is assumed before anything was measured, and at most.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def usual_s(self) -> float:
        """Seconds within which it is nearly always done."""
        if not self._seconds:
            return self._most_s
        ordered = sorted(self._seconds)
        return min(self._most_s, ordered[int(_USUAL * (len(ordered) - 1))])

    def add(self, seconds: float) -> None:
        """Notes how long it took once."""
        self._seconds.append(seconds)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measures what happens inside, unless it fails."""
        began = time.perf_counter()
        yield
        self.add(time.perf_counter() - began)


class Shares(NamedTuple):
    """How the time of one detection is shared out, in seconds."""

    given_s: float
    """The caller's, or the default."""
    margin_s: float
    """For the answer's way back, with what gRPC may tell a deadline too late."""
    reading_s: float
    """For the scoring service."""

    def sampling_s(self, passed_s: float) -> float:
        """What is left for the model.

        Args:
            passed_s: Since the call came in.

        Raises:
            DeadlineExceeded: Nothing.
        """
        left_s = self.given_s - self.margin_s - self.reading_s - passed_s
        if left_s <= 0:
            raise DeadlineExceeded(
                f"the deadline was {self.given_s:.3g} s away when the call came in, of which {self.margin_s:.2g} s are "
                f"kept for the answer's way back and {self.reading_s:.2g} s for scoring; allow the call more time",
                reason="DEADLINE_TOO_SHORT",
            )
        return left_s


def shares(time_remaining_s: float | None, default_s: float, most_margin_s: float, reading_usual_s: float) -> Shares:
    """Shares out the time of a detection.

    Args:
        time_remaining_s: Until the caller's deadline, as gRPC tells it; None if there is none.
        default_s: Time for a call without a deadline.
        most_margin_s: For the answer's way back at most.
        reading_usual_s: What the scoring service usually takes; 0 without it.
    """
    if time_remaining_s is None:
        return Shares(default_s, 0.0, min(reading_usual_s, _READING_SHARE * default_s))
    given_s = max(time_remaining_s, 0.0)
    margin_s = min(most_margin_s, _MARGIN_SHARE * given_s) + TOLD_TOO_LATE * given_s
    return Shares(given_s, margin_s, min(reading_usual_s, _READING_SHARE * given_s))


def transit_s(timeout_s: float, margin_s: float) -> float:
    """Time that a model's answer has to arrive which was sent when time ran out: half of the margin before a caller's
    deadline, for the other half is left to say that nothing came."""
    return max(min(max(margin_s / 2, _USUAL_TRANSIT_S), _TRANSIT_SHARE * timeout_s), _LEAST_TRANSIT_S)
