"""Detections that were saved: by `axia detect` in any of its forms, or from an answer of the gateway over HTTP."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from axia._file_names import path_of
from axia.cli._output import complain, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from axia.results import Detection

WHAT_TO_GIVE = "give what `axia detect --json` printed or --out saved, or what POST /v1/detect answered"
"""What ends a message about a file without detections."""

_DATA = "data:"
_COMMENTS = ("event:", "id:", "retry:", ":")
"""How other lines of server-sent events begin."""


def load_detections(path: Path, param_hint: str) -> "list[Detection]":
    """The detections of a file; rows about completions and means are passed over, as are those of images that failed,
    which standard error is told.

    Raises:
        typer.BadParameter: If there are none, or something else is in it.
    """
    try:
        read = read_detections(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        read = Read([], [])
    number = len(read.failed)
    images = "image" if number == 1 else "images"
    if read.failed and not read.detections:
        raise typer.BadParameter(
            f"{path} has no detections; {number} {images} failed: {some(read.failed)}. Run axia detect again",
            param_hint=param_hint,
        )
    if not read.detections:
        raise typer.BadParameter(f"{path} can't be read: {WHAT_TO_GIVE}", param_hint=param_hint)
    if read.failed:
        complain(f"{path}: left out {number} {images} that failed: {some(read.failed)}")
    return read.detections


class Read(NamedTuple):
    """What a text has."""

    detections: "list[Detection]"
    failed: list[str]
    """Paths of images that failed and have no detection in it; the number of the row where that names no path."""


def read_detections(text: str) -> Read:
    """The detections in a text, and what failed.

    Raises:
        ValueError: If something else is in it.
    """
    found: list[Detection] = []
    failed: dict[str, None] = {}
    for number, row in enumerate(_rows(text), start=1):
        if not isinstance(row, dict):
            raise ValueError("is not an object")  # noqa: TRY004 - what is wrong is the file
        detection = row.get("detection", row)
        if isinstance(detection, dict) and "completions" in detection:
            found.append(_detection(detection))
        elif "error" in row:
            failed[path_of(_path(row)) or f"row {number}"] = None
        elif not _is_passed_over(row):
            raise ValueError("is not a detection")
    answered = {detection.image.path for detection in found}
    return Read(found, [path for path in failed if path not in answered])


def _path(row: dict[str, Any]) -> str:
    """The path of an image that failed, by any form of output; empty where nothing names it, as over HTTP."""
    image = row.get("image")
    path = image.get("path") if isinstance(image, dict) else row.get("path")
    return path if isinstance(path, str) else ""


def _is_passed_over(row: dict[str, Any]) -> bool:
    """Whether a row is one of those that stand beside detections: an event, or a completion of a stream."""
    return "event" in row or "first_sentence" in row


def _rows(text: str) -> "Iterator[Any]":
    try:
        whole = json.loads(text)  # also one that is spread over lines
    except ValueError:
        pass
    else:
        yield from whole if isinstance(whole, list) else [whole]
        return
    for line in map(str.strip, text.split("\n")):  # completions may have line breaks of other kinds
        if line and not line.startswith(_COMMENTS):
            yield json.loads(line.removeprefix(_DATA))


def _detection(row: dict[str, Any]) -> "Detection":
    """One detection, as the client writes it or as the contract's JSON has it."""
    from axia.results import Detection

    if "timings" not in row:  # the client's is `timings_ms`
        return Detection.model_validate_json(json.dumps(row))
    from google.protobuf import json_format

    from axia.convert import to_detection
    from axia.v1 import gateway_pb2

    try:
        message = json_format.ParseDict(row, gateway_pb2.DetectValuesResponse(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error
    return to_detection(message, path=None, request_id="")
