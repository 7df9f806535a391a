"""Figures of how well answers to the questionnaire are read: `python -m training.reading.evaluate_isq`."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from services.scoring.reading.isq.text import read_isq
from training.reading.corpus import CALIBRATED, HELD_OUT, TRAINED, rows

OTHERS = Path(__file__).parents[2] / "tests" / "data" / "reading" / "isq_answers.jsonl"
"""Answers that the tests hold."""
_APART = 1e-6


class Figures(NamedTuple):
    """How an author's answers are read."""

    answers: int
    whole: float
    """Share of the answers that are read whole: all six numbers right, or no six where a reader could not tell them."""
    wrong: float
    """Share of numbers that are wrong, among all numbers of all answers; one that is not read is not wrong."""
    odd: tuple[str, ...]
    """The answers that are not read whole."""


def measure(answers: Sequence[Mapping[str, Any]]) -> Figures:
    """Reads answers and compares them with their labels."""
    whole = wrong = 0
    odd = []
    for row in answers:
        items = tuple(read_isq(row["answer"]).items)
        complete = None not in items
        if row["scores"] is None:
            right = not complete
            wrong += 6 * complete
        else:
            apart = [
                number
                for number, label in zip(items, row["scores"], strict=True)
                if number is None or abs(number - label) > _APART
            ]
            wrong += sum(number is not None for number in apart)
            right = not apart
        whole += right
        if not right:
            odd.append(f"{row['answer']}\n  label {row['scores']}\n  read  {list(items)}")
    return Figures(len(answers), whole / len(answers), wrong / (6 * len(answers)), tuple(odd))


def main() -> None:
    """Prints the figures of each author."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--authors", type=int, nargs="+", default=sorted((*TRAINED, *CALIBRATED, *HELD_OUT)))
    parser.add_argument("--odd", action="store_true", help="print the answers that are not read whole")
    arguments = parser.parse_args()
    kept = [json.loads(line) for line in OTHERS.read_text(encoding="utf-8").splitlines()]
    sets = {"tests": kept, **{f"author {author}": rows(author, "isq") for author in arguments.authors}}
    for name, answers in sets.items():
        if answers:
            figures = measure(answers)
            print(f"{name:9} {figures.answers:3} answers, {figures.whole:.3f} whole, {figures.wrong:.4f} wrong numbers")
            if arguments.odd:
                print(*figures.odd, sep="\n---\n")


if __name__ == "__main__":
    main()
