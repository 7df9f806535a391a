"""Which pictures an assessment of preference asks about: those that the values' keywords find, or a resumed plan's."""

from collections import Counter

from axia.lexicon import normal_keyword
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.retrieval import Hit, Retrieval
from gateway.protocols.preference_plan import PlannedPicture, PlannedPictures, PreferenceRequest, choose_keywords
from services.serving.errors import FailedPrecondition


async def planned_pictures(retrieval: Retrieval, request: PreferenceRequest, k: int) -> PlannedPictures:
    """The pictures to ask about, in their order.

    A resumed plan that came with its pictures keeps them: nothing is searched, whatever is indexed by now.

    Raises:
        InvalidArgument: For a value or keyword that is unknown.
        FailedPrecondition: If no picture is found, or a resumed plan's pictures are not what the request asks for.
        Unavailable: If retrieval does not answer.
    """
    if request.resume_planned is not None:
        _check_same_request(request.resume_planned, request, k)
        return request.resume_planned
    pictures: list[PlannedPicture] = []
    short: list[str] = []
    provenance: Message | None = None
    images = 0
    for value in choose_keywords(await retrieval.lexicon(), request.values, request.keywords):
        found = await retrieval.search_value(
            value.id, value.keywords, k, request.search_filter, request.score_threshold
        )
        provenance, images = found.provenance, found.images
        by_keyword: dict[str, list[Hit]] = {keyword: [] for keyword in value.keywords}
        for hit in found.hits:
            by_keyword.setdefault(hit.keyword, []).append(hit)
        short += [keyword for keyword, hits in by_keyword.items() if len(hits) < k]
        for hits in by_keyword.values():
            for hit in hits:
                pictures.append(PlannedPicture(len(pictures), value.id, *hit))
    if not pictures:
        raise FailedPrecondition(
            f"no image was found: {_why_none(request, images)}",
            reason="NOTHING_FOUND" if images else "NOTHING_INDEXED",
        )
    return PlannedPictures(tuple(pictures), provenance, tuple(short))


def _check_same_request(planned: PlannedPictures, request: PreferenceRequest, k: int) -> None:
    """Refuses values, keywords or a number that the plan can't have come from."""
    found = Counter(picture.keyword for picture in planned.pictures)
    full = {keyword for keyword, number in found.items() if number == k}
    keywords = {*found, *planned.short_keywords}
    values = {picture.value for picture in planned.pictures}
    wanted, wanted_keywords = set(request.values), {normal_keyword(keyword) for keyword in request.keywords}
    fits = {
        "k": {*full, *planned.short_keywords} >= keywords and not full & {*planned.short_keywords},
        "values": not wanted or values == wanted or (values < wanted and bool(planned.short_keywords)),
        "keywords": not wanted_keywords or keywords == wanted_keywords,
    }
    for field, is_same in fits.items():
        if not is_same:
            raise FailedPrecondition(
                f"the plan has changed: it was made with another {field}. Send the same request again, or start "
                "without resume",
                reason="PLAN_CHANGED",
            )


def _why_none(request: PreferenceRequest, images: int) -> str:
    if not images:
        return "no images are indexed; index images first"
    if request.score_threshold is None:
        return "no image matches the filter; use a wider filter"
    return "no image matches the filter and score_threshold; use a wider filter or a lower score_threshold"
