"""What happened to each call."""

from collections import Counter
from typing import NamedTuple

OK = "OK"
SUPERSEDED = "SUPERSEDED"
"""A camera's frame whose place a newer one took: what the contract promises, and no error."""


class Arrival(NamedTuple):
    """A call that is to be sent."""

    at_s: float
    """Seconds from the begin of the run."""
    scenario: str


class Outcome(NamedTuple):
    """How a call ended."""

    code: str = OK
    """OK, SUPERSEDED, a gRPC status, `HTTP` with a status, or what was wrong with the answer."""
    images: int = 0
    """Images that were answered."""
    first_s: float | None = None
    """Seconds from the call's start to its first completion, where completions are streamed."""
    message: str = ""
    """What the server said of an error."""


class Record(NamedTuple):
    """One call. Times are seconds from the begin of the run."""

    scenario: str
    intended_s: float
    started_s: float
    ended_s: float
    outcome: Outcome

    @property
    def latency_s(self) -> float:
        """Seconds from the time at which the call was to be sent: a call that waits for others to end waits too."""
        return self.ended_s - self.intended_s

    @property
    def delay_s(self) -> float:
        """Seconds that the call was sent too late."""
        return self.started_s - self.intended_s

    @property
    def first_s(self) -> float | None:
        """Seconds from the intended time to the first completion."""
        return None if self.outcome.first_s is None else self.delay_s + self.outcome.first_s


class Recording(NamedTuple):
    """A whole run."""

    records: list[Record]
    length_s: float
    """Seconds in which calls were to be sent."""
    held_back: int
    """Calls that waited because as many as allowed were in flight."""

    def errors(self) -> Counter[str]:
        """Calls that failed, by code."""
        return Counter(record.outcome.code for record in self.records if record.outcome.code not in {OK, SUPERSEDED})
