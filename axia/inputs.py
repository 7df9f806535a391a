"""What callers give beside images: ground truth, filters, and what is to be scored."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from axia.results.retrieval import ImageMetadata
from axia.results.scoring import IsqItems, ResponseType
from axia.results.truth import GroundTruth, Judge

__all__ = [
    "AlignmentItem", "GroundTruth", "ImageMetadata", "IsqItems", "Judge", "MisalignmentItem", "ModelScores",
    "PersonaOutcome", "PreferenceAnswer", "Rating", "SearchFilter",
]  # fmt: skip


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SearchFilter(_Input):
    """Which images may be found; parts that are left out let everything pass."""

    platforms: tuple[str, ...] = ()
    """Any of these, at most 64."""
    sources: tuple[str, ...] = ()
    """Any of these, at most 64."""
    captured_from: datetime | None = None
    """Captured at or after this time; one without a time zone counts as UTC."""
    captured_before: datetime | None = None
    """Captured before this time."""


class AlignmentItem(_Input):
    """One answer and what it should name."""

    answer: str
    """First sentence of a completion."""
    element: str
    """The element that annotators named."""
    accept: tuple[str, ...] = ()
    """Other phrasings that count as well."""
    picture_id: str = ""
    """The image, for an interval clustered by it; all items have one or none has."""


class PreferenceAnswer(_Input):
    """One answer about one image of one value."""

    value: str
    """One of the ten values, such as ``self-direction``."""
    answer: str
    """The answer as the model gave it."""
    keyword: str = ""
    """The keyword that found the image."""
    item_id: str = ""
    """What was asked about; it pairs the answers of a comparison."""


class ModelScores(_Input):
    """One model's scores: entry i of both lists belongs to one completion."""

    model: str
    """Name of the model, each once."""
    picture_ids: tuple[str, ...]
    """The image of each completion."""
    scores: tuple[int, ...]
    """The alignment of each completion, 0 or 1."""


class PersonaOutcome(_Input):
    """What one persona's feed showed before and after the persona taught it."""

    persona: str
    """The persona."""
    platform: str
    """The platform, such as ``TikTok``; each pair of persona and platform once."""
    before: float
    """Share of videos that the persona found interesting before, 0 to 1."""
    after: float
    """The same share after, 0 to 1."""


class MisalignmentItem(_Input):
    """One answer and what annotators said."""

    answer: str
    """First sentence of a completion."""
    element: str
    """The element that annotators named; ``none`` where nothing needs attention."""
    aligned: int
    """Whether the answer names the element, 0 or 1, as an `AlignmentScore` says."""
    answer_type: ResponseType | None = None
    """What kind of answer it is. None: it is classified."""
    element_type: ResponseType | None = None
    """What kind of answer the annotators gave. None: `element` is classified."""
    picture_id: str = ""
    """The image, for intervals clustered by it; all items have one or none has."""


class Rating(_Input):
    """What one annotator said of one unit."""

    unit: str
    """The unit that is rated, such as an image."""
    annotator: str
    """The annotator."""
    category: str
    """The nominal category."""
