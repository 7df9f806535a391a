"""What a model's completions say together: groups of the same meaning, consensus, agreement, entropy."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

AbstainReason = Literal["low_agreement", "tie", "no_answer", "refused", "none_in_minority"]
"""Why completions have no consensus, as the scoring service's contract names the reasons."""

_ARTICLE = re.compile(r"^(?:the|an?)\s+")


@dataclass(frozen=True)
class Completion:
    """One answer of a model."""

    index: int
    first_sentence: str
    text: str
    finish_reason: str
    """stop, sentence, length or reasoning."""
    tokens: int
    seed: int
    temperature: float
    omitted: str = ""
    """What comes before the first sentence and is no part of the answer."""
    reasoning: str = ""
    """What the model thought before it answered; never read as an answer."""


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


def normalise(sentence: str) -> str:
    """The form in which two sentences are compared: no case, no outer punctuation, no leading article, single spaces.

    >>> normalise('"The  Child!"')
    'child'
    """
    folded = " ".join(unicodedata.normalize("NFKC", sentence).casefold().split())
    start, end = 0, len(folded)
    while start < end and not folded[start].isalnum():
        start += 1
    while end > start and not folded[end - 1].isalnum():
        end -= 1
    return _ARTICLE.sub("", folded[start:end])


def summarise(completions: Sequence[Completion], abstain_threshold: float) -> Consensus:
    """Groups completions whose first sentences are equal once normalised.

    Abstains if the largest group's share is below the threshold, if two groups are the largest, or if the largest said
    nothing.

    Args:
        completions: At least one, in any order.
        abstain_threshold: 0 to 1.
    """
    members: dict[str, list[Completion]] = {}
    for completion in sorted(completions, key=lambda c: c.index):
        members.setdefault(normalise(completion.first_sentence), []).append(completion)
    groups = tuple(
        CompletionGroup(
            representative=Counter(completion.first_sentence for completion in group).most_common(1)[0][0],
            members=tuple(completion.index for completion in group),
            share=len(group) / len(completions),
        )
        for group in sorted(members.values(), key=len, reverse=True)
    )
    largest = groups[0]
    tied = len(groups) > 1 and len(groups[1].members) == len(largest.members)
    reason: AbstainReason | None = None
    if not normalise(largest.representative):
        reason = "no_answer"
    elif tied:
        reason = "tie"
    elif largest.share < abstain_threshold:
        reason = "low_agreement"
    return Consensus(
        groups=groups,
        element="" if reason else largest.representative,
        agreement=largest.share,
        entropy_bits=abs(sum(-group.share * math.log2(group.share) for group in groups)),
        abstain=reason is not None,
        abstain_reason=reason,
    )
