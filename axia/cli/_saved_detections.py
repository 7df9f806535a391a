"""Detections that were saved: by `axia detect` in any of its forms, or from an answer of the gateway over HTTP."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from axia.results import Detection

WHAT_TO_GIVE = "give what `axia detect --json` printed or --out saved, or what POST /v1/detect answered"
"""What ends a message about a file without detections."""

_DATA = "data:"
_COMMENTS = ("event:", "id:", "retry:", ":")
"""How other lines of server-sent events begin."""


def load_detections(path: Path, param_hint: str) -> "list[Detection]":
    """The detections of a file; rows about failures, completions and means are passed over.

    Raises:
        typer.BadParameter: If there are none, or something else is in it.
    """
    try:
        found = read_detections(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        found = []
    if not found:
        raise typer.BadParameter(f"{path} can't be read: {WHAT_TO_GIVE}", param_hint=param_hint)
    return found


def read_detections(text: str) -> "list[Detection]":
    """The detections in a text.

    Raises:
        ValueError: If something else is in it.
    """
    found = []
    for row in _rows(text):
        if not isinstance(row, dict):
            raise ValueError("is no object")  # noqa: TRY004 - what is wrong is the file
        detection = row.get("detection", row)
        if isinstance(detection, dict) and "completions" in detection:
            found.append(_detection(detection))
        elif not _is_passed_over(row):
            raise ValueError("is no detection")
    return found


def _is_passed_over(row: dict[str, Any]) -> bool:
    """Whether a row is one of those that stand beside detections: an event, a failure, a completion of a stream."""
    return "event" in row or "error" in row or "first_sentence" in row


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
        return Detection.model_validate(row)
    from google.protobuf import json_format

    from axia.convert import to_detection
    from axia.v1 import gateway_pb2

    try:
        message = json_format.ParseDict(row, gateway_pb2.DetectValuesResponse(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error
    return to_detection(message, path=None, request_id="")
