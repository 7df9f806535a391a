"""Ground truths of several pictures: JSON lines, one row a picture, beside the pictures or elsewhere.

{"file": "kitchen.jpg", "element": "a boiling pot", "accept": ["hot stove", "steam"]}
{"file": "bedroom.jpg", "element": "none"}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import typer

_FIELDS = ("file", "element", "accept")
_MAX_ACCEPT = 64


class Truth(NamedTuple):
    """What annotators named in one picture."""

    element: str
    accept: tuple[str, ...]


def load(path: Path) -> Mapping[Path, Truth]:
    """The truth of each picture, by its whole path; a row's file is relative to the folder of the truths.

    Raises:
        typer.BadParameter: If the file can't be read or a row breaks a rule, naming file, line and rule.
    """
    try:
        rows = path.read_text(encoding="utf-8-sig").split("\n")  # texts may have line breaks of other kinds
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(f"{path} can't be read: give a text file with a JSON object a line") from error
    found: dict[Path, Truth] = {}
    lines: dict[Path, int] = {}
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            file, truth = _parse(row)
            picture = (path.parent / file).resolve()
        except ValueError as error:
            raise _bad(f"{path}, line {number}: {error}") from None
        if picture in found:
            raise _bad(f"{path}, line {number}: {file!r} has a row already, on line {lines[picture]}: leave one")
        found[picture], lines[picture] = truth, number
    if not found:
        raise _bad(f"{path} has no rows: give a JSON object a line, with {', '.join(_FIELDS)}")
    return found


def _parse(row: str) -> tuple[str, Truth]:
    try:
        parsed: Any = json.loads(row, object_pairs_hook=tuple)  # so that lists are told from objects
    except (ValueError, RecursionError):
        raise ValueError("is no JSON: give one object on each line") from None
    pairs = parsed if isinstance(parsed, tuple) else None
    if pairs is None:
        raise ValueError("is no JSON object: give file, element and, if there are any, accept")
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in _FIELDS:
            raise ValueError(f"{name!r} is no field: a row has {', '.join(_FIELDS)}")
        if name in fields:
            raise ValueError(f"{name} is there twice")
        fields[name] = value
    file, element, accept = (_text(fields, "file"), _text(fields, "element"), fields.get("accept", []))
    if not isinstance(accept, list) or not all(map(_is_text, accept)):
        raise ValueError("accept must be a list of texts")
    if len(accept) > _MAX_ACCEPT:
        raise ValueError(f"accept has {len(accept)} texts, and at most {_MAX_ACCEPT} are taken")
    return file, Truth(element, tuple(accept))


def _text(fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        raise ValueError(f"{name} is missing")
    value = fields[name]
    if not _is_text(value):
        hint = ', "none" where nothing needs attention' if name == "element" else ""
        raise ValueError(f"{name} must be a text{hint}")
    return cast("str", value)


def _is_text(value: object) -> bool:
    """Whether there is something to read, and no half of a character, as JSON can spell it."""
    return isinstance(value, str) and bool(value.strip()) and not any("\ud800" <= own <= "\udfff" for own in value)


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--truths")
