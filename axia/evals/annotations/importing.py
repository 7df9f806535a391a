"""Reads annotations from JSON lines or a CSV file, and says of what is wrong where it is and what to do.

CSV files come from spreadsheets: with a byte order mark, semicolons or tabs between fields, quotes around them, and the
marks with which Excel keeps a text from being a number (``="007"``) or a formula (a leading apostrophe).
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from axia._pictures import FORMATS
from axia.evals.annotations.json_lines import parse_rows
from axia.evals.annotations.record import OF_PICTURES, Annotation, AnnotationError, Picture, Study

_NEEDED = ("image", "annotator", "element")
_KNOWN = tuple(Annotation.model_fields)
_EXCEL_TEXT = re.compile(r'^="(.*)"$', re.DOTALL)
_DELIMITERS = ",;\t"
_SHOWN = 5


def load_study(path: Path) -> Study:
    """Reads an annotations file and the pictures that it names.

    Raises:
        AnnotationError: If the file can't be read, a row breaks a rule, an annotator names two elements for one
            picture, rows disagree about a picture, or a picture is missing or not readable as JPEG, PNG or WebP.
    """
    rows = _rows(path)
    by_image: dict[str, dict[str, Annotation]] = {}
    groups: dict[str, str] = {}
    for line, values in rows:
        row = _annotation(path, line, values)
        by_annotator = by_image.setdefault(row.image, {})
        if row.annotator in by_annotator:
            raise AnnotationError(
                f"{path}, line {line}: {row.annotator} has named an element for {row.image} before; keep one row for "
                "each annotator and picture"
            )
        if (group := groups.setdefault(row.annotator, row.group)) != row.group:
            raise AnnotationError(
                f"{path}, line {line}: {row.annotator} is in the group {row.group!r} here and in {group!r} before; "
                "give each annotator one group"
            )
        _check_agrees(path, line, row, by_annotator)
        by_annotator[row.annotator] = row
    if not by_image:
        raise AnnotationError(f"{path} has no annotations: give rows with {', '.join(_NEEDED)}")
    pictures = tuple(_picture(path, image, tuple(by_annotator.values())) for image, by_annotator in by_image.items())
    _check_distinct(path, pictures)
    gaps = tuple(
        (name, image) for image, by_annotator in by_image.items() for name in groups if name not in by_annotator
    )
    return Study(path, pictures, groups, gaps)


def _rows(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise AnnotationError(f"{path} is not UTF-8: in Excel, save it as “CSV UTF-8 (comma delimited)”") from None
    except OSError as error:
        raise AnnotationError(f"{path} can't be read ({error.strerror}): give a .jsonl or .csv file") from None
    return list(
        _csv_rows(path, text) if path.suffix.lower() in (".csv", ".tsv") else parse_rows(path, text, ", ".join(_NEEDED))
    )


def _csv_rows(path: Path, text: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # Excel's own first line, which names the delimiter
        delimiter, text, skipped = first.strip()[4:] or ",", rest, 1
    else:
        delimiter, skipped = max(_DELIMITERS, key=first.count), 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [_cell(name).lower().replace(" ", "_") for name in next(reader, [])]
        if missing := [name for name in _NEEDED if name not in header]:
            raise AnnotationError(
                f"{path}: its first line has no column {' and no column '.join(missing)}; it names the columns, "
                f"{', '.join(_NEEDED)} among them"
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
                    f"around texts that hold {delimiter!r}"
                )
            yield line, {name: _cell(cell) for name, cell in zip(header, cells, strict=True) if name}
    except csv.Error as error:
        raise AnnotationError(
            f"{path}, line {reader.line_num + skipped}: can't be read as CSV ({error}); double the quotes within a text"
        ) from None


def _cell(text: str) -> str:
    text = text.strip()
    if quoted := _EXCEL_TEXT.match(text):
        text = quoted.group(1).replace('""', '"').strip()
    # An apostrophe before what would be a formula is Excel's mark, and no part of the text.
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def _annotation(path: Path, line: int, values: Mapping[str, Any]) -> Annotation:
    if unknown := sorted(set(values) - set(_KNOWN)):
        raise AnnotationError(
            f"{path}, line {line}: {unknown[0]!r} is no field of an annotation; the fields are {', '.join(_KNOWN)}"
        )
    given = {name: value for name, value in values.items() if value is not None}
    if isinstance(given.get("annotator"), int):
        given["annotator"] = str(given["annotator"])
    try:
        return Annotation.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "row"
        raise AnnotationError(f"{path}, line {line}: {field}: {first['msg'].lower()}") from None


def _check_agrees(path: Path, line: int, row: Annotation, by_annotator: Mapping[str, Annotation]) -> None:
    for before in by_annotator.values():
        for field in OF_PICTURES:
            if getattr(before, field) != getattr(row, field):
                raise AnnotationError(
                    f"{path}, line {line}: {field} of {row.image} is {getattr(row, field)!r} here and "
                    f"{getattr(before, field)!r} before; a picture has one"
                )
        return  # all before agree with the first


def _picture(path: Path, image: str, annotations: tuple[Annotation, ...]) -> Picture:
    from PIL import Image

    file = path.parent / image
    try:
        data = file.read_bytes()
    except OSError:
        raise AnnotationError(
            f"{path} names {image}, and there is no picture at {file}: put it there, or leave its rows out"
        ) from None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            file_format = opened.format
            opened.verify()
    except Exception as error:  # PIL raises many types for files that it can't decode
        raise AnnotationError(
            f"{file} can't be read as a picture ({error}): convert it to JPEG, PNG or WebP, or leave its rows out"
        ) from None
    if file_format not in FORMATS:
        raise AnnotationError(f"{file} is {file_format}: convert it to JPEG, PNG or WebP")
    return Picture(image, file, hashlib.sha256(data).hexdigest(), annotations)


def _check_distinct(path: Path, pictures: tuple[Picture, ...]) -> None:
    """Two names of one file would count twice as one picture in intervals."""
    seen: dict[str, str] = {}
    for picture in pictures:
        if (other := seen.setdefault(picture.sha256, picture.id)) != picture.id:
            raise AnnotationError(
                f"{path} names {other} and {picture.id}, which are the same picture: keep one of them"
            )


def describe_gaps(study: Study) -> str:
    """What is missing of a study, for a person; empty where nothing is."""
    if not study.gaps:
        return ""
    first = ", ".join(f"{annotator} on {image}" for annotator, image in study.gaps[:_SHOWN])
    more = f" and {len(study.gaps) - _SHOWN} more" if len(study.gaps) > _SHOWN else ""
    return f"{len(study.gaps)} annotations are missing: {first}{more}"
