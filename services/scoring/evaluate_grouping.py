"""Prints how well sentences of the same meaning are told from others: python -m services.scoring.evaluate_grouping.

Over the labelled pairs of data/same_meaning.jsonl: the share of pairs judged right, precision, recall and F1 of "same",
for the training and the held-out part, and the held-out pairs that are judged wrong. Before that, what the calibration
of the threshold rests on: the training part's accuracy at thresholds around it, and the accuracy on training pairs left
out in tenths, each judged at the threshold that is best on the other nine.
"""

import sys

import numpy as np
from numpy.typing import NDArray

from services.scoring.embedder import DEFAULT_MODEL, Embedder, load_embedder
from services.scoring.grouping import LABELLED, SAME_MEANING, meaning_similarity, normalise
from services.scoring.train_language import read_labelled

_GRID = np.arange(0.40, 0.90, 0.01).tolist()
_FOLDS = 10


def measure(near: NDArray[np.float64], labels: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """Accuracy, precision, recall and F1 = 2PR/(P+R) of "same" at a threshold, each 0 to 1."""
    found = near >= threshold
    hits = int((found & labels).sum())
    precision, recall = hits / max(1, int(found.sum())), hits / max(1, int(labels.sum()))
    return {
        "accuracy": float((found == labels).mean()),
        "precision": precision,
        "recall": recall,
        "F1": 2 * precision * recall / max(1e-12, precision + recall),
    }


def read_pairs(embedder: Embedder, split: str) -> tuple[list[str], NDArray[np.float64], NDArray[np.bool_]]:
    """The pairs of one part as text, how near each is in meaning, and whether it is labelled as the same."""
    rows = read_labelled(LABELLED, split)
    near = [
        meaning_similarity([normalise(row["first"]), normalise(row["second"])], embedder)[0, 1].item() for row in rows
    ]
    texts = [f"{row['first']!r} and {row['second']!r}" for row in rows]
    return texts, np.array(near), np.array([bool(row["label"]) for row in rows])


def best_threshold(near: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """The threshold with the highest accuracy; the middle one of several."""
    accuracies = [measure(near, labels, threshold)["accuracy"] for threshold in _GRID]
    best = [threshold for threshold, own in zip(_GRID, accuracies, strict=True) if own == max(accuracies)]
    return best[len(best) // 2]


def main() -> None:
    """Prints the report."""
    embedder = load_embedder(DEFAULT_MODEL)
    _, near, labels = read_pairs(embedder, "train")
    for threshold in (SAME_MEANING - 0.1, SAME_MEANING - 0.05, SAME_MEANING, SAME_MEANING + 0.05, SAME_MEANING + 0.1):
        sys.stdout.write(f"train at {threshold:.2f}: accuracy {measure(near, labels, threshold)['accuracy']:.3f}\n")
    fold = np.random.default_rng(0).permutation(len(near)) % _FOLDS
    right = [
        (near[fold == own] >= best_threshold(near[fold != own], labels[fold != own])) == labels[fold == own]
        for own in range(_FOLDS)
    ]
    left_out = float(np.concatenate(right).mean())
    sys.stdout.write(f"best on train {best_threshold(near, labels):.2f}, in use {SAME_MEANING}; ")
    sys.stdout.write(f"left out in tenths: accuracy {left_out:.3f}\n")
    for split in ("train", "held-out"):
        texts, near, labels = read_pairs(embedder, split)
        figures = "  ".join(f"{name} {value:.3f}" for name, value in measure(near, labels, SAME_MEANING).items())
        sys.stdout.write(f"{split:<9} pairs {len(labels)} ({int(labels.sum())} the same)  {figures}\n")
    for text, value, label in zip(texts, near.tolist(), labels.tolist(), strict=True):
        if (value >= SAME_MEANING) != label:
            sys.stdout.write(f"  {'the same' if label else 'different'}, at {value:5.2f}: {text}\n")


if __name__ == "__main__":
    main()
