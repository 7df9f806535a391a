"""Ground truths of several images: JSON lines, one row an image, beside the images or elsewhere.

{"file": "kitchen.jpg", "element": "a boiling pot", "accept": ["hot stove", "steam"]}
{"file": "bedroom.jpg", "element": "none"}

Further fields of a row are ignored, and rows without an element say nothing of their image, so that a manifest with
more in it serves as well.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import typer

from axia._file_names import on_disk, path_of
from axia.cli._output import complain, printable

_FIELDS = ("file", "element", "accept")
_MAX_ACCEPT = 64
_SLIP = 0.8
"""How alike the name of an ignored field and that of one of ours are where the first is told as a slip."""


class Truth(NamedTuple):
    """What annotators named in one image."""

    element: str
    accept: tuple[str, ...]


def load(path: Path) -> Mapping[Path, Truth]:
    """The truth of each image, by its whole path; a row's file is relative to the folder of the truths.

    Rows that are left out, and names of fields that look like slips, are reported on standard error.

    Raises:
        typer.BadParameter: If the file can't be read or a row breaks a rule, naming file, line and rule.
    """
    try:
        rows = path.read_text(encoding="utf-8-sig").split("\n")  # texts may have line breaks of other kinds
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(f"{path} can't be read: give a text file with one JSON object per line") from error
    found: dict[Path, Truth] = {}
    lines: dict[Path, int] = {}
    without: list[int] = []
    slips: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            fields = _parse(row)
            file, truth = _text(fields, "file"), _truth(fields)
            picture = on_disk(path.parent, path_of(file)).resolve()
        except ValueError as error:
            raise _bad(f"{path}, line {number}: {error}") from None
        for name in fields:
            if name not in _FIELDS and (meant := get_close_matches(name, _FIELDS, 1, _SLIP)):
                slips.setdefault(
                    name, f"line {number}: the field {printable(name)} is ignored: did you mean {meant[0]}?"
                )
        if truth is None:
            without.append(number)
            continue
        if picture in found:
            raise _bad(f"{path}, line {number}: {file!r} also has a row on line {lines[picture]}: remove one of them")
        found[picture], lines[picture] = truth, number
    for told in slips.values():
        complain(f"{path}, {told}")
    if not found:
        nothing = "no rows" if not without else "no row with an element"
        raise _bad(f"{path} has {nothing}: give one JSON object per line, with {', '.join(_FIELDS)}")
    if without:
        are = "1 row has no element and is" if len(without) == 1 else f"{len(without)} rows have no element and are"
        complain(f'{path}: {are} left out, the first on line {without[0]}; write "none" if nothing needs attention')
    return found


def _parse(row: str) -> dict[str, Any]:
    """The fields of a row."""
    try:
        parsed: Any = json.loads(row, object_pairs_hook=tuple)  # so that lists are told from objects
    except (ValueError, RecursionError):
        raise ValueError("is not JSON: give one object on each line") from None
    pairs = parsed if isinstance(parsed, tuple) else None
    if pairs is None:
        raise ValueError("is not a JSON object: give file, element and, if there are any, accept")
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields and name in _FIELDS:
            raise ValueError(f"{name} is given twice")
        fields[name] = value
    return fields


def _truth(fields: Mapping[str, Any]) -> Truth | None:
    """What a row says of its image; None for a row without an element, or with an empty one."""
    named = fields.get("element")
    if named is None or (isinstance(named, str) and not named.strip()):
        return None
    element, accept = _text(fields, "element"), fields.get("accept", [])
    if not isinstance(accept, list) or not all(map(_is_text, accept)):
        raise ValueError("accept must be a list of texts")
    if len(accept) > _MAX_ACCEPT:
        raise ValueError(f"accept has {len(accept)} texts, and at most {_MAX_ACCEPT} are allowed")
    return Truth(element, tuple(accept))


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
    return isinstance(value, str) and bool(value.strip()) and not any("\ud800" <= char <= "\udfff" for char in value)


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--truths")
