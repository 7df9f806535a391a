"""What the scoring service does beside statistics: loads the reader model, and puts language and numbers together."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring import metrics
from services.scoring.reading import spoken
from services.scoring.reading.alignment import AlignmentItem, AlignmentVerdict, Judge
from services.scoring.reading.language import Language, LanguageLimits
from services.scoring.reading.model import DEFAULT_READER, PACKAGED, OnnxReader, load_reader
from services.scoring.reading.response_types import ResponseType
from services.scoring.settings import ScoringSettings
from services.scoring.statistics.agreement import Agreement, Rating, cohen_kappa, measure_agreement
from services.scoring.statistics.ceiling import Pair
from services.scoring.statistics.coefficient_intervals import cohen_interval
from services.scoring.statistics.intervals import Interval, check_level, clustered_wilson, wilson
from services.scoring.statistics.tables import binary_vector
from services.serving.errors import FailedPrecondition, InvalidArgument

logger = logging.getLogger(__name__)


class HumanAgreement(NamedTuple):
    """Agreement of a judge with human labels."""

    kappa: float | None
    """Cohen's κ; None where both said the same throughout."""
    observed: float
    """Share of equal labels, 0 to 1."""
    items: int
    """Items with a score and a label."""
    kappa_interval: Interval | None
    """Interval of κ, over pictures where they are named; None with it, and for a single picture or item."""


class Alignment(NamedTuple):
    """Whether answers name the annotators' element."""

    verdicts: Sequence[AlignmentVerdict]
    """One for each item."""
    mean: float | None
    """Mean of the scores that are set; None if none is."""
    interval: Interval | None
    """Its interval, clustered by picture where pictures are named."""
    unparsed: int
    """Items without a score."""
    other_language: int
    """Of these, items whose answer is in a language that the judge doesn't read."""
    human: HumanAgreement | None
    """Agreement with human labels, where there are any."""


class UntypedText(NamedTuple):
    """A text whose type is to be found."""

    position: int
    """Its place among the items."""
    text: str
    """The text."""


def load_language(settings: ScoringSettings) -> Language:
    """Loads the language parts, with the reader model where it can be computed.

    Where what computes the packaged model isn't installed, the lexical parts serve alone; a model that somebody asked
    for must be there.

    Raises:
        FailedPrecondition: If the setting names another model and it isn't there, saying what to install.
    """
    limits = LanguageLimits(
        max_sentences=settings.max_sentences, max_chars=settings.max_chars, max_completions=settings.max_completions
    )
    reader: OnnxReader | None = None
    if settings.reader:
        packaged = settings.reader == DEFAULT_READER
        try:
            folder = PACKAGED if packaged else Path(settings.reader)
            reader = load_reader(folder, settings.reader_threads, settings.reader_cache)
        except FailedPrecondition as error:
            if not packaged:
                raise
            logger.warning("no reader model, so only what needs none is served: %s", error.message)
    if reader:
        reader.describe(["warm"])
        spoken.load()
        metrics.READER_INFO.labels(reader.name, reader.revision).set(1)
    else:
        metrics.READER_INFO.labels("", "").set(0)
    return Language(reader, limits)


def score_alignment(
    language: Language,
    items: Sequence[AlignmentItem],
    judge: Judge,
    picture_ids: Sequence[str],
    human_labels: Sequence[float],
    level: float,
) -> Alignment:
    """Judges items, averages their scores, and compares the judge with human labels.

    Args:
        language: Who judges.
        items: The answers with what they should name.
        judge: How to judge.
        picture_ids: The picture of each item; all empty for none.
        human_labels: 0 or 1 for each item, or none at all.
        level: Confidence level.

    Raises:
        InvalidArgument: If some items have a picture and others none, or labels are ragged or not 0 and 1.
        FailedPrecondition: If the judge needs the reader model and there is none.
    """
    check_level("confidence_level", level)
    if any(picture_ids) and not all(picture_ids):
        index = next(index for index, picture in enumerate(picture_ids) if not picture)
        raise InvalidArgument(
            f"items[{index}].picture_id", "must not be empty where other items have one", reason="EMPTY"
        )
    if len(human_labels) not in (0, len(items)):
        raise InvalidArgument(
            "human_labels", f"has {len(human_labels):,} entries, and there are {len(items):,} items", reason="RAGGED"
        )
    labels = binary_vector("human_labels", human_labels)
    verdicts = language.align(items, judge)
    known = [index for index, verdict in enumerate(verdicts) if verdict.aligned is not None]
    scores = np.array([int(bool(verdicts[index].aligned)) for index in known], dtype=np.int64)
    pictures = [picture_ids[index] for index in known]
    return Alignment(
        verdicts=verdicts,
        mean=float(scores.mean()) if known else None,
        interval=_interval(scores, pictures, level) if known else None,
        unparsed=len(verdicts) - len(known),
        other_language=sum(bool(verdict.language) for verdict in verdicts),
        human=_human(scores.tolist(), labels[known].tolist(), pictures, level) if known and len(labels) else None,
    )


def _interval(scores: NDArray[np.int64], pictures: list[str], level: float) -> Interval:
    if not pictures[0]:
        return wilson(int(scores.sum()), len(scores), level)
    codes = {picture: code for code, picture in enumerate(dict.fromkeys(pictures))}
    clusters = np.array([codes[picture] for picture in pictures])
    return clustered_wilson(np.bincount(clusters, scores).astype(np.int64), np.bincount(clusters), level)


def _human(scores: list[int], labels: list[int], pictures: list[str], level: float) -> HumanAgreement:
    equal = sum(score == label for score, label in zip(scores, labels, strict=True))
    kappa = cohen_kappa(scores, labels)
    named = bool(pictures[0])
    interval = cohen_interval(scores, labels, level, pictures if named else None, "picture" if named else "item")
    return HumanAgreement(kappa, equal / len(scores), len(scores), interval if kappa is not None else None)


def score_agreement(
    language: Language, ratings: Sequence[Rating], judge: Judge, max_pairs: int, level: float
) -> Agreement:
    """Measures how far annotators agree, with a ceiling by the judge that scores models.

    Args:
        language: Who judges.
        ratings: At least one.
        judge: How to judge.
        max_pairs: Different pairs of categories that are judged at most.
        level: Confidence level.

    Raises:
        InvalidArgument: If a rating breaks a rule, the judge is a model, or it can't judge a category.
        FailedPrecondition: If the judge needs the reader model and there is none.
    """
    if judge is Judge.MODEL:
        raise InvalidArgument(
            "judge", "must be lexical or semantic, because no model is asked here", reason="JUDGE_UNFIT"
        )

    def judged(pairs: Sequence[Pair]) -> list[bool | None]:
        if len(pairs) > max_pairs:
            problem = f"have {len(pairs):,} different pairs of categories to judge, at most {max_pairs:,} are allowed"
            raise InvalidArgument("ratings", problem, reason="TOO_MANY")
        try:
            return [score.aligned for score in language.align([AlignmentItem(*pair) for pair in pairs], judge)]
        except InvalidArgument as error:
            raise InvalidArgument(
                "ratings", f"have a category that the judge can't take as an element: {error.message}",
                reason=error.reason,
            ) from error  # fmt: skip

    return measure_agreement(ratings, level, judged)


def complete_types(language: Language, given: Sequence[ResponseType], texts: Sequence[str]) -> list[ResponseType]:
    """Classifies the texts whose type is open.

    Args:
        language: Who classifies.
        given: The types, unspecified where open.
        texts: As many.
    """
    types = list(given)
    unknown = [
        UntypedText(position, text)
        for position, (kind, text) in enumerate(zip(given, texts, strict=True))
        if kind is ResponseType.UNSPECIFIED
    ]
    if unknown:
        for untyped, found in zip(unknown, language.classify([untyped.text for untyped in unknown]), strict=True):
            types[untyped.position] = found.type
    return types
