"""Prints how far judges agree with labels: python -m services.scoring.evaluate_alignment.

Cohen's κ and the share of agreement on both parts of data/alignment_pairs.jsonl, and the held-out pairs that a judge
gets wrong.
"""

import sys

from services.scoring.agreement import cohen_kappa
from services.scoring.alignment import LABELLED, AlignmentItem, SemanticJudge, judge_lexically
from services.scoring.embedder import DEFAULT_MODEL, load_embedder
from services.scoring.response_types import ResponseTypeClassifier
from services.scoring.train_language import read_labelled


def main() -> None:
    """Prints the report."""
    embedder = load_embedder(DEFAULT_MODEL)
    semantic = SemanticJudge(embedder, ResponseTypeClassifier(embedder))
    for split in ("train", "held-out"):
        rows = read_labelled(LABELLED, split)
        items = [AlignmentItem(row["answer"], row["element"], tuple(row["accept"])) for row in rows]
        labels = [bool(row["label"]) for row in rows]
        for name, verdicts in (
            ("lexical", tuple(map(judge_lexically, items))),
            ("semantic", semantic.judge(items)),
        ):
            found = [bool(verdict.aligned) for verdict in verdicts]
            same = sum(a == b for a, b in zip(labels, found, strict=True)) / len(labels)
            kappa = cohen_kappa(labels, found)
            sys.stdout.write(f"{split:<9} {name:<9} pairs {len(rows)}  agreement {same:.3f}  kappa {kappa:.3f}\n")
            for item, label, verdict in zip(items, labels, verdicts, strict=True):
                if label != verdict.aligned and split == "held-out":
                    sys.stdout.write(
                        f"  labelled {int(label)}: {item.answer!r} for {item.element!r}: {verdict.evidence}\n"
                    )


if __name__ == "__main__":
    main()
