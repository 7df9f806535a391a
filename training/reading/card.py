"""Writes the reader model's card with its figures: python -m training.reading.card."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.scoring.reading.language import Language
from services.scoring.reading.model import PACKAGED, load_reader
from training.reading import corpus
from training.reading.corpus import CALIBRATED, HELD_OUT, TRAINED
from training.reading.evaluate import evaluate
from training.reading.figures import kappa

CURVE = Path(__file__).parent / "curve.json"
"""What `training.reading.curve` measured; it takes an hour, so it is stored."""
_QUESTIONS = ("like", "interest", "judge")


def render(figures: Mapping[int, Mapping[str, Any]], recipe: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    rows: list[tuple[str, Callable[[Mapping[str, Any]], float | None]]] = [
        ("alignment, κ with three phrasings", lambda measured: measured["alignment"]["semantic"]["with_phrasings"]),
        ("alignment, κ with the element alone", lambda measured: measured["alignment"]["semantic"]["element_alone"]),
        ("the same by words (the lexical judge)", lambda measured: measured["alignment"]["lexical"]["with_phrasings"]),
        ("same meaning, F1 of pairs", lambda measured: measured["grouping"]["pair_f1"]),
        ("right consensus or abstention", lambda measured: measured["grouping"]["consensus_right"]),
        *((f"{name}, {what}", _of(name, what)) for what in ("right", "opposite") for name in _QUESTIONS),
        ("response types, macro-F1", lambda measured: measured["types"].get("macro_f1")),
        ("values: recall of value-aware answers", lambda measured: measured["values"]["recall"]),
        ("values: heaviest right", lambda measured: measured["values"]["heaviest_right"]),
        ("the same, two readers of 40 answers", lambda measured: measured["values"].get("readers_right")),
        ("values: nothing at stake right", lambda measured: measured["values"]["nothing_right"]),
    ]
    head = " | ".join(f"author {author}" for author in figures)
    table = "\n".join(
        f"| {name} | " + " | ".join(_number(read(measured)) for measured in figures.values()) + " |"
        for name, read in rows
    )
    return f"""# The reader model

Reads what vision-language models answer: whether two texts name the same concern, contradict each other or neither;
what kind of answer a sentence is; which of Schwartz's values it concerns; and whether an answer to a yes-or-no question
says yes, no, declines or says neither.

{recipe["base"]}, 22 million parameters, fine-tuned on four tasks at once: {recipe["steps"]:,} steps, seed
{recipe["seed"]}, {recipe["minutes"]:.0f} minutes on two cores. Weights in 8-bit integers. English only.
{_origin(recipe)}

## What it was fitted to

Texts by authors {_listed(recipe["authors"])}
and by those of axia's first release;
temperatures and thresholds by authors {_listed(CALIBRATED)}.
**All texts imitate models; no output of a real model was scored.**
The authors are language models with different briefs, so they are more alike than people are. See
[training/reading/data](../../../../training/reading/data/README.md).

## Figures

Nothing was fitted to authors {_listed(HELD_OUT)}. Authors 20 and 29 were scored with the
finished reader, and one rule was added after each (see the data); the first three authors' figures were seen while
the reader was made.
`python -m training.reading.evaluate --authors {",".join(map(str, HELD_OUT))}`

| | {head} |
| --- |{" --- |" * len(figures)}
{table}

{_ceiling()}
{_curve()}
## Limits

- A sentence in another language is not read but reported ([spoken.py](../../spoken.py)).
- Only the first 128 tokens of a text, or of a pair together, count.
- "None" needs more certainty than other kinds of answer, because a robot that hears it looks away.
- Before you trust a number on a model's real answers, label a few hundred of them: `axia judges audit`.
"""


def _listed(authors: Sequence[int]) -> str:
    return ", ".join(map(str, authors[:-1])) + f" and {authors[-1]}"


def _origin(recipe: Mapping[str, Any]) -> str:
    if tuple(recipe["authors"]) == TRAINED:
        return "`make reader-model` makes it again."
    added = ", ".join(str(author) for author in TRAINED if author not in recipe["authors"])
    return f"The recipe has changed since: `make reader-model` also takes authors {added}, and more and larger steps."


def _of(part: str, name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda measured: measured[part].get(name)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _ceiling() -> str:
    path = corpus.DATA / "second_reading.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    first, second = (np.array([row[name] == 1 for row in rows]) for name in ("aligned", "second"))
    return (
        f"A second blind reading of {len(rows)} pairs has κ {kappa(first, second):.2f} with the labels; that reader is "
        "a language model as well.\n"
    )


def _curve() -> str:
    if not CURVE.is_file():
        return ""
    stored = json.loads(CURVE.read_text(encoding="utf-8"))
    rows = "\n".join(
        f"| {row['authors']} | {row['steps']:,} | {row['with_phrasings']:.3f} | {row['element_alone']:.3f} |"
        for row in stored["rows"]
    )
    return f"""## Number of authors

κ of alignment on author {stored["scored"]}, to whom nothing was fitted, by the number of authors in the training data,
after short trainings with the same number of steps: the task of two texts alone, in 32-bit floats, with the threshold
fitted to author {CALIBRATED[0]}. One training each, so a difference of a few hundredths says little.
`python -m training.reading.curve --steps {stored["rows"][0]["steps"]}`

| authors | steps | κ with three phrasings | κ with the element alone |
| --- | --- | --- | --- |
{rows}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes README.md and figures.json beside the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="render figures.json again without measuring")
    given = parser.parse_args(arguments)
    stored = PACKAGED / "figures.json"
    if given.again:
        figures = {int(author): measured for author, measured in json.loads(stored.read_text(encoding="utf-8")).items()}
    else:
        language = Language(load_reader(remembered=500_000))
        figures = {author: evaluate(language, author) for author in HELD_OUT}
        stored.write_text(json.dumps(figures, indent=2, default=float) + "\n", encoding="utf-8")
    recipe = json.loads((PACKAGED / "training.json").read_text(encoding="utf-8"))
    (PACKAGED / "README.md").write_text(render(figures, recipe), encoding="utf-8")


if __name__ == "__main__":
    main()
