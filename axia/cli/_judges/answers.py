"""Answers of saved detections, as rows for judges."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from axia.cli._detections.saved import load_detections
from axia.cli._detections.truths import Truth
from axia.cli._detections.truths import load as load_truths
from axia.cli._output import complain, printable

if TYPE_CHECKING:
    from axia.judges.labels import Rows
    from axia.results import Detection


READ_CHARS = 16_384
"""Characters of an answer that are sent to be read, which servers take by default: of one without an end the beginning,
so that it doesn't cost the others of its call."""


class SavedAnswers(NamedTuple):
    """The answers of a file of detections."""

    rows: "Rows"
    """The answers about images with a truth."""
    asked: Sequence[str]
    """For each row the model that answered, with the prompt where the file has several."""
    untold: Sequence[str]
    """Images without a truth."""


def load_answers(path: Path, truths: Path | None) -> SavedAnswers:
    """Reads detections.

    Args:
        path: What `axia detect` printed with --json or saved with --out.
        truths: What annotators named, a row an image; None: what each detection was judged by.

    Raises:
        typer.BadParameter: If a file can't be read, or no image has a truth.
    """
    from axia.inputs import AlignmentItem
    from axia.judges.labels import Row, Rows

    found = load_detections(path, "DETECTIONS")
    known = load_truths(truths) if truths else None
    several = len({_prompt(detection) for detection in found}) > 1
    rows: list[Row] = []
    asked: list[str] = []
    untold: dict[str, None] = {}
    for detection in found:
        truth = _truth(detection, known)
        if truth is None:
            untold[detection.image.path or detection.image.sha256] = None
            continue
        for completion in detection.completions:
            item = AlignmentItem(
                answer=completion.first_sentence[:READ_CHARS], element=truth.element, accept=truth.accept
            )
            rows.append(Row(item, None, detection.image.sha256, detection.model, {}))
            asked.append(f"{detection.model}, {_prompt(detection)}" if several else detection.model)
    if not rows:
        message = f"none of the images in {path} has a ground truth: give --truths FILE with rows for these images"
        raise typer.BadParameter(message, param_hint="--truths")
    return SavedAnswers(Rows(rows, hashlib.sha256(path.read_bytes()).hexdigest()), asked, list(untold))


def tell_without_truth(saved: SavedAnswers) -> None:
    """Names the images without a truth on standard error."""
    if saved.untold:
        have = "has" if len(saved.untold) == 1 else "have"
        complain(f"{', '.join(map(printable, saved.untold))} {have} no row among the truths: not judged")


def _truth(detection: "Detection", known: Mapping[Path, Truth] | None) -> Truth | None:
    if known is not None:
        path = detection.image.path
        return known.get(Path(path).resolve()) if path else None
    saved = detection.provenance.ground_truth
    return None if saved is None else Truth(saved.element, saved.accept)


def _prompt(detection: "Detection") -> str:
    """The prompts' names, or the beginning of their hashes."""
    asked = detection.provenance
    prompts = [prompt for prompt in (asked.prompt, asked.system_prompt) if prompt is not None]
    return " + ".join(prompt.id or f"own text {prompt.sha256[:8]}" for prompt in prompts)
