"""Questions with options from a table, whose columns a layout names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axia.evals.annotations.record import AnnotationError
from axia.evals.annotations.tables import read_rows
from axia.evals.datasets.choices import Choice, lettered, made
from axia.evals.datasets.folder import Images, file_of
from axia.evals.datasets.layout import Layout, cell, folded

FIELDS = ("id", "image", "context", "question", "options", "values", "answer", "category")
"""Fields that `columns` may name."""


def convert(folder: Path, layout: Layout, images: Images) -> list[Choice]:
    """The questions of a table.

    Raises:
        AnnotationError: If the table can't be read, or a row breaks a rule.
    """
    path = file_of(folder, layout.file or "questions.jsonl", "the table of questions")
    fields = ("image",) if layout.options else ("image", "options")
    needed = [folded(name) for field in fields for name in _names(layout.column(field))]
    rows = read_rows(path, [] if path.suffix.lower() in (".json", ".jsonl") else needed)
    if not rows:
        raise AnnotationError(f"{path} has no rows")
    found: dict[str, Choice] = {}
    for number, row in rows:
        place = f"{path}, row {number}"
        choice = _choice(place, number, row, layout, images)
        if choice is None:
            continue
        if choice.id in found:
            raise AnnotationError(
                f"{place}: the id {choice.id!r} is given twice; give each question its own, or name the column of ids"
            )
        found[choice.id] = choice
    return list(found.values())


def _names(column: str | tuple[str, ...]) -> tuple[str, ...]:
    return (column,) if isinstance(column, str) else column


def _choice(place: str, number: int, row: Mapping[str, Any], layout: Layout, images: Images) -> Choice | None:
    named = cell(place, row, layout.column("image"))
    paths = [images.get(name, place) for name in (named if isinstance(named, list) else [named])]
    given = cell(place, row, layout.column("options"), needed=not layout.options) or list(layout.options)
    options, letters = lettered(place, _texts(place, "options", given))
    values = cell(place, row, layout.column("values"), needed=False)
    question = cell(place, row, layout.column("question"), needed=False) or layout.question
    if not question:
        raise AnnotationError(f"{place}: has no question: name its column with --columns, or give `question` there")
    context = cell(place, row, layout.column("context"), needed=False)
    answer = cell(place, row, layout.column("answer"), needed=False)
    number_or_id = cell(place, row, layout.column("id"), needed=False)
    choice = made(
        place,
        {
            "id": str(number if number_or_id is None else number_or_id),
            "images": [path or "missing" for path in paths],
            "question": f"{context}\n{question}" if context else str(question),
            "options": options,
            "answers": answers_of(place, answer, options, letters, layout.first_option),
            "values": _texts(place, "values", values) if values else (),
            "category": str(cell(place, row, layout.column("category"), needed=False) or ""),
        },
    )
    return None if None in paths else choice


def _texts(place: str, field: str, found: object) -> list[str]:
    """A list of texts; in a CSV cell they are separated by ``|``."""
    listed = found.split("|") if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise AnnotationError(f"{place}: {field} must be a list of texts, or in a CSV file texts separated by |")
    return [text.strip() for text in listed]


def answers_of(
    place: str, given: object, options: Sequence[str], letters: Sequence[str], first: int | None = None
) -> tuple[int, ...]:
    """Places of the right options; empty where none is given.

    Args:
        place: Where it is, for messages.
        given: A letter, the text of an option, its number where `first` is given, or a list of these.
        options: Texts without letters.
        letters: Their letters.
        first: Number of the first option.

    Raises:
        AnnotationError: If it is none of these.
    """
    if given is None:
        return ()
    found = []
    for one in given if isinstance(given, list) else [given]:
        text = str(one).strip()
        if text.upper().strip("().:") in letters:
            found.append(letters.index(text.upper().strip("().:")))
        elif text in options:
            found.append(options.index(text))
        elif first is not None and text.lstrip("-").isdigit() and 0 <= int(text) - first < len(options):
            found.append(int(text) - first)
        else:
            hint = "; for numbers give first_option = 0 or 1 with --columns" if text.isdigit() else ""
            raise AnnotationError(
                f"{place}: the answer {text!r} is none of the options ({', '.join(letters)}) or their texts{hint}"
            )
    return tuple(dict.fromkeys(found))
