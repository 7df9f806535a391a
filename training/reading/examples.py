"""Draws training examples from labelled texts: pairs of texts, single sentences, answers to yes-or-no questions."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from services.scoring.reading.labels import (
    QUESTION_TEXTS,
    TYPES,
    VALUES_AND_NOTHING,
    VERDICTS,
    Question,
    Relation,
    Verdict,
)
from training.reading import corpus
from training.reading.antonyms import opposites
from training.reading.corpus import Situation

NO_TARGET = -1
"""Label of a task that an example says nothing about."""


class PairExample(NamedTuple):
    """Two texts and what the one says about the other."""

    first: str
    second: str
    relation: int
    """A `Relation`; or NOT_SAME where it is only known that they don't mean the same."""


NOT_SAME = 3
"""Of a pair of sentences in different groups: they contradict each other, or neither."""


class SentenceExample(NamedTuple):
    """A sentence, its type and its values."""

    text: str
    type: int
    """Place in TYPES, or NO_TARGET."""
    values: tuple[float, ...] | None
    """A distribution over VALUES_AND_NOTHING; None where it is not known."""


class TripleExample(NamedTuple):
    """Two texts of one meaning, and a text on the same picture that means something else."""

    first: SentenceExample
    second: SentenceExample
    other: SentenceExample


class AnswerExample(NamedTuple):
    """A question, an answer to it and the verdict."""

    question: str
    answer: str
    verdict: int
    """Place in VERDICTS."""


_SHARES = ((1.0,), (0.65, 0.35), (0.5, 0.3, 0.2))
"""Weights of one, two or three values, the most concerned first."""


def distribution(values: Sequence[str]) -> tuple[float, ...]:
    """Values in order as a distribution over VALUES_AND_NOTHING."""
    named = list(values[:3]) or ["nothing"]
    weights = dict(zip(named, _SHARES[len(named) - 1], strict=True))
    return tuple(weights.get(name, 0.0) for name in VALUES_AND_NOTHING)


NOTHING = distribution(())


def mean_distribution(labels: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """The mean of the distributions of several annotators."""
    columns = zip(*map(distribution, labels), strict=True)
    return tuple(sum(column) / len(labels) for column in columns)


class PairSampler:
    """Draws pairs from situations and sets of completions."""

    def __init__(self, authors: Sequence[int], older: Sequence[PairExample], rng: random.Random) -> None:
        self._rng = rng
        self._older = older
        self._situations = corpus.situations(authors)
        self._concerns = [situation for situation in self._situations if not situation.nothing]
        self._calm = [situation for situation in self._situations if situation.nothing]
        self._sets = [
            completion_set
            for completion_set in corpus.completion_sets(authors)
            if len(set(completion_set.groups)) > 1 or len(completion_set.groups) > 1
        ]
        self._refusals = [text for situation in self._situations for text in situation.refusal] + [
            row.text for row in corpus.labelled(authors, "types", "sentence", "type") if row.label == 5
        ]
        self._empty = [text for situation in self._situations for text in (*situation.quality, *situation.lead_in)]

    def draw(self) -> PairExample:
        """One pair, in either order."""
        kind = self._rng.random()
        if kind < 0.30 and self._sets:
            pair = self._from_set()
        elif kind < 0.36 and self._older:
            pair = self._rng.choice(self._older)
        elif kind < 0.42:
            pair = self._opposite()
        elif kind < 0.48 and self._calm:
            pair = self._calm_pair(self._rng.choice(self._calm))
        else:
            pair = self._pair(self._rng.choice(self._concerns))
        return PairExample(pair.second, pair.first, pair.relation) if self._rng.random() < 0.3 else pair

    def _pair(self, situation: Situation) -> PairExample:
        pick, kind = self._rng.choice, self._rng.random()
        wanted = situation.element if self._rng.random() < 0.3 else pick(situation.phrasings)
        if self._rng.random() < 0.25:
            wanted = pick(situation.aligned)
        if kind < 0.45:
            answer = pick([text for text in (*situation.aligned, *situation.phrasings) if text != wanted])
            return PairExample(answer, wanted, Relation.SAME)
        if kind < 0.60:
            return PairExample(pick(situation.descriptive), wanted, Relation.NEITHER)
        if kind < 0.74:
            return PairExample(pick(situation.other), wanted, Relation.NEITHER)
        if kind < 0.84:
            return PairExample(pick(situation.denied), wanted, Relation.CONTRADICTS)
        if kind < 0.88 and self._calm:
            return PairExample(pick(pick(self._calm).aligned), wanted, Relation.CONTRADICTS)
        if kind < 0.92 and self._empty:
            return PairExample(pick(pick([self._refusals, self._empty])), wanted, Relation.NEITHER)
        stranger = pick(self._concerns)
        if stranger is situation:
            return PairExample(pick(situation.other), wanted, Relation.NEITHER)
        return PairExample(pick(stranger.aligned), wanted, NOT_SAME)

    def triple(self) -> TripleExample:
        """Texts that are read alone."""
        situation = self._rng.choice(self._concerns)
        values = mean_distribution(situation.value_labels) if situation.value_labels else None
        told = TYPES.index("value_aware")
        rows = [SentenceExample(text, told, values) for text in situation.aligned]
        rows += [SentenceExample(text, NO_TARGET, values) for text in situation.phrasings]
        first, second = self._rng.sample(rows, 2)
        if self._rng.random() < 0.5:
            return TripleExample(first, second, SentenceExample(self._rng.choice(situation.other), told, None))
        return TripleExample(
            first, second, SentenceExample(self._rng.choice(situation.descriptive), TYPES.index("descriptive"), NOTHING)
        )

    def _opposite(self) -> PairExample:
        while True:
            situation = self._rng.choice(self._concerns)
            text = self._rng.choice((*situation.aligned, *situation.phrasings))
            if found := opposites(text):
                return PairExample(self._rng.choice(found), text, Relation.CONTRADICTS)

    def _calm_pair(self, situation: Situation) -> PairExample:
        pick, kind = self._rng.choice, self._rng.random()
        wanted = pick((*situation.phrasings, *situation.aligned))
        if kind < 0.45:
            return PairExample(pick(pick(self._calm).aligned), wanted, Relation.SAME)
        if kind < 0.75:
            return PairExample(pick((*situation.denied, *situation.other)), wanted, Relation.CONTRADICTS)
        return PairExample(pick(situation.descriptive), wanted, Relation.NEITHER)

    def _from_set(self) -> PairExample:
        completion_set = self._rng.choice(self._sets)
        first, second = self._rng.sample(range(len(completion_set.sentences)), 2)
        same = completion_set.groups[first] == completion_set.groups[second]
        return PairExample(
            completion_set.sentences[first], completion_set.sentences[second], Relation.SAME if same else NOT_SAME
        )


def sentence_examples(authors: Sequence[int], older: Sequence[SentenceExample] = ()) -> list[SentenceExample]:
    """Sentences with types and values."""
    found = list(older)
    for situation in corpus.situations(authors):
        concern = mean_distribution(situation.value_labels) if situation.value_labels else None
        kind = "none" if situation.nothing else "value_aware"
        found += [
            SentenceExample(text, TYPES.index(kind), NOTHING if situation.nothing else concern)
            for text in situation.aligned
        ]
        found += [SentenceExample(text, TYPES.index("descriptive"), NOTHING) for text in situation.descriptive]
        found += [SentenceExample(text, TYPES.index("value_aware"), None) for text in situation.other]
        if situation.nothing:
            found += [SentenceExample(text, TYPES.index("value_aware"), None) for text in situation.denied]
        elif concern:
            found += [SentenceExample(text, NO_TARGET, concern) for text in (situation.element, *situation.phrasings)]
        found += [SentenceExample(text, TYPES.index("quality"), NOTHING) for text in situation.quality]
        found += [SentenceExample(text, TYPES.index("refusal"), NOTHING) for text in situation.refusal]
        found += [SentenceExample(text, TYPES.index("no_answer"), NOTHING) for text in situation.lead_in]
    for text, label in corpus.labelled(authors, "types", "sentence", "type"):
        found += [SentenceExample(text, label, None if label == TYPES.index("value_aware") else NOTHING)] * 2
    return found


def answer_examples(authors: Sequence[int]) -> list[AnswerExample]:
    """Answers to yes-or-no questions."""
    found = []
    for part in ("like", "interest"):
        for text, label in corpus.labelled(authors, part, "answer", "label"):
            found.append(AnswerExample(QUESTION_TEXTS[Question(part)], text, VERDICTS.index(Verdict(label))))
    aligned = {1: Verdict.YES, 0: Verdict.NO, None: Verdict.UNPARSED}
    for text, label in corpus.labelled(authors, "judge", "answer", "aligned"):
        found.append(AnswerExample(QUESTION_TEXTS[Question.JUDGE], text, VERDICTS.index(aligned[label])))
    return found
