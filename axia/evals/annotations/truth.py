"""The ground truth of pictures by a stated rule, and what an annotator scores against the others.

The rule: the reader model groups an annotator's phrasings with those of the same meaning; the element is what the
largest group says, in the wording nearest to all of its members; where two groups are the largest, the picture stays
open and no model is scored on it. The truth's agreement is the largest group's share.
"""

from collections.abc import Sequence
from typing import NamedTuple

from axia.client import Client
from axia.errors import AxiaError
from axia.evals.annotations.record import Picture, Study
from axia.inputs import Judge, Rating
from axia.results import Agreement

RULE = "largest group of phrasings with the same meaning; open where two are the largest"
"""The rule in words, for reports."""

_MAX_ACCEPT = 64


class Truth(NamedTuple):
    """What annotators named in a picture."""

    element: str
    """The element; ``none`` where nothing needs attention."""
    accept: tuple[str, ...]
    """The other phrasings of the group."""
    agreement: float
    """Share of the annotators in the group, above 0 and at most 1."""
    response_type: int | None
    """The most usual response type of the group; None where none was noted."""


def truth_of(client: Client, picture: Picture) -> Truth | None:
    """The truth of one picture; None where it stays open.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    said = [row.element for row in picture.annotations]
    grouping = client.scoring.summarize_completions(said, abstain_threshold=0)
    largest = grouping.groups[0]
    if len(grouping.groups) > 1 and len(grouping.groups[1].members) == len(largest.members):
        return None
    members = [picture.annotations[index] for index in largest.members]
    phrasings = tuple(dict.fromkeys(row.element for row in members if row.element != largest.representative))
    types = [row.response_type for row in members if row.response_type is not None]
    response_type = max(sorted(set(types)), key=types.count) if types else None
    return Truth(largest.representative, phrasings[:_MAX_ACCEPT], largest.share, response_type)


def truths(client: Client, study: Study) -> dict[str, Truth | None]:
    """The truth of every picture, by its id.

    Raises:
        AxiaError: If the scoring service does not answer; the message says what for.
    """
    try:
        return {picture.id: truth_of(client, picture) for picture in study.pictures}
    except AxiaError as error:
        raise type(error)(
            f"the ground truth of {study.path.name} needs the scoring service behind the gateway: {error}",
            code=error.code,
            reason=error.reason,
            request_id=error.request_id,
        ) from error


def human_ceiling(client: Client, study: Study, judge: Judge) -> Agreement:
    """How far annotators agree, and what one scores against the others, by the judge that scores the models.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    ratings = [Rating(unit=row.image, annotator=row.annotator, category=row.element) for row in study.rows()]
    return client.scoring.measure_agreement(ratings, judge=judge)


def ceilings(client: Client, study: Study, judge: Judge) -> list[tuple[str, Agreement]]:
    """The ceiling of all annotators and of each group that has two or more; the name of all is empty."""
    found = [("", human_ceiling(client, study, judge))]
    groups: Sequence[str] = study.groups
    for group in groups:
        part = study.of_group(group)
        if len(part.annotators) > 1:
            found.append((group, human_ceiling(client, part, judge)))
    return found
