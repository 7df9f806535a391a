"""Prints the speed and memory of the sentence model: python -m services.scoring.measure_embedder.

Speed is of AttributeValues on distinct sentences of 2 to 17 words, the best of five rounds; memory is what the process
holds with the model loaded and used.
"""

import resource
import sys
import time

from services.scoring.embedder import DEFAULT_MODEL, load_embedder
from services.scoring.language import Language

_SENTENCES = (
    "The child is reaching for the handle of the pot on the stove.",
    "An elderly man is lying on the floor.",
    "The knife on the table is within reach of the baby, which could be dangerous.",
    "A dog runs over the beach with a stick in its mouth, and its owner follows.",
    "A trophy",
)
_COPIES = 60


def main() -> None:
    """Prints the report."""
    language = Language(load_embedder(DEFAULT_MODEL))
    sentences = [f"{sentence} {number}" for number in range(_COPIES) for sentence in _SENTENCES]
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        language.attribute(sentences)
        best = max(best, len(sentences) / (time.perf_counter() - start))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    sys.stdout.write(f"AttributeValues {best:.0f} sentences/s, peak resident memory {memory_mb:.0f} MB\n")


if __name__ == "__main__":
    main()
