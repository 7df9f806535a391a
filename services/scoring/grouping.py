"""What a model's completions say together: groups of the same meaning, consensus, agreement, entropy.

Sentences that are equal once normalised are always of one group. Where there is a sentence model, such forms are joined
further: two forms mean the same if their nearness reaches a threshold, where nearness is

    cos(u, v) − 0.4 (1 − Σ_k √(p_k q_k))

with the sentence embeddings u and v, and the probabilities p and q of the response types (the sum is Bhattacharyya's
coefficient); it counts for nothing where one denies the other or states its opposite. Groups are joined from the
nearest pair on as long as every form of the one means the same as every form of the other (complete linkage). So "the
stove is on" and "the stove is off" stay apart, and a chain of near phrasings doesn't run together.
"""

import functools
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from services.scoring.alignment import without_frame
from services.scoring.embedder import Embedder
from services.scoring.lexical import Said, contradicts, says_nothing
from services.scoring.readable import is_readable
from services.scoring.response_types import JUDGED, WEIGHTS, ResponseType
from services.scoring.softmax_model import DATA, load_softmax_model

LABELLED = DATA / "same_meaning.jsonl"

SAME_MEANING = 0.62
"""Nearness from which two forms mean the same."""
TYPE_PENALTY = 0.4
"""What different kinds of answer take from a cosine, at most: "a boy rides a bicycle" is near "a boy has fallen off his
bicycle" in words alone. It and SAME_MEANING are the best on the training part of data/same_meaning.jsonl;
``python -m services.scoring.evaluate_grouping`` prints figures."""
SURELY_NOTHING = 0.9
"""Probability of type 3 from which a form says that nothing needs attention, whatever its words."""
_ARTICLE = re.compile(r"^(?:the|an?)\s+")


class GroupBy(Enum):
    """What makes two sentences one group."""

    LEXICAL = "lexical"
    """They are equal once normalised."""
    SEMANTIC = "semantic"
    """They mean the same by their embeddings, and neither contradicts the other."""


@dataclass(frozen=True)
class CompletionGroup:
    """Completions with the same meaning."""

    representative: str
    """Sentence of the member with the lowest index."""
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
    """Shannon entropy of the shares, −Σ s·log2 s, 0 to log2 of the number of completions."""
    abstain: bool
    grouped_by: GroupBy


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


def summarise(sentences: Sequence[str], abstain_threshold: float, embedder: Embedder | None = None) -> Consensus:
    """Groups sentences, by meaning where an embedder is given.

    Abstains if the largest group's share is below the threshold, if two groups are the largest, or if the largest said
    nothing at all.

    Args:
        sentences: At least one; the place of each is its index.
        abstain_threshold: 0 to 1.
        embedder: For `GroupBy.SEMANTIC`; without it sentences are grouped by `GroupBy.LEXICAL`.
    """
    forms = [normalise(sentence) for sentence in sentences]
    by_form: dict[str, list[int]] = {}
    for index, form in enumerate(forms):
        by_form.setdefault(form, []).append(index)
    members = list(by_form.values())
    if embedder is not None and len(members) > 1:
        members = _join(list(by_form), members, embedder)
    members = sorted((sorted(group) for group in members), key=lambda group: (-len(group), group[0]))
    groups = tuple(CompletionGroup(sentences[group[0]], tuple(group), len(group) / len(sentences)) for group in members)
    largest = groups[0]
    tied = len(groups) > 1 and len(groups[1].members) == len(largest.members)
    abstain = largest.share < abstain_threshold or tied or not forms[largest.members[0]]
    return Consensus(
        groups=groups,
        element="" if abstain else largest.representative,
        agreement=largest.share,
        entropy_bits=abs(sum(-group.share * math.log2(group.share) for group in groups)),
        abstain=abstain,
        grouped_by=GroupBy.LEXICAL if embedder is None else GroupBy.SEMANTIC,
    )


def meaning_similarity(forms: Sequence[str], embedder: Embedder) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """How near forms are in meaning, shape (n, n): at most 1, or −1 where they can't mean the same.

    They can't if they are near and one contradicts the other, if one says that nothing needs attention and the other
    names something, or if the sentence model can't read one of them. Two that say that nothing needs attention are
    as near as can be: 1.
    """
    vectors = embedder.embed([without_frame(form) for form in forms])
    probabilities = load_softmax_model(WEIGHTS).probabilities(vectors)
    alike = np.sqrt(probabilities) @ np.sqrt(probabilities).T
    nearness: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.clip(
        vectors.astype(np.float64) @ vectors.T - TYPE_PENALTY * (1 - alike), -1.0, 1.0
    )
    said = functools.cache(lambda place: Said.of(forms[place]))
    surely_nothing = probabilities[:, JUDGED.index(ResponseType.NONE)] >= SURELY_NOTHING
    nothing = [says_nothing(form) or sure for form, sure in zip(forms, surely_nothing.tolist(), strict=True)]
    readable = [is_readable(form) for form in forms]
    for one in range(len(forms)):
        for other in range(one):
            near = float(nearness[one, other])
            if not (readable[one] and readable[other]) or nothing[one] != nothing[other]:
                near = -1.0
            elif nothing[one]:
                near = 1.0
            # Denials are looked for only where they change anything, since this is done for every two forms.
            elif near >= SAME_MEANING and contradicts(said(one), said(other)):
                near = -1.0
            nearness[one, other] = nearness[other, one] = near
    return nearness


def _join(forms: list[str], members: list[list[int]], embedder: Embedder) -> list[list[int]]:
    """Complete linkage: joins the two nearest groups until none are near enough.

    A group's nearness to another is that of their two farthest forms. Forms are taken in alphabetical order, so the
    order of the sentences decides nothing but ties of size.
    """
    order = sorted(range(len(forms)), key=lambda form: forms[form])
    near = meaning_similarity([forms[form] for form in order], embedder)
    groups = [list(members[form]) for form in order]
    np.fill_diagonal(near, -1.0)
    while True:
        one, other = np.unravel_index(int(near.argmax()), near.shape)
        if near[one, other] < SAME_MEANING:
            return [group for group in groups if group]
        groups[one] += groups[other]
        groups[other] = []
        near[one] = near[:, one] = np.minimum(near[one], near[other])
        near[one, one] = -1.0
        near[other] = near[:, other] = -1.0
