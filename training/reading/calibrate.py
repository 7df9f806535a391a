"""Fits temperatures and thresholds to two authors: python -m training.reading.calibrate --model FOLDER.

The authors (CALIBRATED) are neither trained on nor scored. Temperatures minimise the log loss of the labels; thresholds
are the best for what they decide, and are rounded so that nothing depends on the last digits.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring.reading.grouping import link, same_meaning
from services.scoring.reading.labels import (
    QUESTION_TEXTS,
    TYPES,
    VALUES_AND_NOTHING,
    VERDICTS,
    Question,
    Relation,
    Verdict,
)
from services.scoring.reading.model import OnnxReader, Pair, Thresholds
from services.scoring.reading.nearness import compare
from services.scoring.reading.semantic_judge import mean_of_best
from training.reading import corpus
from training.reading.corpus import CALIBRATED, Situation
from training.reading.figures import kappa

NAME = "axia-reader"
_NEUTRAL = {"relation": 1.0, "type": 1.0, "values": 1.0, "verdict": 1.0}
_TEMPERATURES = np.round(np.geomspace(0.5, 4.0, 43), 2)
_PROBABILITIES = np.round(np.arange(0.05, 0.96, 0.01), 2)
_APART = 0.3
"""Cosine below which completions are not compared: a trade of time for pairs, not fitted. Of the sets of authors 6 and
18 it leaves out 59% and 39% of the pairs that mean different things, and 2% and 3% of those that mean the same."""
_FLAT = 0.005
"""How far below the best a score still counts as the best."""
_UNSET = Thresholds(0.5, 0.5, 0.5, 0.5, 0.5, _APART)


def calibrate(folder: Path) -> dict[str, Any]:
    """Writes reader.json and returns what it holds."""
    write(folder, _NEUTRAL, _UNSET)
    reader = OnnxReader(folder, threads=2, remembered=200_000)
    temperatures = _temperatures(reader)
    write(folder, temperatures, _UNSET)
    reader = OnnxReader(folder, threads=2, remembered=200_000)
    return write(folder, temperatures, _thresholds(reader))


def write(folder: Path, temperatures: dict[str, float], thresholds: Thresholds) -> dict[str, Any]:
    """Writes reader.json."""
    stored = {"name": NAME, "temperatures": temperatures, "thresholds": vars(thresholds)}
    (folder / "reader.json").write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    return stored


def _temperatures(reader: OnnxReader) -> dict[str, float]:
    pairs, relations = _labelled_pairs()
    sentences, types, values = _labelled_sentences()
    questions, verdicts = _labelled_answers()
    described = reader.describe(sentences)
    decided = np.concatenate([reader.decide(question, texts) for question, texts in questions.items()])
    return {
        "relation": _temperature(reader.relate(pairs), np.eye(len(Relation))[relations]),
        "type": _temperature(described.types, np.eye(len(TYPES))[types]),
        "values": _temperature(described.values, values),
        "verdict": _temperature(decided, np.eye(len(VERDICTS))[verdicts]),
    }


def _temperature(probabilities: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """The T of softmax(logits / T) with the least log loss; logits are log p up to a constant of each row."""
    logits = np.log(np.clip(probabilities, 1e-12, 1.0))

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        log = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return -float((targets * log).sum(axis=1).mean())

    return float(min(_TEMPERATURES, key=loss))


def _thresholds(reader: OnnxReader) -> Thresholds:
    return Thresholds(
        aligned=_best(_PROBABILITIES, _alignment_kappa(reader)),
        same=_best(_PROBABILITIES, _pair_f1(reader)),
        none=_none(reader),
        nothing=_nothing(reader),
        verdict=_verdict(reader),
        apart=_APART,
    )


def _best(candidates: NDArray[np.float64], score: Callable[[float], float]) -> float:
    """The middle of the candidates within 0.005 of the best: the flat top, not a lucky peak."""
    scores = np.array([score(float(candidate)) for candidate in candidates])
    top = candidates[scores >= scores.max() - _FLAT]
    return round(float(np.median(top)), 2)


def _alignment_kappa(reader: OnnxReader) -> Callable[[float], float]:
    """The mean of κ with three phrasings and with the element alone."""
    scores: dict[int, list[float]] = {0: [], 3: []}
    labels: list[int] = []
    for situation in _concerns():
        for text, label in alignment_answers(situation):
            labels.append(label)
            for phrasings, found in scores.items():
                pairs = [Pair(text, wanted) for wanted in (situation.element, *situation.phrasings[:phrasings])]
                found.append(mean_of_best(compare(reader, pairs).nearness))
    truth = np.array(labels) == 1
    return lambda threshold: float(np.mean([kappa(truth, np.array(found) >= threshold) for found in scores.values()]))


def alignment_answers(situation: Situation) -> list[tuple[str, int]]:
    """The answers of a situation with their labels."""
    return [(text, 1) for text in situation.aligned] + [
        (text, 0)
        for text in (
            *situation.descriptive,
            *situation.denied,
            *situation.other,
            *situation.quality,
            *situation.refusal,
            *situation.lead_in,
        )
    ]


def _pair_f1(reader: OnnxReader) -> Callable[[float], float]:
    """F1 of pairs of the same meaning once groups are joined, the mean over authors: some split finer than others."""
    sets = {author: corpus.completion_sets([author]) for author in CALIBRATED}
    nears = {
        author: [same_meaning(completion_set.sentences, reader) for completion_set in sets[author]]
        for author in CALIBRATED
    }

    def f1(author: int, threshold: float) -> float:
        both = found = truth = 0
        for completion_set, near in zip(sets[author], nears[author], strict=True):
            groups = link(near.copy(), [[place] for place in range(len(completion_set.sentences))], threshold)
            place = {member: number for number, group in enumerate(groups) for member in group}
            for one, other in itertools.combinations(range(len(completion_set.sentences)), 2):
                same, joined = completion_set.groups[one] == completion_set.groups[other], place[one] == place[other]
                both, found, truth = both + (same and joined), found + joined, truth + same
        return 2 * both / max(1, found + truth)

    return lambda threshold: float(np.mean([f1(author, threshold) for author in CALIBRATED]))


def _none(reader: OnnxReader) -> float:
    """The largest threshold within 0.005 of the best, where a concern that is taken for nothing counts five times.

    The largest, because a robot that hears "nothing" looks away.
    """
    sentences, types, _ = _labelled_sentences()
    none = TYPES.index("none")
    probability, truth = reader.describe(sentences).types[:, none], types == none
    wrong = [
        5 * int(((probability >= bound) & ~truth).sum()) + int(((probability < bound) & truth).sum())
        for bound in _PROBABILITIES
    ]
    scores = 1 - np.array(wrong) / (2 * int(truth.sum()))
    return float(_PROBABILITIES[scores >= scores.max() - _FLAT].max())


def _nothing(reader: OnnxReader) -> float:
    """The largest threshold within 0.005 of the best mean of two shares.

    The shares are value-aware answers that concern a value and plain ones that concern none. The largest, because a
    hazard without a value is one that is missed.
    """
    from training.reading.examples import NOTHING, sentence_examples

    aware = [text for situation in _concerns() if situation.value_labels for text in situation.aligned]
    plain = [example.text for example in sentence_examples(CALIBRATED) if example.values == NOTHING]
    nothing = VALUES_AND_NOTHING.index("nothing")
    concerns, others = reader.describe(aware).values[:, nothing], reader.describe(plain)
    voiced = others.types.argmax(axis=1) == TYPES.index("value_aware")
    scores = [
        ((concerns <= bound).mean() + ((others.values[:, nothing] > bound) & ~voiced).mean()) / 2
        for bound in _PROBABILITIES
    ]
    return float(_PROBABILITIES[np.array(scores) >= max(scores) - _FLAT].max())


def _verdict(reader: OnnxReader) -> float:
    """The threshold with the most right verdicts, where an opposite counts ten times."""
    questions, verdicts = _labelled_answers()
    rows = np.concatenate([reader.decide(question, texts) for question, texts in questions.items()])
    best, unparsed = rows.argmax(axis=1), VERDICTS.index(Verdict.UNPARSED)
    opposites = {VERDICTS.index(Verdict.YES), VERDICTS.index(Verdict.NO)}

    def score(threshold: float) -> float:
        found = np.where(rows.max(axis=1) >= threshold, best, unparsed)
        wrong = sum({int(a), int(b)} == opposites for a, b in zip(found, verdicts, strict=True))
        return float((found == verdicts).mean()) - 9 * wrong / len(verdicts)

    return _best(_PROBABILITIES, score)


def _concerns() -> list[Situation]:
    return [situation for situation in corpus.situations(CALIBRATED) if not situation.nothing]


def _labelled_pairs() -> tuple[list[Pair], NDArray[np.int64]]:
    pairs, relations = [], []
    for situation in _concerns():
        for texts, relation in (
            (situation.aligned, Relation.SAME),
            ((*situation.descriptive, *situation.other), Relation.NEITHER),
            (situation.denied, Relation.CONTRADICTS),
        ):
            for text in texts:
                pairs += [Pair(text, wanted) for wanted in (situation.element, situation.phrasings[0])]
                relations += [int(relation)] * 2
    return pairs, np.array(relations)


def _labelled_sentences() -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    from training.reading.examples import NO_TARGET, sentence_examples

    rows = [
        example for example in sentence_examples(CALIBRATED) if example.type != NO_TARGET and example.values is not None
    ]
    return (
        [row.text for row in rows],
        np.array([row.type for row in rows]),
        np.array([row.values for row in rows], dtype=np.float64),
    )


def _labelled_answers() -> tuple[dict[Question, list[str]], NDArray[np.int64]]:
    from training.reading.examples import answer_examples

    texts: dict[Question, list[str]] = {question: [] for question in Question}
    verdicts: dict[Question, list[int]] = {question: [] for question in Question}
    questions = {text: question for question, text in QUESTION_TEXTS.items()}
    for example in answer_examples(CALIBRATED):
        texts[questions[example.question]].append(example.answer)
        verdicts[questions[example.question]].append(example.verdict)
    return texts, np.concatenate([verdicts[question] for question in Question])


def main(arguments: Sequence[str] | None = None) -> None:
    """Calibrates and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with model.onnx and tokenizer.json")
    given = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(calibrate(given.model), indent=2) + "\n")


if __name__ == "__main__":
    main()
