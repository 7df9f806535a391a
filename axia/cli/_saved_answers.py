"""Answers of saved detections, as rows for judges."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from axia.cli import _truths
from axia.cli._output import complain, printable

if TYPE_CHECKING:
    from axia.judges.labels import Rows
    from axia.results import Detection


class SavedAnswers(NamedTuple):
    """The answers of a file of detections."""

    rows: "Rows"
    """The answers about pictures with a truth."""
    asked: Sequence[str]
    """For each row the model that answered, with the prompt where the file has several."""
    untold: Sequence[str]
    """Pictures without a truth."""


def load_answers(path: Path, truths: Path | None) -> SavedAnswers:
    """Reads detections.

    Args:
        path: What `axia detect --json` printed, with or without --stream.
        truths: What annotators named, a row a picture; None: what each detection was judged by.

    Raises:
        typer.BadParameter: If a file can't be read, or no picture has a truth.
    """
    import hashlib

    from axia.inputs import AlignmentItem
    from axia.judges.labels import Row, Rows

    try:
        data = path.read_bytes()
        found = _detections(data.decode("utf-8"))
    except (OSError, ValueError):
        raise typer.BadParameter(
            f"{path} can't be read: give what `axia detect --json` printed", param_hint="DETECTIONS"
        ) from None
    known = _truths.load(truths) if truths else None
    several = len({_prompt(own) for own in found}) > 1
    rows: list[Row] = []
    asked: list[str] = []
    untold: dict[str, None] = {}
    for own in found:
        truth = _truth(own, known)
        if truth is None:
            untold[own.image.path or own.image.sha256] = None
            continue
        for completion in own.completions:
            item = AlignmentItem(answer=completion.first_sentence, element=truth.element, accept=truth.accept)
            rows.append(Row(item, None, own.image.sha256, own.model, {}))
            asked.append(f"{own.model}, {_prompt(own)}" if several else own.model)
    if not rows:
        message = f"none of the pictures in {path} has a truth: give one with --truths, for paths as they are there"
        raise typer.BadParameter(message, param_hint="--truths")
    return SavedAnswers(Rows(rows, hashlib.sha256(data).hexdigest()), asked, list(untold))


def tell_without_truth(saved: SavedAnswers) -> None:
    """Names the pictures without a truth on standard error."""
    if saved.untold:
        have = "has" if len(saved.untold) == 1 else "have"
        complain(f"{', '.join(map(printable, saved.untold))} {have} no row among the truths: not judged")


def _detections(text: str) -> "list[Detection]":
    from axia.results import Detection

    found = []
    for line in text.split("\n"):  # completions may have line breaks of other kinds
        if not line.strip():
            continue
        row: Any = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("is no object")  # noqa: TRY004 - what is wrong is the file
        if row.get("event") == "completion":
            continue
        found.append(Detection.model_validate(row["detection"] if row.get("event") == "summary" else row))
    if not found:
        raise ValueError("has no detections")
    return found


def _truth(detection: "Detection", known: Mapping[Path, _truths.Truth] | None) -> _truths.Truth | None:
    if known is not None:
        path = detection.image.path
        return known.get(Path(path).resolve()) if path else None
    own = detection.provenance.ground_truth
    return None if own is None else _truths.Truth(own.element, own.accept)


def _prompt(detection: "Detection") -> str:
    """The prompts' names, or the beginning of their hashes."""
    asked = detection.provenance
    prompts = [own for own in (asked.prompt, asked.system_prompt) if own is not None]
    return " + ".join(own.id or f"own text {own.sha256[:8]}" for own in prompts)
