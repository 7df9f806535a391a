"""Reads annotations from JSON lines or a CSV file, and says of what is wrong where it is and what to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from axia.evals.annotations.images import checked_sha256
from axia.evals.annotations.record import OF_PICTURES, Annotation, AnnotationError, Picture, Study
from axia.evals.annotations.tables import read_rows

_NEEDED = ("image", "annotator", "element")
_KNOWN = tuple(Annotation.model_fields)
_SHOWN = 5


def load_study(path: Path) -> Study:
    """Reads an annotations file and the pictures that it names.

    Raises:
        AnnotationError: If the file can't be read, a row breaks a rule, an annotator names two elements for one
            picture, rows disagree about a picture, or a picture is missing or not readable as JPEG, PNG or WebP.
    """
    rows = read_rows(path, _NEEDED)
    by_image: dict[str, dict[str, Annotation]] = {}
    groups: dict[str, str] = {}
    for line, values in rows:
        row = _annotation(path, line, values)
        by_annotator = by_image.setdefault(row.image, {})
        if row.annotator in by_annotator:
            raise AnnotationError(
                f"{path}, line {line}: {row.annotator} has named an element for {row.image} before; keep one row for "
                "each annotator and image"
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


def _annotation(path: Path, line: int, values: Mapping[str, Any]) -> Annotation:
    if unknown := sorted(set(values) - set(_KNOWN)):
        raise AnnotationError(
            f"{path}, line {line}: {unknown[0]!r} is not a field of an annotation; the fields are {', '.join(_KNOWN)}"
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
                    f"{getattr(before, field)!r} before; give each image one value"
                )
        return  # all before agree with the first


def _picture(path: Path, image: str, annotations: tuple[Annotation, ...]) -> Picture:
    file = path.parent / image
    return Picture(image, file, checked_sha256(file, f"{path} names {image}", "leave its rows out"), annotations)


def _check_distinct(path: Path, pictures: tuple[Picture, ...]) -> None:
    """Two names of one file would count twice as one picture in intervals."""
    seen: dict[str, str] = {}
    for picture in pictures:
        if (other := seen.setdefault(picture.sha256, picture.id)) != picture.id:
            raise AnnotationError(f"{path} names {other} and {picture.id}, which are the same image: keep one of them")


def describe_gaps(study: Study) -> str:
    """What is missing of a study, for a person; empty where nothing is."""
    if not study.gaps:
        return ""
    first = ", ".join(f"{annotator} on {image}" for annotator, image in study.gaps[:_SHOWN])
    more = f" and {len(study.gaps) - _SHOWN} more" if len(study.gaps) > _SHOWN else ""
    return f"{len(study.gaps)} annotations are missing: {first}{more}"
