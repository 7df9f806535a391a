"""The data sets that can be converted, and their conversion into files that the tasks read."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from axia.evals.annotations.record import AnnotationError
from axia.evals.datasets import detectors, homesafebench, mapped, persona_chat, screenshots, viva
from axia.evals.datasets.choices import Choice
from axia.evals.datasets.folder import Images, file_of
from axia.evals.datasets.layout import NO_LAYOUT, Layout

Form = Literal["questions", "annotations", "manifest", "personas"]


class DataSet(NamedTuple):
    """A data set of the field."""

    name: str
    title: str
    arxiv: str
    form: Form
    """What it is converted into."""
    own: Layout
    """Its own layout, as far as it is known."""
    fields: tuple[str, ...] = ()
    """Fields that a layout's `columns` may name; none where the data set's own columns are known."""
    needs_layout: bool = False
    """Whether its layout has not been published, so that the user has to describe it."""


_ROBOT = Layout(question="What should the robot do?")
_PAIR = Layout(options=("the first image", "the second image"))

SETS: Mapping[str, DataSet] = {
    made.name: made
    for made in (
        DataSet("value-spectrum", "Value-Spectrum's screenshots", "2411.11479", "manifest", NO_LAYOUT,
                screenshots.FIELDS),
        DataSet("detectors", "the values-detector study", "2501.03957", "annotations", NO_LAYOUT, detectors.FIELDS),
        DataSet("persona-chat", "Persona-Chat", "1801.07243", "personas", persona_chat.OWN),
        DataSet("robot-values", "RobotValues", "2606.03312", "questions", _ROBOT, mapped.FIELDS, True),
        DataSet("viva", "VIVA", "2407.03000", "questions", viva.OWN),
        DataSet("tsha", "TSHA", "2603.29759", "questions", NO_LAYOUT, mapped.FIELDS, True),
        DataSet("homesafebench", "HomeSafeBench", "2509.23690", "questions", homesafebench.OWN),
        DataSet("value-ground", "ValueGround", "2604.06484", "questions", _PAIR, mapped.FIELDS, True),
    )
}  # fmt: skip
"""By name."""

_QUESTIONS: Mapping[str, Callable[[Path, Layout, Images], list[Choice]]] = {
    "viva": viva.convert,
    "homesafebench": homesafebench.convert,
}


class Converted(NamedTuple):
    """What a conversion wrote."""

    rows: int
    missing: tuple[str, ...]
    """Images that are missing; their rows were left out."""
    notes: tuple[str, ...] = ()
    """What a reader of results should know."""


def convert(name: str, folder: Path, out: Path, layout: Layout = NO_LAYOUT, *, skip_missing: bool = False) -> Converted:
    """Reads a data set and writes what the tasks read: all of it, or nothing.

    Args:
        name: A name in `SETS`.
        folder: Where the data set was put.
        out: A file that is written; for personas a folder.
        layout: What is laid out in another way than the data set's own.
        skip_missing: Whether rows without their image are left out, and counted.

    Raises:
        AnnotationError: If anything is wrong; the message says where and what to do.
    """
    made = SETS[name]
    if made.needs_layout and not layout.columns:
        raise AnnotationError(
            f"the layout of {made.title} has not been published: name its columns with --columns (see "
            f"docs/datasets/{name}.md)"
        )
    layout = layout.over(made.own)
    if made.form == "personas":
        return _personas(folder, out, layout)
    images = Images(file_of(folder, layout.images or ".", "the folder of images"), out, skip_missing=skip_missing)
    rows: Sequence[Mapping[str, Any]]
    if made.form == "questions":
        found = _QUESTIONS.get(name, mapped.convert)(folder, layout, images)
        rows = [choice.model_dump(exclude_defaults=True, mode="json") for choice in found]
    else:
        rows = (detectors if made.form == "annotations" else screenshots).convert(folder, layout, images)
    images.finish()
    _write(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    notes = []
    if made.form == "manifest" and len(rows) != screenshots.PUBLISHED:
        notes.append(f"the published set has {screenshots.PUBLISHED:,} screenshots, this folder {len(rows):,}")
    if made.form == "questions" and (open_ones := sum("answers" not in row for row in rows)):
        notes.append(f"{open_ones} questions have no answer; they count for shares of values and not for accuracy")
    return Converted(len(rows), tuple(images.missing), tuple(notes))


def _personas(folder: Path, out: Path, layout: Layout) -> Converted:
    found = persona_chat.convert(folder, layout)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AnnotationError(f"{out} already exists: give a new folder for the personas")
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=out.parent))
        try:
            for number, traits in enumerate(found, start=1):
                text = persona_chat.as_toml(traits, f"Persona-Chat, {layout.file}")
                (part / f"persona-{number:05}.toml").write_text(text, encoding="utf-8")
            part.chmod(0o755)
            if out.exists():
                out.rmdir()
            os.rename(part, out)  # so that no part of them looks whole
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Converted(len(found), ())


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    with _writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AnnotationError(
            f"{out} can't be written ({error.strerror}): give another path with --out, or make room"
        ) from error
