"""Where the parts of a data set are in a folder: its own layout, or one that a TOML file describes.

file = "test.csv"              # in the folder: .csv, .tsv, .json (a list of objects) or .jsonl
images = "images"              # the folder of images
question = "What is best?"     # where no column has one
options = ["yes", "no"]        # where no column has them
first_option = 1               # number of the first option, where answers are numbers
annotators = ["P1", "P2"]      # of a sheet with a column for each annotator, these columns
[groups]
P1 = "north"                   # groups of these annotators
[columns]                      # field = column; several columns as a list
image = "img_path"
options = ["choice_a", "choice_b"]
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axia.evals.annotations.record import AnnotationError


class Layout(BaseModel):
    """Names of files and columns; None where the data set's own hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = None
    images: str | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    first_option: int | None = Field(default=None, ge=0, le=1)
    annotators: tuple[str, ...] = ()
    groups: dict[str, str] = {}
    columns: dict[str, str | tuple[str, ...]] = {}

    def over(self, own: "Layout") -> "Layout":
        """This layout, and where it says nothing the data set's own."""
        given = self.model_dump(exclude_unset=True)
        return own.model_copy(update={**given, "columns": {**own.columns, **self.columns}})

    def column(self, field: str) -> str | tuple[str, ...]:
        """The column of a field, which is named as the field where nothing else is said."""
        return self.columns.get(field, field)


NO_LAYOUT = Layout()


def read_layout(path: Path, fields: Sequence[str]) -> Layout:
    """A layout from a TOML file.

    Args:
        path: The file.
        fields: Fields of the data set that `columns` may name.

    Raises:
        AnnotationError: If it can't be read, is not TOML, or names what no layout has.
    """
    try:
        layout = Layout.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} can't be read: give a TOML file in UTF-8 that names the columns") from error
    except tomllib.TOMLDecodeError as error:
        raise AnnotationError(f"{path} is not TOML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(Layout.model_fields)
        place = ".".join(map(str, first["loc"]))
        raise AnnotationError(f"{path}: {place}: {first['msg'].lower()}; a layout has {known}") from None
    if unknown := sorted(set(layout.columns) - set(fields)):
        raise AnnotationError(
            f"{path}: columns: {unknown[0]!r} is not a field of this data set; the fields are {', '.join(fields)}"
        )
    return layout


def cell(place: str, row: Mapping[str, Any], column: str | tuple[str, ...], *, needed: bool = True) -> Any:
    """What a row has in a column, or the list of what it has in several; None where it has nothing.

    Names of columns are compared without regard to case, and with ``_`` for a space, as in CSV files.

    Raises:
        AnnotationError: If it is needed and missing.
    """
    if isinstance(column, tuple):
        return [found for name in column if (found := cell(place, row, name, needed=needed)) is not None]
    found = row.get(column)
    if found is None:
        wanted = folded(column)
        found = next((value for name, value in row.items() if folded(name) == wanted), None)
    if isinstance(found, str) and not found.strip():
        found = None
    if found is None and needed:
        raise AnnotationError(
            f"{place}: the column {column!r} is missing or empty (columns: {', '.join(row) or 'none'}); name the "
            "column with --columns"
        )
    return found


def folded(column: str) -> str:
    """A column's name as CSV files are read."""
    return column.strip().lower().replace(" ", "_")
