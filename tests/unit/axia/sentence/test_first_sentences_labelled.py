"""First sentences as people label them. Rates may rise; one that falls is a fault."""

from pathlib import Path

import pytest

from training.reading.evaluate_first import DATA, measure, read

TESTED = Path(__file__).parents[3] / "data" / "reading" / "first_sentences.jsonl"


@pytest.mark.parametrize(
    ("path", "at_least"),
    # Of the lines for tests, two have labels that are not the first sentence.
    [(DATA / "author_5_first.jsonl", 0.96), (TESTED, 0.94)],
    ids=lambda row: getattr(row, "stem", ""),
)
def test_first_sentences_are_found_as_labelled(path: Path, at_least: float) -> None:
    figures = measure(read(path))
    assert figures.rate >= at_least, "\n".join(map(repr, figures.wrong))
