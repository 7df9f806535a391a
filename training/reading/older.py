"""Labelled texts that axia had before: types, values, pairs of texts, by authors of its first release."""

import json
from pathlib import Path
from typing import Any

from services.scoring.reading.labels import TYPES, Relation
from training.reading.examples import NO_TARGET, NOT_SAME, NOTHING, PairExample, SentenceExample, distribution

_DATA = Path(__file__).parent / "data"


def older_sentences() -> list[SentenceExample]:
    """The training parts of both files of sentences."""
    found = []
    for row in _rows("author_0_types.jsonl"):
        if row["split"] == "train":
            value_aware = row["type"] == TYPES.index("value_aware")
            found.append(SentenceExample(row["text"], row["type"], None if value_aware else NOTHING))
    for row in _rows("author_0_values.jsonl"):
        if row["split"] == "train":
            found.append(SentenceExample(row["text"], NO_TARGET, distribution(row["values"])))
    return found


def older_pairs() -> list[PairExample]:
    """The training parts of both files of pairs."""
    found = []
    for row in _rows("author_0_alignment.jsonl"):
        if row["split"] == "train":
            relation = int(Relation.SAME) if row["label"] else NOT_SAME
            found += [PairExample(row["answer"], wording, relation) for wording in (row["element"], *row["accept"][:1])]
    for row in _rows("author_0_same_meaning.jsonl"):
        if row["split"] == "train":
            found.append(PairExample(row["first"], row["second"], int(Relation.SAME) if row["label"] else NOT_SAME))
    return found


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_DATA / name).read_text(encoding="utf-8").splitlines()]
