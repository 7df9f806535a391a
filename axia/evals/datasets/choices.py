"""Questions with options about images: the form in which several data sets are asked about."""

import re
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from axia.evals.annotations.record import AnnotationError
from axia.evals.annotations.tables import read_rows

MAX_IMAGES = 4
"""Images of a question at most, as the inference service takes them by default."""

_LETTERED = re.compile(r"^\(?([A-Z])[.):]\s*(.+)$", re.DOTALL)


class Choice(BaseModel):
    """A question about one image or several, with its options."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: str = Field(min_length=1)
    images: tuple[str, ...] = Field(min_length=1, max_length=MAX_IMAGES)
    """Files, relative to the file of questions."""
    question: str = Field(min_length=1, max_length=16_384)
    options: tuple[str, ...] = Field(min_length=2, max_length=len(ascii_uppercase))
    """Texts without letters."""
    answers: tuple[int, ...] = ()
    """Places of the right options, from 0; empty where none is known."""
    values: tuple[str, ...] = ()
    """The value that each option stands for; empty where that isn't known."""
    category: str = ""
    """A group of questions, by which scores are reported."""

    @model_validator(mode="after")
    def _places_exist(self) -> "Choice":
        if any(not option for option in self.options):
            raise ValueError("an option is empty")
        if any(not 0 <= place < len(self.options) for place in self.answers):
            raise ValueError("an answer is not one of the options")
        if self.values and len(self.values) != len(self.options):
            raise ValueError(f"{len(self.values)} values for {len(self.options)} options: give one for each, or none")
        return self


def made(place: str, fields: dict[str, Any]) -> Choice:
    """A question of these fields.

    Raises:
        AnnotationError: If a field breaks a rule; the message begins with `place`.
    """
    try:
        return Choice.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "question"
        raise AnnotationError(f"{place}: {field}: {first['msg'].removeprefix('Value error, ').lower()}") from None


def lettered(place: str, options: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options without their letters, and the letters; A, B, C and so on where they have none.

    Raises:
        AnnotationError: If only some have a letter, or two have the same.
    """
    found = [_LETTERED.match(option.strip()) for option in options]
    if not all(found):
        if any(found):
            raise AnnotationError(
                f"{place}: some options begin with a letter and others don't: add a letter to every option, or to none"
            )
        return tuple(option.strip() for option in options), tuple(ascii_uppercase[: len(options)])
    letters = tuple(match[1] for match in found if match)
    if len(set(letters)) < len(letters):
        raise AnnotationError(f"{place}: two options have the letter {max(letters, key=letters.count)}")
    return tuple(match[2].strip() for match in found if match), letters


def load_choices(path: Path) -> list[Choice]:
    """The questions of a file of JSON lines, as `axia dataset convert` writes it.

    Raises:
        AnnotationError: If the file can't be read, a row breaks a rule, an id is given twice, or an image is missing.
    """
    found: dict[str, Choice] = {}
    for line, row in read_rows(path, ("id", "images", "question", "options")):
        choice = made(f"{path}, line {line}", row)
        if choice.id in found:
            raise AnnotationError(
                f"{path}, line {line}: the id {choice.id!r} is given twice; give each question its own"
            )
        for image in choice.images:
            if not (path.parent / image).is_file():
                raise AnnotationError(
                    f"{path}, line {line}: there is no image at {path.parent / image}: convert the data set again"
                )
        found[choice.id] = choice
    if not found:
        raise AnnotationError(f"{path} has no questions: write it with axia dataset convert")
    return list(found.values())
