"""Rows of JSON, JSON lines and CSV files, with the places where they are.

CSV files come from spreadsheets: with a byte order mark, semicolons or tabs between fields, quotes around them, and the
marks with which Excel keeps a text from being a number (``="007"``) or a formula (a leading apostrophe).
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from axia.evals.annotations.json_lines import parse_rows
from axia.evals.annotations.record import AnnotationError

_EXCEL_TEXT = re.compile(r'^="(.*)"$', re.DOTALL)
_DELIMITERS = ",;\t"
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def read_text(path: Path, kinds: str = ".jsonl or .csv") -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Raises:
        AnnotationError: If it can't be read, is a workbook, or is not UTF-8.
    """
    if path.suffix.lower() in _WORKBOOKS and path.is_file():
        raise AnnotationError(f"{path} is a workbook: save its sheet as “CSV UTF-8 (comma delimited)” and give that")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise AnnotationError(f"{path} is not UTF-8: in Excel, save it as “CSV UTF-8 (comma delimited)”") from None
    except OSError as error:
        raise AnnotationError(f"{path} can't be read ({error.strerror}): give a {kinds} file") from None


def read_rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a file, each with its line; in a ``.json`` file, which holds one list, with its number.

    The names of a CSV file's columns are taken in lower case, with ``_`` for a space; its cells are texts.

    Args:
        path: A ``.csv``, ``.tsv``, ``.json`` or ``.jsonl`` file.
        needed: Columns that a CSV file must have, in lower case; of the other formats, for messages.

    Raises:
        AnnotationError: If the file can't be read or breaks a rule of its format; the message names the place.
    """
    text, suffix = read_text(path), path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return list(_csv_rows(path, text, needed))
    if suffix == ".json":
        return list(_json_rows(path, text))
    return list(parse_rows(path, text, ", ".join(needed)))


def _json_rows(path: Path, text: str) -> Iterable[tuple[int, dict[str, Any]]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{path} is not JSON ({error}): correct it, or download it again if the download is incomplete"
        ) from None
    if not isinstance(rows, list):
        raise AnnotationError(f"{path} is not a JSON list: give a JSON list of objects, or JSON lines in a .jsonl file")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise AnnotationError(f"{path}, entry {number}: is not a JSON object")
        yield number, row


def _csv_rows(path: Path, text: str, needed: Sequence[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # Excel's own first line, which names the delimiter
        delimiter, text, skipped = first.strip()[4:] or ",", rest, 1
    else:
        delimiter, skipped = max(_DELIMITERS, key=first.count), 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [_cell(name).lower().replace(" ", "_") for name in next(reader, [])]
        if missing := [name for name in needed if name not in header]:
            raise AnnotationError(
                f"{path}: its first line has no column {' and no column '.join(missing)}; it names the columns, "
                f"{', '.join(needed)} among them"
            )
        if len(set(header)) != len(header):
            raise AnnotationError(f"{path}: its first line names a column twice; give each column one name")
        for cells in reader:
            line = reader.line_num + skipped
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise AnnotationError(
                    f"{path}, line {line}: has {len(cells)} fields and the first line {len(header)}; put quotes "
                    f"around texts that contain {delimiter!r}"
                )
            yield line, {name: _cell(cell) for name, cell in zip(header, cells, strict=True) if name}
    except csv.Error as error:
        raise AnnotationError(
            f"{path}, line {reader.line_num + skipped}: can't be read as CSV ({error}); write a quote inside "
            "a text as two quotes"
        ) from None


def _cell(text: str) -> str:
    text = text.strip()
    if quoted := _EXCEL_TEXT.match(text):
        text = quoted.group(1).replace('""', '"').strip()
    # An apostrophe before what would be a formula is Excel's mark, and no part of the text.
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text
