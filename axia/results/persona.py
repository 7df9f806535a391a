"""How feeds moved towards what personas find interesting (arXiv 2411.11479)."""

from axia.results.base import Result
from axia.results.scoring import Interval


class PersonaChange(Result):
    """How one persona's feed moved."""

    persona: str
    """The persona."""
    platform: str
    """The platform."""
    percent: float | None
    """I = 100 (after - before) / before, in percent; None if the share before was 0."""
    points: float
    """100 (after - before), in percentage points."""


class PlatformChange(Result):
    """How the feeds of one platform moved on average."""

    platform: str
    """The platform."""
    i_avg: float | None
    """I_avg: mean of I over the personas that have one, in percent."""
    interval: Interval | None
    """Bootstrap interval of I_avg over personas; None for fewer than two with an I."""
    points: float
    """Mean change over all personas, in percentage points."""
    points_interval: Interval | None
    """Bootstrap interval of `points`; None for fewer than two personas."""
    personas: int
    """Personas of this platform."""
    undefined: int
    """Personas whose share before was 0, so that they count in `points` alone."""


class PersonaScores(Result):
    """How feeds moved towards what personas find interesting (arXiv 2411.11479)."""

    changes: tuple[PersonaChange, ...]
    """One for each outcome, in their order."""
    platforms: tuple[PlatformChange, ...]
    """One for each platform, in the order in which outcomes name them first."""
