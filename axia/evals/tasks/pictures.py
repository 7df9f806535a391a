"""Pictures by value: those of a manifest, or those that a gateway finds by the values' keywords."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from axia.client import Client
from axia.errors import AxiaError
from axia.evals.annotations.json_lines import parse_rows
from axia.evals.annotations.record import AnnotationError
from axia.evals.tasks.studies import demo_file
from axia.lexicon import VALUES, load_lexicon

PER_KEYWORD = 5
"""Pictures a keyword, as in the study."""


class ValuePicture(NamedTuple):
    """A picture that stands for a keyword of a value."""

    value: str
    keyword: str
    image_id: str
    path: Path
    platform: str


def of_manifest(path: Path | None, per_keyword: int = PER_KEYWORD) -> list[ValuePicture]:
    """The first pictures of each keyword that a manifest names.

    The manifest has JSON lines with ``file`` (relative to it), ``keywords`` and ``values``, equally many of both, and
    ``platform`` where there is one; other rows are left out.

    Raises:
        AnnotationError: If the file can't be read, a row breaks a rule, or a picture is missing.
    """
    path = path or demo_file("gallery/manifest.jsonl")
    by_keyword: dict[tuple[str, str], list[ValuePicture]] = {}
    for line, row in json_rows(path):
        keywords, values = row.get("keywords"), row.get("values")
        if not keywords:
            continue
        if not isinstance(keywords, list) or not isinstance(values, list) or not isinstance(row.get("file"), str):
            raise AnnotationError(f"{path}, line {line}: a row has file, and lists of keywords and of values")
        if unknown := [value for value in values if value not in VALUES]:
            raise AnnotationError(
                f"{path}, line {line}: {unknown[0]!r} is not a value; the values are {', '.join(VALUES)}"
            )
        file = path.parent / row["file"]
        if not file.is_file():
            raise AnnotationError(f"{path}, line {line}: there is no image at {file}: put it there")
        for value, keyword in _pairs(keywords, values):
            kept = by_keyword.setdefault((value, keyword), [])
            if len(kept) < per_keyword:
                kept.append(ValuePicture(value, keyword, row["file"], file, row.get("platform", "")))
    if not by_keyword:
        raise AnnotationError(f"{path} names no image with keywords: give file, keywords and values in each row")
    return [picture for kept in by_keyword.values() for picture in kept]


def _pairs(keywords: Sequence[str], values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each keyword with its value: by the lexicon where that knows it, or else by place."""
    lexicon = {keyword: value.id for value in load_lexicon().values for keyword in value.keywords}
    for place, keyword in enumerate(keywords):
        value = lexicon.get(keyword) or (values[place] if place < len(values) else None)
        if value in VALUES:
            yield value, keyword


def retrieved(folder: Path, per_keyword: int = PER_KEYWORD) -> list[ValuePicture]:
    """The pictures that the gateway finds for each keyword, saved in a folder under their ids.

    Raises:
        AxiaError: If retrieval does not answer or has no pictures.
    """
    found: list[ValuePicture] = []
    folder.mkdir(parents=True, exist_ok=True)
    with Client() as client:
        for value in load_lexicon().values:
            for keyword in value.keywords:
                for hit in client.search_text(keyword, k=per_keyword).hits:
                    name = hashlib.sha256(hit.id.encode()).hexdigest()[:32]
                    path = folder / f"{name}.{hit.info.format.lower()}"
                    if not path.exists():
                        _save(client, hit.id, path)
                    found.append(ValuePicture(value.id, keyword, hit.id, path, hit.metadata.platform or ""))
    if not found:
        raise AxiaError("the gateway finds no images: index some with axia index FOLDER")
    return found


def _save(client: Client, image_id: str, path: Path) -> None:
    (image,) = client.get_images([image_id])
    if image.data is None:
        raise AxiaError(f"the image {image_id} was found but has no file: index it again")
    part = path.with_suffix(".part")
    part.write_bytes(image.data)
    part.replace(path)  # so that a run that is killed leaves no half of a picture


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file of JSON lines, with their numbers.

    Raises:
        AnnotationError: If it can't be read, or a line is not a JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} can't be read: give a file of JSON lines in UTF-8") from error
    return parse_rows(path, text)
