"""Trains the classifiers of response types and of values: python -m services.scoring.train_language.

Reads the labelled sentences' training parts from data/, writes data/response_types.npz and data/values.npz. The result
depends on the sentences and the sentence model alone, up to rounding: with another number of threads the weights differ
by less than 1e-6.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from services.scoring import response_types, values
from services.scoring.embedder import DEFAULT_MODEL, Embedder, load_embedder
from services.scoring.schwartz import VALUES
from services.scoring.softmax_model import Floats, train_softmax_model

# Inverse of the regularisation, by ``python -m services.scoring.cross_validate_language``. For response types macro-F1
# is flat from 3 to 20, and at 10 the loss is least; for values the share of right ones is flat from 20 on.
RESPONSE_TYPE_C = 10.0
VALUE_C = 20.0


def read_labelled(path: Path, split: str) -> list[dict[str, Any]]:
    """The rows of one part of a labelled set; `split` is train or held-out."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["split"] == split]


def response_type_targets(rows: list[dict[str, Any]]) -> Floats:
    """One row of 0 and 1 for each sentence, shape (sentences, types), in the order of `JUDGED`."""
    return np.array([[float(row["type"] == int(kind)) for kind in response_types.JUDGED] for row in rows])


def value_rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Training sentences of values, and those of response types in which no value is at stake."""
    nothing = {response_types.ResponseType.NONE, response_types.ResponseType.PICTURE_QUALITY}
    others = read_labelled(response_types.LABELLED, "train")
    return read_labelled(values.LABELLED, "train"), [
        {"text": row["text"], "values": []} for row in others if row["type"] in nothing
    ]


def value_targets(rows: list[dict[str, Any]]) -> Floats:
    """A distribution for each sentence, shape (sentences, 11): its values in equal parts, or nothing, which is last."""
    classes = [*VALUES, values.NOTHING]
    targets = np.zeros((len(rows), len(classes)))
    for line, row in enumerate(rows):
        for name in row["values"] or [values.NOTHING]:
            targets[line, classes.index(name)] = 1 / max(1, len(row["values"]))
    return targets


def train_response_types(embedder: Embedder) -> None:
    """Trains and writes the weights of `response_types`."""
    rows = read_labelled(response_types.LABELLED, "train")
    classes = [str(int(kind)) for kind in response_types.JUDGED]
    vectors = embedder.embed([row["text"] for row in rows])
    model = train_softmax_model(classes, vectors, response_type_targets(rows), RESPONSE_TYPE_C)
    model.save(response_types.WEIGHTS)


def train_values(embedder: Embedder) -> None:
    """Trains and writes the weights of `values`; a sentence of several values counts for each in equal parts."""
    own, nothing = value_rows()
    rows = own + nothing
    vectors = embedder.embed([row["text"] for row in rows])
    model = train_softmax_model([*VALUES, values.NOTHING], vectors, value_targets(rows), VALUE_C)
    model.save(values.WEIGHTS)


def main() -> None:
    """Trains both."""
    embedder = load_embedder(DEFAULT_MODEL, threads=1)  # the number of threads shows in the last digits
    train_response_types(embedder)
    train_values(embedder)
    sys.stdout.write(f"written: {response_types.WEIGHTS.name}, {values.WEIGHTS.name}\n")


if __name__ == "__main__":
    main()
