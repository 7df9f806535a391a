"""Measures how κ grows with the number of authors in training: python -m training.reading.curve.

Trains the relation of two texts alone on the first 1, 2, 4, 8 and 13 authors of TRAINED, fits the threshold to
the first of CALIBRATED and scores one author that is in neither. About ten minutes an entry on two cores; entries that
are already stored, with the same options, are kept.
"""

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np
import torch

from services.scoring.reading.labels import Relation
from services.scoring.reading.semantic_judge import mean_of_best
from training.reading import corpus
from training.reading.base import base_folder
from training.reading.calibrate import alignment_answers
from training.reading.card import CURVE
from training.reading.corpus import CALIBRATED, HELD_OUT, TRAINED
from training.reading.figures import kappa
from training.reading.network import ReaderNetwork
from training.reading.train import Tokens, Trainer

COUNTS = (1, 2, 4, 8, 13)
_THRESHOLDS = np.arange(0.05, 0.96, 0.01)
_BATCH = 64


def scores(network: ReaderNetwork, author: int, phrasings: int) -> tuple[np.ndarray, np.ndarray]:
    """The score of each answer of an author's situations, and its label."""
    tokens, pairs, sizes, labels = Tokens(base_folder()), [], [], []
    for situation in corpus.situations([author]):
        if situation.nothing:
            continue
        wanted = (situation.element, *situation.phrasings[:phrasings])
        for text, label in alignment_answers(situation):
            pairs += [(text, other) for other in wanted]
            sizes.append(len(wanted))
            labels.append(label)
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]) + len(pairs[place][1]))
    same = np.empty(len(pairs))
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            logits = network(**tokens([pairs[row] for row in rows])).relation
            same[rows] = torch.softmax(logits, -1)[:, Relation.SAME].numpy()
    ends = np.cumsum(sizes)
    found = [mean_of_best(same[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
    return np.array(found), np.array(labels) == 1


def measure(authors: Sequence[int], steps: int, seed: int, scored: int) -> dict[str, float]:
    """Trains on some authors and scores another."""
    network = Trainer(authors, steps, seed, pairs_only=True).run()
    fitted = [scores(network, CALIBRATED[0], phrasings) for phrasings in (3, 0)]
    threshold = max(_THRESHOLDS, key=lambda bound: sum(kappa(labels, found >= bound) for found, labels in fitted))
    figures: dict[str, float] = {"authors": len(authors), "steps": steps}
    for name, phrasings in (("with_phrasings", 3), ("element_alone", 0)):
        found, labels = scores(network, scored, phrasings)
        figures[name] = kappa(labels, found >= threshold)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400, help="of each training")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--scored", type=int, default=HELD_OUT[0])
    given = parser.parse_args(arguments)
    options = {"scored": given.scored, "seed": given.seed}
    before = json.loads(CURVE.read_text(encoding="utf-8")) if CURVE.is_file() else {}
    rows = before["rows"] if before and {name: before.get(name) for name in options} == options else []
    rows = [row for row in rows if row["steps"] == given.steps]
    for count in COUNTS:
        if count in {row["authors"] for row in rows}:
            continue
        rows.append(measure(TRAINED[:count], given.steps, given.seed, given.scored))
        sys.stdout.write(json.dumps(rows[-1]) + "\n")
        sys.stdout.flush()
        stored = {**options, "rows": rows}
        CURVE.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
