"""How long calls to a model wait and take, as measured, with some caution: means that follow, and mean deviations."""

from services.serving.deadlines import Clock

_WEIGHT = 0.05
"""Weight of the newest call."""
_DEVIATIONS = 2.0
"""Mean deviations by which a call may take longer than the mean; TCP's timeout adds four (RFC 6298)."""
_MOST_WRONG = 4.0
"""By what factor an expected wait is corrected at most, and again for caution."""
_FORGOTTEN_S = 5.0
"""Seconds without a call that has waited, after which what was learned of waiting is no longer used."""


class ServiceTime:
    """How long calls take at the replicas, in seconds: a mean that follows, and its mean deviation."""

    def __init__(self) -> None:
        self.mean_s = 0.0
        self._deviation_s = 0.0

    def note(self, seconds: float) -> None:
        """Notes a call that has ended."""
        if not self.mean_s:
            self.mean_s = seconds
            return
        error = seconds - self.mean_s
        self.mean_s += _WEIGHT * error
        self._deviation_s += _WEIGHT * (abs(error) - self._deviation_s)

    @property
    def cautious_s(self) -> float:
        """What most calls stay under."""
        return self.mean_s + _DEVIATIONS * self._deviation_s


class WaitTime:
    """How long calls wait, in seconds, beside what is expected of what is before them.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        self._noted = self._clock()
        self._expected_s = self._waited_s = self._deviation_s = 0.0

    def note(self, expected_s: float, waited_s: float) -> None:
        """Notes a call that has waited."""
        error = waited_s - expected_s * self._factor
        self._noted = self._clock()
        self._deviation_s += _WEIGHT * (abs(error) - self._deviation_s)
        self._expected_s += _WEIGHT * (expected_s - self._expected_s)
        self._waited_s += _WEIGHT * (waited_s - self._waited_s)

    def cautious_s(self, expected_s: float) -> float:
        """What most calls stay under of which this is expected. A wait that is expected to be short is corrected by
        little, for it is that of a caller with few calls."""
        if self._clock() - self._noted > _FORGOTTEN_S:
            self._forget()  # or calls that are refused by it, and so don't wait, would leave it as it is for ever
        caution = _DEVIATIONS * self._deviation_s / self._expected_s if self._expected_s else 0.0
        return expected_s * (self._factor + min(caution, _MOST_WRONG))

    @property
    def _factor(self) -> float:
        if not self._expected_s:
            return 1.0
        return min(max(self._waited_s / self._expected_s, 1 / _MOST_WRONG), _MOST_WRONG)
