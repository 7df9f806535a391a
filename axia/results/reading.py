"""What one image's completions say, read in one call."""

from axia.results.base import Result
from axia.results.detection import Group
from axia.results.scoring import AbstainReason, Alignment, ResponseTypeScore, ValueAttribution


class Grouping(Result):
    """What completions say together."""

    groups: tuple[Group, ...]
    """Completions of the same meaning, the largest group first."""
    consensus: str | None
    """The element that the largest group names; None if they abstain."""
    agreement: float
    """Share of the completions that are in the largest group, above 0 and at most 1."""
    entropy: float
    """Shannon entropy of the groups' shares, in bits, from 0 to log2 of the number of completions."""
    abstain: bool
    """Whether there is no consensus."""
    sentence_model: str
    """The reader model that compared meanings; empty where words alone were compared."""
    abstain_reason: AbstainReason | None = None
    """Why there is no consensus; None where there is one."""


class MissingPart(Result):
    """A part that could not be read."""

    part: str
    """``grouping``, ``response_types``, ``values`` or ``alignment``."""
    reason: str
    """The cause in UPPER_SNAKE_CASE, stable, for programs, such as ``READER_MISSING``."""
    message: str
    """What is wrong and what to do."""


class CompletionsReading(Result):
    """What one image's completions say."""

    grouping: Grouping | None
    """Groups and consensus; None where missing."""
    response_types: tuple[ResponseTypeScore, ...]
    """What kind of answer each sentence is, in their order; empty where missing."""
    values: tuple[ValueAttribution, ...]
    """The values that each sentence concerns, in their order; empty where missing."""
    alignment: Alignment | None
    """Whether each sentence names the ground truth; None without one and where missing."""
    missing: tuple[MissingPart, ...]
    """What was asked for and could not be read."""
