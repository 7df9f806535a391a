"""Prints what the constants of the language parts rest on: python -m services.scoring.cross_validate_language.

Everything is cross-validated on training parts alone:

    response types   macro-F1 and mean −ln p of the label, families left out in sixths and styles left out one by one,
                     for several C
    values           share of sentences whose heaviest value is right, and mean −Σ t ln p, sentences left out in tenths,
                     for several C
    alignment        Cohen's κ of the semantic judge, elements left out in eighths, each judged at the threshold that is
                     best on the others; and κ of all at thresholds around the one in use
"""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.scoring import alignment, response_types
from services.scoring.agreement import cohen_kappa
from services.scoring.alignment import COSINE_THRESHOLD, AlignmentItem, SemanticJudge
from services.scoring.embedder import DEFAULT_MODEL, Embedder, load_embedder
from services.scoring.response_types import ResponseTypeClassifier
from services.scoring.softmax_model import Floats, train_softmax_model
from services.scoring.train_language import (
    RESPONSE_TYPE_C,
    VALUE_C,
    read_labelled,
    response_type_targets,
    value_rows,
    value_targets,
)

_CS = (1.0, 3.0, 5.0, 10.0, 20.0, 30.0, 100.0)
_FOLDS = 10


def left_out(vectors: NDArray[np.float32], targets: Floats, folds: NDArray[np.int64], c: float) -> Floats:
    """Probabilities of each sentence by a model trained on the other folds; rows of fold −1 are always trained on."""
    found = np.zeros_like(targets)
    classes = [str(column) for column in range(targets.shape[1])]
    for fold in range(int(folds.max()) + 1):
        own = folds == fold
        found[own] = train_softmax_model(classes, vectors[~own], targets[~own], c).probabilities(vectors[own])
    return found


def macro_f1(labels: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Mean of F1 over the classes that labels name."""
    scores = [
        2 * float(((labels == kind) & (found == kind)).sum()) / float((labels == kind).sum() + (found == kind).sum())
        for kind in np.unique(labels)
    ]
    return sum(scores) / len(scores)


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _response_types(embedder: Embedder) -> None:
    rows = read_labelled(response_types.LABELLED, "train")
    vectors, targets = embedder.embed([row["text"] for row in rows]), response_type_targets(rows)
    groups = {
        "families": _codes([row["family"] for row in rows]) % 6,
        "styles": _codes([row["style"] for row in rows]),
    }
    sys.stdout.write(f"response types: {len(rows)} sentences, C in use {RESPONSE_TYPE_C:g}\n")
    for c in _CS:
        figures = []
        for name, folds in groups.items():
            found = left_out(vectors, targets, folds, c)
            loss = -float((targets * np.log(found)).sum(axis=1).mean())
            f1 = macro_f1(targets.argmax(axis=1), found.argmax(axis=1))
            figures.append(f"{name} left out: macro-F1 {f1:.3f}, loss {loss:.3f}")
        sys.stdout.write(f"  C {c:5g}  {'  '.join(figures)}\n")


def _values(embedder: Embedder) -> None:
    rows, fixed = value_rows()
    targets = value_targets(rows + fixed)
    vectors = embedder.embed([row["text"] for row in rows + fixed])
    own = np.random.default_rng(0).permutation(len(rows)) % _FOLDS
    folds = np.concatenate([own, np.full(len(fixed), -1)])
    sys.stdout.write(f"values: {len(rows)} sentences, C in use {VALUE_C:g}\n")
    for c in _CS:
        found = left_out(vectors, targets, folds, c)[: len(rows)]
        wanted = targets[: len(rows)]
        nothing = found[:, -1] > 1 / 2
        heaviest = np.where(nothing, found.shape[1] - 1, found[:, :-1].argmax(axis=1))
        right = float((wanted[np.arange(len(rows)), heaviest] > 0).mean())
        loss = -float((wanted * np.log(found)).sum(axis=1).mean())
        sys.stdout.write(f"  C {c:5g}  heaviest right {right:.3f}, loss {loss:.3f}\n")


def _alignment(embedder: Embedder) -> None:
    rows = [row for row in read_labelled(alignment.LABELLED, "train") if row["element"] != "none"]
    items = [AlignmentItem(row["answer"], row["element"], tuple(row["accept"])) for row in rows]
    labels = np.array([bool(row["label"]) for row in rows])
    judge = SemanticJudge(embedder, ResponseTypeClassifier(embedder))
    verdicts = judge.judge(items)
    cosines = np.array([verdict.score for verdict in verdicts])
    # What the threshold can't change: contradicted answers stay out at any threshold near the one in use.
    denied = np.array([verdict.score >= COSINE_THRESHOLD and not verdict.aligned for verdict in verdicts])
    grid = np.arange(COSINE_THRESHOLD - 0.10, COSINE_THRESHOLD + 0.105, 0.01).tolist()

    def kappa(own: NDArray[np.bool_], threshold: float) -> float:
        found = (cosines[own] >= threshold) & ~denied[own]
        return cohen_kappa(labels[own].tolist(), found.tolist()) or 0.0

    folds = _codes([row["element"] for row in rows]) % 8
    found = np.zeros(len(rows), dtype=bool)
    for fold in range(8):
        own = folds == fold
        best = max(grid, key=lambda threshold: kappa(~own, threshold))
        found[own] = (cosines[own] >= best) & ~denied[own]
    everything = np.ones(len(rows), dtype=bool)
    sys.stdout.write(f"semantic alignment: {len(rows)} pairs, threshold in use {COSINE_THRESHOLD}\n")
    sys.stdout.write(
        f"  elements left out in eighths: kappa {cohen_kappa(labels.tolist(), found.tolist()) or 0.0:.3f}\n"
    )
    for threshold in grid[::2]:
        sys.stdout.write(f"  at {threshold:.2f}: kappa {kappa(everything, threshold):.3f}\n")


def main() -> None:
    """Prints the report."""
    embedder = load_embedder(DEFAULT_MODEL)
    _response_types(embedder)
    _values(embedder)
    _alignment(embedder)


if __name__ == "__main__":
    main()
