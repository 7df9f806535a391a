"""How answers miss what annotators named (arXiv 2501.03957)."""

from typing import Literal

from axia.results.base import Result
from axia.results.scoring import Interval

MisalignmentClass = Literal[
    "descriptive_default", "false_none", "complementary", "hallucinated_concern", "other", "refusal"
]
"""How an answer misses what people said: it describes where they were value-aware; it says none where something was
relevant to them; it is value-aware where they described; it is value-aware where they saw nothing; it misses in another
way; it declines to answer."""


class MisalignmentShare(Result):
    """How often one class occurs."""

    misalignment_class: MisalignmentClass | None
    """The class; None if not known."""
    count: int
    """Misses of this class."""
    share: float | None
    """Share of all misses, 0 to 1; None without a miss."""
    interval: Interval | None
    """Wilson interval of the share, clustered by image where the items have image ids."""
    pictures: int
    """Images with a miss, the clusters of the interval; 0 without image ids."""


class Misalignments(Result):
    """How answers miss what annotators named (arXiv 2501.03957)."""

    classes: tuple[MisalignmentClass | None, ...]
    """One for each item, in their order; None for an aligned answer."""
    shares: tuple[MisalignmentShare, ...]
    """The six classes with their shares."""
    aligned: int
    """Items that are no miss."""
    misaligned: int
    """Items that are."""
    shares_without_refusals: tuple[MisalignmentShare, ...]
    """The five classes of the study, as shares of the misses that are no refusal."""
