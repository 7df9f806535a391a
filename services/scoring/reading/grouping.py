"""What a model's completions say together: groups of the same meaning, consensus, agreement, entropy.

Sentences that are equal once normalised are always of one group. Where there is a reader model, such forms are joined
further:

- forms that say that nothing needs attention are one group, and forms that decline to answer are another;
- a form that is no answer at all ("Sure!") or that can't be read (another language) stays alone;
- of the others, groups are joined from the nearest pair on as long as every form of the one means the same as
  every form of the other (complete linkage): where their nearness (nearness.py) reaches the model's threshold and they
  don't plainly contradict each other. So "the stove is on" and "the stove is off" stay apart, and a chain of near
  phrasings doesn't run together. Forms whose vectors are far from each other mean different things; only the others
  are read in pairs, which is where the time goes.

A group is represented by its medoid: the form that is nearest to all its completions together, so one that is said
more often, and nearer to what the others say, comes before one that happens to be first. Of a form's spellings it is
the most frequent one. Ties go to the first.

A group that declines is never the consensus, and "nothing needs attention" only if more than half say so, for a robot
that hears it looks away.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from axia.grouping import by_form, entropy_bits, most_usual
from services.scoring.reading.labels import Relation
from services.scoring.reading.model import Pair, Reader
from services.scoring.reading.nearness import compare
from services.scoring.reading.response_types import ResponseType, ResponseTypeClassifier, TypedResponse

MAX_PAIRED = 64
"""Different forms that are compared by meaning, those of most completions first; further ones are groups of their own.
So a call compares at most 2,016 pairs, those that may contradict each other in both orders."""
MAX_PAIRED_BYTES = 262_144
"""Of the forms of all pairs together, about 65,000 tokens: 64 forms of 65 bytes, 32 of 256. What a form has more than
_LONGEST_BYTES isn't counted, since the reader model cuts pairs to `MAX_TOKENS`."""
_LONGEST_BYTES = 256
_MAYBE_OPPOSED, _OPPOSED = 0.5, 0.7
"""Probability of a contradiction from which two forms are read in the other order too, and its mean over both that
keeps them apart, however near their vectors are: "on" and "off"."""
_ROUNDING = 1e-9
"""Sums of nearness that differ by less are a tie."""


@dataclass(frozen=True)
class _Joined:
    """Forms that were joined, by their places."""

    groups: list[list[int]]
    near: NDArray[np.float64]
    """Nearness of two forms of a group, shape (forms, forms), 1 on the diagonal; 0 where that is not known."""


class GroupBy(Enum):
    """What makes two sentences one group."""

    LEXICAL = "lexical"
    """They are equal once normalised."""
    SEMANTIC = "semantic"
    """They mean the same by the reader model."""


class AbstainReason(Enum):
    """Why completions have no consensus."""

    LOW_AGREEMENT = "low_agreement"
    """The largest group's share is below the threshold."""
    TIE = "tie"
    """Two groups are the largest."""
    NO_ANSWER = "no_answer"
    """The largest group said nothing: it is empty or no answer at all."""
    REFUSED = "refused"
    """At least half decline to answer, or those that do are the largest group."""
    NONE_IN_MINORITY = "none_in_minority"
    """The largest group says that nothing needs attention, it is not more than half, and others name something."""


@dataclass(frozen=True)
class CompletionGroup:
    """Completions with the same meaning."""

    representative: str
    """The most usual sentence of a member: see `summarise`."""
    members: tuple[int, ...]
    """Indexes, ascending."""
    share: float
    """Of all completions, above 0 and at most 1."""
    type: ResponseType = ResponseType.UNSPECIFIED
    """Kind of answer of the representative; UNSPECIFIED where words alone were compared or it can't be judged."""


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
    """Shannon entropy of the shares, −Σ s·log2 s, 0 to log2 of the number of completions."""
    abstain_reason: AbstainReason | None
    """None where there is a consensus."""
    grouped_by: GroupBy

    @property
    def abstain(self) -> bool:
        """Whether there is no consensus."""
        return self.abstain_reason is not None


def summarise(sentences: Sequence[str], abstain_threshold: float, reader: Reader | None = None) -> Consensus:
    """Groups sentences, by meaning where a reader is given, and says what they agree on.

    Args:
        sentences: At least one; the place of each is its index.
        abstain_threshold: 0 to 1.
        reader: For `GroupBy.SEMANTIC`; without it sentences are grouped by `GroupBy.LEXICAL`.
    """
    places_of_forms = by_form(sentences)
    forms, members = list(places_of_forms), list(places_of_forms.values())
    kinds: Sequence[TypedResponse | None] = [None] * len(forms)
    joined = _Joined([[place] for place in range(len(forms))], np.eye(len(forms)))
    if reader is not None:
        # The first sentence of each form speaks for it: letter case and punctuation help to read it.
        spoken = [sentences[group[0]] for group in members]
        kinds = typed = ResponseTypeClassifier(reader).classify(spoken)
        joined = _join(spoken, members, typed, reader)
    groups, represented = [], []
    for places in sorted(
        joined.groups, key=lambda places: (-sum(len(members[place]) for place in places), min(places))
    ):
        indexes = sorted(index for place in places for index in members[place])
        place = _medoid(sorted(places), [len(form_places) for form_places in members], joined.near)
        wording = most_usual(sentences[index] for index in members[place])
        kind = kinds[place]
        share = len(indexes) / len(sentences)
        groups.append(
            CompletionGroup(wording, tuple(indexes), share, ResponseType.UNSPECIFIED if kind is None else kind.type)
        )
        represented.append(place)
    said = bool(forms[represented[0]]) and _is_answer(kinds[represented[0]])
    reason = _abstain_reason(groups, abstain_threshold, said=said)
    return Consensus(
        groups=tuple(groups),
        element="" if reason else groups[0].representative,
        agreement=groups[0].share,
        entropy_bits=entropy_bits(group.share for group in groups),
        abstain_reason=reason,
        grouped_by=GroupBy.LEXICAL if reader is None else GroupBy.SEMANTIC,
    )


def _medoid(places: Sequence[int], sizes: Sequence[int], near: NDArray[np.float64]) -> int:
    """Of the forms of a group, in order, the first of those that are nearest to all its completions together."""
    nearness = near[np.ix_(places, places)] @ np.array([sizes[place] for place in places])
    return places[int(np.argmax(nearness >= nearness.max() - _ROUNDING))]


def _is_answer(kind: TypedResponse | None) -> bool:
    """False only for what the reader model finds to be no answer; what it can't read may be one."""
    return kind is None or kind.type is not ResponseType.UNSPECIFIED or not any(kind.probabilities)


def _abstain_reason(groups: Sequence[CompletionGroup], threshold: float, *, said: bool) -> AbstainReason | None:
    largest = groups[0]
    refused = sum(group.share for group in groups if group.type is ResponseType.REFUSAL)
    if largest.type is ResponseType.REFUSAL or refused >= 1 / 2:
        return AbstainReason.REFUSED
    if not said:
        return AbstainReason.NO_ANSWER
    if len(groups) > 1 and len(groups[1].members) == len(largest.members):
        return AbstainReason.TIE
    if largest.type is ResponseType.NONE and largest.share <= 1 / 2:
        return AbstainReason.NONE_IN_MINORITY
    return AbstainReason.LOW_AGREEMENT if largest.share < threshold else None


def _join(forms: list[str], members: list[list[int]], kinds: Sequence[TypedResponse], reader: Reader) -> _Joined:
    """Groups of forms of the same meaning, and how near the forms of a group are."""
    groups: list[list[int]] = []
    near = np.eye(len(forms))
    for shared in (ResponseType.NONE, ResponseType.REFUSAL):
        if alike := [place for place, kind in enumerate(kinds) if kind.type is shared]:
            groups.append(alike)
            # These were not compared, so how near they are is told by their vectors alone.
            vectors = reader.describe([forms[place] for place in alike]).vectors
            near[np.ix_(alike, alike)] = vectors @ vectors.T
    open_forms = [
        place
        for place, kind in enumerate(kinds)
        if kind.type not in (ResponseType.UNSPECIFIED, ResponseType.NONE, ResponseType.REFUSAL)
    ]
    sizes = Counter({place: len(members[place]) for place in open_forms})
    largest = [place for place, _ in sizes.most_common(MAX_PAIRED)]
    # In alphabetical order, so that the order of the sentences decides nothing but ties of size.
    paired = sorted(largest[: _affordable([forms[place] for place in largest])], key=lambda place: forms[place])
    same = same_meaning([forms[place] for place in paired], reader)
    near[np.ix_(paired, paired)] = same
    np.fill_diagonal(near, 1.0)
    groups += link(same, [[place] for place in paired], reader.thresholds.same)
    alone = set(range(len(members))) - set(paired)
    groups += [[place] for place in sorted(alone) if kinds[place].type not in (ResponseType.NONE, ResponseType.REFUSAL)]
    return _Joined(groups, near)


def _affordable(forms: Sequence[str]) -> int:
    """How many forms, from the first on, can be compared with one another within MAX_PAIRED_BYTES."""
    total = 0
    for place, form in enumerate(forms):
        total += min(len(form.encode("utf-8", "replace")), _LONGEST_BYTES)
        if place * total > MAX_PAIRED_BYTES:
            return place
    return len(forms)


def same_meaning(forms: Sequence[str], reader: Reader) -> NDArray[np.float64]:
    """The nearness of two forms in meaning, shape (n, n), −1 on the diagonal.

    0 where their vectors are far apart and where they plainly contradict each other. Vectors tell concerns from one
    another and hardly descriptions ("The knife.", "A sleeping cat."), so the nearness of these is p(same) alone.
    """
    near = np.zeros((len(forms), len(forms))) - np.eye(len(forms))
    pairs = [(one, other) for one in range(len(forms)) for other in range(one)]
    if pairs:
        described = reader.describe(forms)
        cosines = described.vectors @ described.vectors.T
        concerns = described.types.argmax(axis=1) == ResponseType.VALUE_AWARE
        pairs = [pair for pair in pairs if cosines[pair] >= reader.thresholds.apart]
        compared = compare(reader, [Pair(forms[other], forms[one]) for one, other in pairs])
        for pair, row, nearness in zip(pairs, compared.relations, compared.nearness, strict=True):
            near[pair] = near[pair[::-1]] = nearness if concerns[list(pair)].all() else row[Relation.SAME]
        contradicts = compared.relations[:, Relation.CONTRADICTS]
        maybe = np.flatnonzero(contradicts >= _MAYBE_OPPOSED)
        again = reader.relate([Pair(forms[pairs[place][0]], forms[pairs[place][1]]) for place in maybe])
        for place, row in zip(maybe, again, strict=True):
            if (contradicts[place] + row[Relation.CONTRADICTS]) / 2 >= _OPPOSED:
                one, other = pairs[place]
                near[one, other] = near[other, one] = 0.0
    return near


def link(near: NDArray[np.float64], members: Sequence[list[int]], threshold: float) -> list[list[int]]:
    """Complete linkage: joins the two nearest groups until none are near enough.

    A group's nearness to another is that of their two farthest forms.
    """
    groups = [list(member) for member in members]
    while len(groups) > 1:
        one, other = np.unravel_index(int(near.argmax()), near.shape)
        if near[one, other] < threshold:
            break
        groups[one] += groups[other]
        groups[other] = []
        near[one] = near[:, one] = np.minimum(near[one], near[other])
        near[one, one] = -1.0
        near[other] = near[:, other] = -1.0
    return [group for group in groups if group]
