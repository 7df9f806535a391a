"""How long calls to a model wait and take, as measured, with some caution: means that follow, and mean deviations."""

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable

from services.serving.deadlines import Clock

_WEIGHT = 0.05
"""Weight of the newest call."""
_DEVIATIONS = 2.0
"""Mean deviations by which a call may take longer than the mean; TCP's timeout adds four (RFC 6298)."""
_MOST_WRONG = 4.0
"""By what factor an expected wait is corrected at most, and again for caution."""
_FORGOTTEN_S = 5.0
"""Seconds without a call that has waited, after which what was learned of waiting is no longer used."""
_MOST_KINDS = 128
"""Kinds of calls whose times are kept; the one that wasn't seen for longest is forgotten first."""


class ServiceTime:
    """How long calls take at the replicas, in seconds: a mean that follows, and its mean deviation."""

    def __init__(self) -> None:
        self.mean_s = 0.0
        self._deviation_s = 0.0
        self._noted = 0

    def note(self, seconds: float) -> None:
        """Notes a call that has ended."""
        self._noted += 1
        if self._noted == 1:
            self.mean_s = seconds
            return
        weight = max(_WEIGHT, 1 / self._noted)  # the first few count alike
        error = seconds - self.mean_s
        self.mean_s += weight * error
        self._deviation_s += weight * (abs(error) - self._deviation_s)

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


class Estimates:
    """How long calls to a model will wait and take. Calls of one kind take about the same time.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(self, clock: Clock) -> None:
        self._wait = WaitTime(clock)
        self._all = ServiceTime()
        self._kinds: OrderedDict[Hashable, ServiceTime] = OrderedDict()
        self._running: Counter[Hashable] = Counter()

    def note_call(self, kind: Hashable, seconds: float, *, cut_off: bool = False) -> None:
        """Notes a call that has ended.

        Args:
            kind: Of the call.
            seconds: How long it took at a replica.
            cut_off: Whether it was ended when its time was over. Unless it took longer than usual, that says nothing.
        """
        if cut_off and seconds <= self.mean_s(kind):
            return
        self._all.note(seconds)
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = ServiceTime()
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        found.note(seconds)

    def note_wait(self, expected_s: float, waited_s: float) -> None:
        """Notes a call that has waited, and for how long that was expected on its arrival."""
        self._wait.note(expected_s, waited_s)

    def note_running(self, kind: Hashable, completions: int) -> None:
        """Counts completions that go to a replica or, if negative, come from there."""
        self._running[kind] += completions
        if not self._running[kind]:
            del self._running[kind]

    @property
    def usual_s(self) -> float:
        """What a call of any kind takes."""
        return self._all.mean_s

    def mean_s(self, kind: Hashable) -> float:
        """What a call of a kind takes; of a kind that wasn't seen yet, what one of any kind takes."""
        return self._kinds.get(kind, self._all).mean_s

    def needed_s(self, kind: Hashable, expected_s: float) -> float:
        """What most calls of a kind stay under that are expected to wait for some time, until they are answered."""
        return self._wait.cautious_s(expected_s) + self._kinds.get(kind, self._all).cautious_s

    def wait_s(self, before: Iterable[tuple[int, Hashable]], lacking: int, most: int) -> float:
        """How long a call is expected to wait.

        Args:
            before: Completions and kind of each call that waits before it.
            lacking: How many completions must end until it could run now; negative where there is room for more.
            most: Completions that run at a time.
        """
        work_s = sum(completions * self.mean_s(kind) for completions, kind in before) + lacking * self._running_s()
        return max(work_s, 0.0) / max(most, 1)

    def _running_s(self) -> float:
        """What the completions that run take on average."""
        completions = self._running.total()
        if not completions:
            return self.usual_s
        return sum(count * self.mean_s(kind) for kind, count in self._running.items()) / completions
