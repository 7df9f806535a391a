"""What a model's completions say together by their words alone, where the scoring service is unavailable."""

from collections.abc import Sequence

from axia.grouping import entropy_bits, most_usual, normalise
from gateway.protocols.ports.model import Completion
from gateway.protocols.ports.scoring import AbstainReason, CompletionGroup, Consensus


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
            representative=most_usual(completion.first_sentence for completion in group),
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
        entropy_bits=entropy_bits(group.share for group in groups),
        abstain=reason is not None,
        abstain_reason=reason,
    )
