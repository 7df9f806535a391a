"""Value-Spectrum's screenshots (arXiv 2411.11479), as a manifest that indexing and the task value_spectrum read."""

from datetime import datetime
from pathlib import Path
from typing import Any

from axia._pictures import FORMATS
from axia.evals.annotations.record import AnnotationError
from axia.evals.annotations.tables import read_rows
from axia.evals.datasets.folder import Images, file_of
from axia.evals.datasets.layout import Layout, cell, folded
from axia.lexicon import VALUES

PUBLISHED = 50_191
"""Screenshots of the published set."""
PLATFORMS = ("instagram", "tiktok", "youtube")
FIELDS = ("image", "platform", "capture_time", "source", "keywords", "values")
"""Fields that `columns` may name."""

_SUFFIXES = {f".{name.lower()}" for name in FORMATS} | {".jpg"}


def convert(folder: Path, layout: Layout, images: Images) -> list[dict[str, Any]]:
    """A row for each screenshot: those of a table, or without one all of the folder, by platform's subfolder.

    Raises:
        AnnotationError: If the table can't be read, a row breaks a rule, or two files are the same image.
    """
    if layout.file:
        rows = _of_table(folder, layout, images)
    else:
        rows = _of_folder(file_of(folder, layout.images or ".", "the folder of images"), images)
    if same := images.same():
        first, second = same[0]
        raise AnnotationError(
            f"{len(same)} screenshots occur twice, such as {first} and {second}: the set's are unique; remove one "
            "of each"
        )
    return rows


def _of_folder(root: Path, images: Images) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in _SUFFIXES:
            name = path.relative_to(root)
            platform = next((part.lower() for part in name.parts[:-1] if part.lower() in PLATFORMS), None)
            rows.append(_row(images.get(str(name), str(path)), platform=platform))
    if not rows:
        raise AnnotationError(f"{root} has no JPEG, PNG or WebP files")
    return rows


def _of_table(folder: Path, layout: Layout, images: Images) -> list[dict[str, Any]]:
    path = file_of(folder, layout.file or "", "the table of screenshots")
    column = layout.column("image")
    needed = [] if path.suffix.lower() in (".json", ".jsonl") else [folded(str(column))]
    rows, seen = [], set[str]()
    for number, row in read_rows(path, needed):
        place = f"{path}, row {number}"
        image = images.get(name := cell(place, row, column), place)
        if name in seen:
            raise AnnotationError(f"{place}: {name} has a row before: keep one")
        seen.add(name)
        found = {field: cell(place, row, layout.column(field), needed=False) for field in FIELDS[1:]}
        for field in ("keywords", "values"):
            if isinstance(text := found[field], str):
                found[field] = [part.strip() for part in text.split("|")]
        _check(place, found)
        if image is not None:
            rows.append(_row(image, **found))
    return rows


def _check(place: str, found: dict[str, Any]) -> None:
    if (moment := found["capture_time"]) is not None:
        try:
            datetime.fromisoformat(moment)
        except (TypeError, ValueError):
            raise AnnotationError(
                f"{place}: capture_time is {moment!r}: write a time such as 2024-09-01T12:00:00Z"
            ) from None
    keywords, values = found["keywords"] or [], found["values"] or []
    if len(keywords) != len(values):
        raise AnnotationError(f"{place}: {len(keywords)} keywords and {len(values)} values: give as many of both")
    if unknown := [value for value in values if value not in VALUES]:
        raise AnnotationError(f"{place}: {unknown[0]!r} is not a value; the values are {', '.join(VALUES)}")


def _row(image: str | None, **about: Any) -> dict[str, Any]:
    return {"file": image, **{name: value for name, value in about.items() if value}}
