"""Which sentences say the same in the same words, and how spread out a model's answers are.

The gateway groups so where it has no scoring service, the scoring service where it has no reader model; and with one,
sentences of one form are always of one group.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

_ARTICLE = re.compile(r"^(?:the|an?)\s+")


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


def by_form(sentences: Sequence[str]) -> dict[str, list[int]]:
    """The places of the sentences of each form, ascending; forms in the order in which they first appear.

    >>> by_form(["A stove.", "the child", "The stove"])
    {'stove': [0, 2], 'child': [1]}
    """
    places: dict[str, list[int]] = {}
    for place, sentence in enumerate(sentences):
        places.setdefault(normalise(sentence), []).append(place)
    return places


def most_usual(sentences: Iterable[str]) -> str:
    """The most frequent wording; of those that are equally frequent the first."""
    wording, _ = Counter(sentences).most_common(1)[0]
    return wording


def entropy_bits(shares: Iterable[float]) -> float:
    """Shannon entropy of shares above 0, −Σ s·log2 s: 0 to log2 of their number."""
    return abs(sum(-share * math.log2(share) for share in shares))
