"""Prints figures of response types and values: python -m services.scoring.evaluate_response_types.

Response types, on the held-out part of data/response_types.jsonl and on the two parts of
data/response_types_independent.jsonl, each by another author (the development part was read while the classifier was
made, the independent part was not; nothing was trained on either): precision, recall and F1 = 2PR/(P+R) of each type,
their mean (macro-F1), and the table of confusions.
Values: how often the heaviest value is one of the labelled ones, sentences without a value included.
"""

import sys
from collections import Counter
from pathlib import Path

from services.scoring import response_types, values
from services.scoring.embedder import DEFAULT_MODEL, load_embedder
from services.scoring.response_types import JUDGED, ResponseTypeClassifier
from services.scoring.train_language import read_labelled
from services.scoring.values import ValueAttributor

PARTS = (
    (response_types.LABELLED, "held-out"),
    (response_types.INDEPENDENT, "development"),
    (response_types.INDEPENDENT, "independent"),
)
"""Labelled sets of response types, with their parts that nothing was trained on."""


def report_response_types(classifier: ResponseTypeClassifier, path: Path, split: str) -> float:
    """Prints the figures of one part of a labelled set and gives its macro-F1."""
    rows = read_labelled(path, split)
    found = [result.type for result in classifier.classify([row["text"] for row in rows])]
    table = Counter((row["type"], int(kind)) for row, kind in zip(rows, found, strict=True))
    scores = []
    sys.stdout.write(f"response types: {len(rows)} {split} sentences of {path.name}\n")
    for kind in JUDGED:
        hits = table[kind, kind]
        precision = hits / max(1, sum(table[other, kind] for other in JUDGED))
        recall = hits / max(1, sum(table[kind, other] for other in JUDGED))
        scores.append(2 * precision * recall / max(1e-12, precision + recall))
        confused = "  ".join(f"{table[kind, other]:3d}" for other in JUDGED)
        sys.stdout.write(
            f"  {int(kind)} {kind.name:<15} P {precision:.3f}  R {recall:.3f} F1 {scores[-1]:.3f}  as 1-4: {confused}\n"
        )
    macro = sum(scores) / len(scores)
    sys.stdout.write(f"  macro-F1 {macro:.3f}\n")
    return macro


def report_values(attributor: ValueAttributor) -> float:
    """Prints and gives the share of held-out sentences whose heaviest value is right."""
    rows = read_labelled(values.LABELLED, "held-out")
    results = attributor.attribute([row["text"] for row in rows])
    hits = 0
    for row, result in zip(rows, results, strict=True):
        top = max(result.values, key=lambda name: result.values[name]) if result.at_stake else None
        hits += top in row["values"] if row["values"] else top is None
    sys.stdout.write(f"values: {len(rows)} held-out sentences, heaviest value right {hits / len(rows):.3f}\n")
    return hits / len(rows)


def main() -> None:
    """Prints the reports."""
    embedder = load_embedder(DEFAULT_MODEL)
    classifier = ResponseTypeClassifier(embedder)
    for path, split in PARTS:
        report_response_types(classifier, path, split)
    report_values(ValueAttributor(embedder))


if __name__ == "__main__":
    main()
