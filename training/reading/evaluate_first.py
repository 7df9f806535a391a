"""How often the first sentence of an answer is found: `python -m training.reading.evaluate_first`.

Compares the rule of the inference service with the labels of authors, one file an author.
"""

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from axia.sentence.first_sentence import find_first_sentence

DATA = Path(__file__).parent / "data"
_OPEN = "?"
"""Label of an answer that readers would cut in different ways."""
_WHOLE = "="
"""Label of an answer that is one sentence."""
_MAY_BE_KEPT = re.compile(r"(?:[-*] |\d+\. |Answer: )")
"""What some labels keep before the sentence; with or without it is right."""


class Wrong(NamedTuple):
    """An answer whose first sentence was not found."""

    text: str
    label: str
    found: str


class Figures(NamedTuple):
    """How an author's answers are read."""

    answers: int
    wrong: tuple[Wrong, ...]

    @property
    def rate(self) -> float:
        """Share of the answers whose first sentence is the labelled one or whose label is open."""
        return 1 - len(self.wrong) / self.answers


def measure(rows: Iterable[Mapping[str, str]]) -> Figures:
    """Finds first sentences and compares them with their labels."""
    answers, wrong = 0, []
    for row in rows:
        answers += 1
        label = row["text"].strip() if row["first_sentence"] == _WHOLE else row["first_sentence"]
        found = find_first_sentence(row["text"]).sentence
        if label not in {_OPEN, found} and _MAY_BE_KEPT.sub("", label, count=1) != found:
            wrong.append(Wrong(row["text"], label, found))
    return Figures(answers, tuple(wrong))


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file of labels, in JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def main() -> None:
    """Prints the rate of each author."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--authors", type=int, nargs="+", help="numbers of authors; default: all that have labels")
    parser.add_argument("--wrong", action="store_true", help="print the answers whose sentence was not found")
    asked = parser.parse_args()
    for path in sorted(DATA.glob("author_*_first.jsonl"), key=lambda path: int(path.stem.split("_")[1])):
        if asked.authors and int(path.stem.split("_")[1]) not in asked.authors:
            continue
        figures = measure(read(path))
        print(f"{path.name}  {figures.rate:.3f}  of {figures.answers}")
        if asked.wrong:
            for miss in figures.wrong:
                print(f"  {miss.text!r}\n    label {miss.label!r}\n    found {miss.found!r}")


if __name__ == "__main__":
    main()
