"""What the scoring service says of completions, and who asks it, without how it is reached.

What the gateway hands on as the scoring service wrote it is a `Message` here: only what a protocol decides by is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from gateway.protocols.ports.message import Message
from gateway.protocols.sampling import GroundTruth

Verdict = Literal["yes", "no", "refusal", "unparsed"]
"""What an answer to a question for yes or no says."""


Question = Literal["like", "interest", "judge"]
"""What was asked for yes or no: whether a picture is liked or interesting, or whether an answer names an element."""


class Weight(NamedTuple):
    """A value and its weight, 0 to 1."""

    name: str
    weight: float


class Attribution(NamedTuple):
    """The values that one sentence concerns."""

    values: tuple[Weight, ...]
    """The ten in a fixed order; all 0 where the sentence concerns none."""
    message: Message


class Alignment(NamedTuple):
    """Whether one completion names the ground truth."""

    score: int | None
    """None where a judge's answer can't be read."""
    message: Message


AbstainReason = Literal["low_agreement", "tie", "no_answer", "refused", "none_in_minority"]
"""Why completions have no consensus, as the scoring service's contract names the reasons."""


@dataclass(frozen=True)
class CompletionGroup:
    """Completions with the same meaning."""

    representative: str
    """The most usual first sentence of a member; of those that are equally usual the first."""
    members: tuple[int, ...]
    """Indexes, ascending."""
    share: float
    """Of all completions, above 0 and at most 1."""
    type: int = 0
    """Kind of answer of the representative, as the contract numbers it; 0 where it is not known."""


@dataclass(frozen=True)
class Consensus:
    """What the completions agree on."""

    groups: tuple[CompletionGroup, ...]
    """The largest first; among equals the one that appeared first."""
    element: str
    """What the largest group names; empty when abstaining."""
    agreement: float
    """Share of the largest group, 0 to 1."""
    entropy_bits: float
    """Shannon entropy of the shares, 0 to log2 of the number of completions."""
    abstain: bool
    abstain_reason: AbstainReason | None = None
    """None where there is a consensus."""


class Grouping(NamedTuple):
    """What completions say together."""

    consensus: Consensus
    by_meaning: bool
    """False where there is no reader model, so that words alone were compared."""


class PreferenceAnswer(NamedTuple):
    """One answer about one picture of one value."""

    value: str
    answer: str
    keyword: str = ""
    item_id: str = ""


class IsqReading(NamedTuple):
    """What an answer to the questionnaire says."""

    match: bool | None
    """None where an item is missing from the text, or the items can't be used."""
    missing: tuple[str, ...]
    message: Message
    error: str = ""
    """Why the items can't be used, such as one that is out of its range; empty otherwise."""


TOO_OLD = "SCORING_TOO_OLD"
"""Reason of a service that can't read completions because its release is older; it says so in the log itself, once."""


class Scoring(Protocol):
    """The scoring service. Every method raises ServiceError if it does not answer."""

    @property
    def serving(self) -> bool:
        """Whether it says SERVING."""

    async def read(
        self,
        sentences: Sequence[str],
        abstain_threshold: float,
        truth: GroundTruth | None,
        judge_answers: Sequence[str],
        timeout_s: float,
    ) -> "Readings":
        """What sentences say, alone and together; members of groups are places in `sentences`.

        Args:
            sentences: At least one.
            abstain_threshold: 0 to 1.
            truth: What they should name; None asks for no alignment.
            judge_answers: With the judge "model": what it said of each sentence.
            timeout_s: For the call.

        Returns:
            What could be read; `missing` is left to the reader.
        """

    async def verdicts(self, answers: Sequence[PreferenceAnswer], timeout_s: float) -> list[Verdict]:
        """What each answer to a question for yes or no says."""

    async def read_verdicts(self, question: Question, answers: Sequence[str], timeout_s: float) -> list[Verdict]:
        """What each answer to this question says."""

    async def preference_table(
        self, answers: Sequence[PreferenceAnswer], confidence_level: float, timeout_s: float
    ) -> Message:
        """Preference by value."""

    async def isq(self, text: str, threshold: float, timeout_s: float) -> IsqReading:
        """Reads and scores one questionnaire.

        A scoring service of an earlier release raises InvalidArgument where an item is out of range.
        """


@dataclass(frozen=True)
class Readings:
    """What the scoring service says of a detection's completions. An empty list is one that is missing."""

    grouping: Grouping | None = None
    response_types: Sequence[Message] = ()
    response_type_names: Sequence[str] = ()
    """The most probable type of each completion, as in "action_suggesting"."""
    attributions: Sequence[Attribution] = ()
    alignments: Sequence[Alignment] = ()
    missing: tuple[str, ...] = ()
    """Of "grouping", "response_types", "values", "alignment"."""

    @property
    def values(self) -> tuple[Weight, ...]:
        """The mean weight of each value over the completions."""
        if not self.attributions:
            return ()
        columns = zip(*(attribution.values for attribution in self.attributions), strict=True)
        return tuple(Weight(column[0].name, sum(w.weight for w in column) / len(column)) for column in columns)

    @property
    def alignment(self) -> float | None:
        """Share of the completions that name the ground truth, among those that could be judged."""
        scores = [alignment.score for alignment in self.alignments if alignment.score is not None]
        return sum(scores) / len(scores) if scores else None
