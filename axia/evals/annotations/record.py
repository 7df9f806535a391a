"""The record of an annotation study: one row says what one annotator named in one picture.

The fields of the values-detector study (arXiv 2501.03957) are picture, annotator, element, response type and group;
domain, synthetic, pair and source are axia's own, for the experiments that the study proposes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from axia.results.scoring import ResponseType

Domain = Literal["domestic", "workplace", "public", "medical"]
"""Where a picture is set."""

RESPONSE_TYPES: Mapping[int, ResponseType] = {
    1: "descriptive", 2: "value_aware", 3: "none", 4: "picture_quality",
}  # fmt: skip
"""The study's numbers of response types; 3 is axia's own number for ``none``."""


class AnnotationError(ValueError):
    """A file of annotations, images or questions that can't be used; the message names file, line and rule."""


class Annotation(BaseModel):
    """What one annotator named in one picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    image: str = Field(min_length=1)
    """File of the picture, relative to the annotations file."""
    annotator: str = Field(min_length=1)
    """The annotator."""
    element: str = Field(min_length=1, max_length=16_384)
    """What needs attention in the annotator's words; ``none`` where nothing does."""
    response_type: int | None = Field(default=None, ge=1, le=4)
    """1 descriptive, 2 value-aware, 3 none, 4 comment on picture quality; None where it was not noted."""
    group: str = ""
    """Group of the annotator, such as a nationality."""
    note: str = ""
    """A free note."""
    domain: Domain | None = None
    """Where the picture is set; None where it is not known."""
    synthetic: bool | None = None
    """Whether the picture was generated; None where it is not known."""
    pair_id: str = ""
    """Pictures of the same scene, one synthetic and one real, have the same."""
    source: str = ""
    """Where the picture comes from."""

    @field_validator("response_type", "domain", "synthetic", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value


OF_PICTURES = ("domain", "synthetic", "pair_id", "source")
"""Fields that say something of the picture: all rows of one agree."""


class Picture(NamedTuple):
    """A picture with what annotators said of it."""

    id: str
    """Its file as the annotations name it."""
    path: Path
    """Its file."""
    sha256: str
    """SHA-256 of its bytes."""
    annotations: tuple[Annotation, ...]
    """In the order of the file; one for each annotator at most."""

    @property
    def about(self) -> Annotation:
        """A row of it, for what all rows of a picture agree on."""
        return self.annotations[0]


class Study(NamedTuple):
    """All annotations of a file."""

    path: Path
    """The file."""
    pictures: tuple[Picture, ...]
    """In the order of their first rows."""
    annotators: Mapping[str, str]
    """Each annotator's group."""
    gaps: tuple[tuple[str, str], ...]
    """Pairs of annotator and picture without a row."""

    def rows(self) -> Iterator[Annotation]:
        """Every annotation."""
        for picture in self.pictures:
            yield from picture.annotations

    def of_group(self, group: str) -> "Study":
        """What one group of annotators said; pictures that none of them saw are left out."""
        pictures = []
        for picture in self.pictures:
            annotations = tuple(row for row in picture.annotations if row.group == group)
            if annotations:
                pictures.append(picture._replace(annotations=annotations))
        annotators = {name: named for name, named in self.annotators.items() if named == group}
        return self._replace(
            pictures=tuple(pictures),
            annotators=annotators,
            gaps=tuple(gap for gap in self.gaps if gap[0] in annotators),
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of annotators, in the order in which they occur."""
        return tuple(dict.fromkeys(group for group in self.annotators.values() if group))
