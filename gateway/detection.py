"""What a model's completions say together: groups of the same meaning, consensus, agreement, entropy."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_ARTICLE = re.compile(r"^(?:the|an?)\s+")


@dataclass(frozen=True)
class Completion:
    """One answer of a model."""

    index: int
    first_sentence: str
    text: str
    finish_reason: str
    """stop, sentence or length."""
    tokens: int
    seed: int
    temperature: float


@dataclass(frozen=True)
class CompletionGroup:
    """Completions with the same meaning."""

    representative: str
    """First sentence of the member with the lowest index."""
    members: tuple[int, ...]
    """Indexes, ascending."""
    share: float
    """Of all completions, above 0 and at most 1."""


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
            representative=group[0].first_sentence,
            members=tuple(completion.index for completion in group),
            share=len(group) / len(completions),
        )
        for group in sorted(members.values(), key=len, reverse=True)
    )
    largest = groups[0]
    tied = len(groups) > 1 and len(groups[1].members) == len(largest.members)
    abstain = largest.share < abstain_threshold or tied or not normalise(largest.representative)
    return Consensus(
        groups=groups,
        element="" if abstain else largest.representative,
        agreement=largest.share,
        entropy_bits=abs(sum(-group.share * math.log2(group.share) for group in groups)),
        abstain=abstain,
    )
