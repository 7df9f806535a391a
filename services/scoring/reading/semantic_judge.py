"""SEMANTIC: the reader model compares an answer with the element and its phrasings.

    score = the mean of the two largest nearnesses (nearness.py) of the phrasings, 0 to 1; of one or two the largest

An answer is aligned if the score reaches the model's threshold, unless it contradicts: where "contradicts" is the
largest probability beside the phrasing that fits best, or beside most phrasings.
"""

from collections.abc import Sequence

import numpy as np

from axia.grouping import normalise
from services.scoring.reading.alignment import AlignmentItem, AlignmentVerdict, on_nothing, shown
from services.scoring.reading.labels import Relation
from services.scoring.reading.lexical import Said
from services.scoring.reading.model import Floats, Pair, Reader
from services.scoring.reading.nearness import compare
from services.scoring.reading.one_call_reader import OneCallReader
from services.scoring.reading.response_types import ResponseType, ResponseTypeClassifier, TypedResponse

_BEST = 2
"""Phrasings that have a say: annotators put one concern in different ways, and one of many may fit by chance. On the
texts of the authors who set the thresholds, κ is 0.825 to 0.838 with two of 3 to 6, and 0.812 to 0.823 with three."""


class SemanticJudge:
    """Judges by meaning.

    Args:
        reader: The reader model.
        classifier: Tells what says nothing, and what is no answer.
    """

    def __init__(self, reader: Reader, classifier: ResponseTypeClassifier) -> None:
        self._reader = reader
        self._classifier = classifier

    def judge(self, items: Sequence[AlignmentItem]) -> tuple[AlignmentVerdict, ...]:
        """One verdict an item, in order."""
        distinct = list(dict.fromkeys(items))
        texts = list(dict.fromkeys(text for item in distinct for text in (item.answer, item.element)))
        kinds = dict(zip(texts, self._classifier.classify(texts), strict=True))
        verdicts = {
            item: verdict
            for item in distinct
            if (verdict := _without_reading(item, kinds[item.answer], kinds[item.element]))
        }
        to_read = [item for item in distinct if item not in verdicts]
        pairs = [Pair(item.answer, phrasing) for item in to_read for phrasing in _phrasings(item)]
        compared = compare(OneCallReader(self._reader), pairs)
        start = 0
        for item in to_read:
            end = start + len(_phrasings(item))
            verdicts[item] = self._weigh(item, compared.relations[start:end], compared.nearness[start:end])
            start = end
        return tuple(verdicts[item] for item in items)

    def _weigh(self, item: AlignmentItem, rows: Floats, nearness: Floats) -> AlignmentVerdict:
        best = int(nearness.argmax())
        score = max(0.0, min(1.0, mean_of_best(nearness)))
        phrasing = _phrasings(item)[best]
        relations = rows.argmax(axis=1)
        contradicted = relations[best] == Relation.CONTRADICTS or 2 * int(
            (relations == Relation.CONTRADICTS).sum()
        ) > len(relations)
        if contradicted:
            evidence = f"{shown(item.answer)} denies {shown(phrasing)} or states the opposite"
            return AlignmentVerdict(False, score, evidence, phrasing)
        aligned = score >= self._reader.thresholds.aligned
        said = "names the same concern as" if aligned else "does not name the concern of"
        evidence = f"{shown(item.answer)} {said} {shown(phrasing)} (nearness {score:.2f})"
        return AlignmentVerdict(aligned, score, evidence, phrasing)


def mean_of_best(nearness: Floats) -> float:
    """The nearness to what annotators wrote, from that to each phrasing.

    One phrasing beside the element takes nothing away: an answer that names the element stays aligned.
    """
    return float(np.sort(nearness)[-_BEST if len(nearness) > _BEST else -1 :].mean())


def _phrasings(item: AlignmentItem) -> tuple[str, ...]:
    return tuple(dict.fromkeys((item.element, *item.accept)))


def _same_words(said: Said, wanted: Said) -> bool:
    """Whether two texts have the same words that carry meaning: "the pills are untouched", "untouched pills"."""
    return bool(said.words) and (said.affirmed, said.negated) == (wanted.affirmed, wanted.negated)


def _without_reading(item: AlignmentItem, kind: TypedResponse, wanted: TypedResponse) -> AlignmentVerdict | None:
    """The verdict where it doesn't depend on a comparison; None where it does."""
    if kind.language:
        evidence = f"the answer is in another language ({kind.language}), which this judge doesn't read; ask a model"
        return AlignmentVerdict(None, 0.0, evidence, item.element, kind.language)
    if wanted.type is ResponseType.NONE:
        return on_nothing(item, said=kind.type is ResponseType.NONE)
    form = normalise(item.answer)
    if not any(kind.probabilities):
        return AlignmentVerdict(False, 0.0, "the answer is empty or has no words", item.element)
    said = Said.of(item.answer)
    for phrasing in _phrasings(item):
        if normalise(phrasing) == form or _same_words(said, Said.of(phrasing)):
            return AlignmentVerdict(True, 1.0, f"{shown(item.answer)} is what annotators wrote", phrasing)
    if kind.type in (ResponseType.NONE, ResponseType.REFUSAL):
        what = "says that nothing needs attention" if kind.type is ResponseType.NONE else "declines to answer"
        return AlignmentVerdict(False, 0.0, f"the answer {what}", item.element)
    return None
