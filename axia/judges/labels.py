"""Rows for judges: an answer, what it should name, and whether a person found that it does.

{"answer": "The stove is on.", "element": "a hot stove", "accept": ["stove"], "aligned": 1, "picture": "kitchen.jpg"}

`accept`, `picture`, `model` (who gave the answer) and `judge_answers` (what models said when they were asked whether
the answer names the element, such as {"gpt-4o": "Yes."}) may be left out.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from axia.inputs import AlignmentItem

_FIELDS = ("answer", "element", "accept", "aligned", "picture", "model", "judge_answers")
_MAX_ACCEPT = 64


class Row(NamedTuple):
    """One answer."""

    item: AlignmentItem
    """The answer and what it should name."""
    aligned: int | None
    """What a person says: 1 if the answer names the element, 0 if not; None without a label."""
    picture: str
    """The image that the answer is about; empty where the file names none."""
    model: str
    """The model that gave the answer; empty if unknown."""
    judge_answers: Mapping[str, str]
    """What models said when they were asked whether the answer names the element, by the model's name."""


class Rows(NamedTuple):
    """A file of rows."""

    rows: Sequence[Row]
    """At least one."""
    sha256: str
    """SHA-256 of the file, 64 lower-case hexadecimal digits."""

    @property
    def items(self) -> list[AlignmentItem]:
        """The answers with what they should name."""
        return [row.item for row in self.rows]

    @property
    def clusters(self) -> list[str] | None:
        """The image of each row; None where the file names none."""
        return [row.picture for row in self.rows] if self.rows[0].picture else None

    @property
    def recorded_judges(self) -> list[str]:
        """Models whose answers every row has, in the order of the first row."""
        first, *others = [row.judge_answers for row in self.rows]
        return [name for name in first if all(name in names for names in others)]


def load(path: Path, *, labelled: bool) -> Rows:
    """Reads a file of rows.

    Args:
        path: JSON lines.
        labelled: Whether rows have `aligned`; if not, they must not have it.

    Raises:
        ValueError: If the file can't be read or a row breaks a rule, naming file, line and rule.
    """
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8-sig").split("\n")  # texts may have line breaks of other kinds
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{path} can't be read: give a text file with one JSON object per line") from None
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _parse(line, labelled=labelled)
            if rows and bool(row.picture) != bool(rows[0].picture):
                raise ValueError('some rows have the field "picture" and others don\'t: add it to all rows, or to none')  # noqa: TRY301
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} has no rows: write one JSON object per line, with answer, element and other fields")
    return Rows(rows, hashlib.sha256(data).hexdigest())


def _parse(line: str, *, labelled: bool) -> Row:
    try:
        fields = json.loads(line, object_pairs_hook=_once)
    except _Twice as error:
        raise ValueError(f"{error} is given twice") from None
    except (ValueError, RecursionError):
        raise ValueError("is not JSON: write one object per line") from None
    if not isinstance(fields, dict):
        raise ValueError("is not a JSON object: give answer, element and optionally accept")  # noqa: TRY004
    for name in fields:
        if name not in _FIELDS:
            raise ValueError(f"{name!r} is not a field: a row has {', '.join(_FIELDS)}")
    accept = fields.get("accept", [])
    if not isinstance(accept, list) or not all(_is_text(text) and text.strip() for text in accept):
        raise ValueError("accept must be a list of texts")
    if len(accept) > _MAX_ACCEPT:
        raise ValueError(f"accept has {len(accept)} texts, and at most {_MAX_ACCEPT} are allowed")
    element = _text(fields, "element")
    if not element.strip():
        raise ValueError('element must not be empty: give "none" if nothing needs attention')
    recorded = fields.get("judge_answers", {})
    if not isinstance(recorded, dict) or not all(_is_text(text) for pair in recorded.items() for text in pair):
        raise ValueError('judge_answers must be an object of texts, such as {"gpt-4o": "Yes."}')
    return Row(
        AlignmentItem(answer=_text(fields, "answer"), element=element, accept=tuple(accept)),
        _label(fields, labelled=labelled),
        _text(fields, "picture", ""),
        _text(fields, "model", ""),
        recorded,
    )


def _label(fields: Mapping[str, Any], *, labelled: bool) -> int | None:
    aligned = fields.get("aligned")
    if not labelled:
        if aligned is not None:
            raise ValueError("has a label (aligned): move the row to the file of labels")
        return None
    if not isinstance(aligned, int) or aligned not in (0, 1):
        raise ValueError("aligned must be 1 if the answer names the element, 0 if not")
    return int(aligned)


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if value is None:
        raise ValueError(f"{name} is missing")
    if not _is_text(value):
        raise ValueError(f"{name} must be a text")
    return cast("str", value)


def _is_text(value: object) -> bool:
    """Whether it is a text without half of a character, as JSON can spell it."""
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


class _Twice(ValueError):
    """A name that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found
