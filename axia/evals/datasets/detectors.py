"""The values-detector study (arXiv 2501.03957): its sheet as annotations, with a row or a column for each annotator."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from axia.evals.annotations.record import Annotation, AnnotationError
from axia.evals.annotations.tables import read_rows
from axia.evals.datasets.folder import Images, file_of
from axia.evals.datasets.layout import Layout, cell, folded

FIELDS = tuple(Annotation.model_fields)
"""Fields that `columns` may name."""


def convert(folder: Path, layout: Layout, images: Images) -> list[dict[str, Any]]:
    """The annotations of a sheet.

    Raises:
        AnnotationError: If the sheet can't be read, a row breaks a rule, or an annotator has two elements for an image.
    """
    path = file_of(folder, layout.file or "annotations.csv", "the sheet of annotations")
    columns = [layout.column("image"), *(layout.annotators or (layout.column("annotator"), layout.column("element")))]
    plain = path.suffix.lower() in (".json", ".jsonl")
    found, seen = [], dict[tuple[str, str], str]()
    for number, row in read_rows(path, [] if plain else [folded(str(column)) for column in columns]):
        place = f"{path}, row {number}"
        image = images.get(cell(place, row, layout.column("image")), place)
        for fields in _said(place, row, layout):
            annotation = _made(place, {**fields, "image": image or "missing"})
            key = (image or str(row), annotation.annotator)
            if before := seen.get(key):
                raise AnnotationError(
                    f"{place}: {annotation.annotator} has named an element for this image before ({before}); keep one"
                )
            seen[key] = place
            if image is not None:
                found.append(annotation.model_dump(exclude_defaults=True))
    if not found and not images.missing:
        raise AnnotationError(f"{path} has no annotations")
    if same := images.same():
        first, second = same[0]
        raise AnnotationError(f"{first} and {second} are the same image: keep one of them")
    return found


def _said(place: str, row: Mapping[str, Any], layout: Layout) -> Iterator[dict[str, Any]]:
    """What each annotator of a row says; an empty cell of an annotator's column is a gap."""
    about = {
        field: value
        for field in FIELDS
        if field not in ("image", "annotator", "element")
        and (value := cell(place, row, layout.column(field), needed=False)) is not None
    }
    if not layout.annotators:
        named = {field: str(cell(place, row, layout.column(field))) for field in ("annotator", "element")}
        yield {**about, **named}
        return
    for annotator in layout.annotators:
        element = cell(place, row, annotator, needed=False)
        if element is not None:
            group = {"group": layout.groups[annotator]} if annotator in layout.groups else {}
            yield {**about, **group, "annotator": annotator, "element": str(element)}


def _made(place: str, fields: dict[str, Any]) -> Annotation:
    try:
        return Annotation.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise AnnotationError(f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
