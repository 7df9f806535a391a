"""Finds pictures by text, by picture and by value."""

import asyncio
import hashlib
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.retrieval import metrics
from services.retrieval.checks import check_filter, check_id
from services.retrieval.encoder.keyword_prompts import encode_keywords
from services.retrieval.encoder.writing_systems import unknown_script
from services.retrieval.index import FRONT, EncoderId, Filter, Hit, Place, Query, Vector, VectorIndex
from services.retrieval.lookalikes import distinct
from services.retrieval.paging import page_place, page_size, page_token
from services.retrieval.settings import RetrievalSettings
from services.retrieval.spaces import Space, Spaces
from services.retrieval.values import Values
from services.serving.errors import NotFound
from services.serving.limits import check_between, check_text
from services.serving.tracing import span

_SEARCHES = {kind: metrics.SEARCHES.labels(kind) for kind in ("text", "picture", "id", "value")}
_STAGE_SECONDS = {stage: metrics.STAGE_SECONDS.labels(stage) for stage in ("decode", "encode", "search")}
DEFAULT_K = 5
"""Pictures a search, and a keyword, as in arXiv 2411.11479."""


@dataclass(frozen=True)
class Provenance:
    """What produced a search's result."""

    encoder: EncoderId
    store: str
    images: int
    """Pictures that were indexed when the search ran."""
    lexicon_sha256: str = ""
    keyword_prompts: tuple[str, ...] = ()
    """What keywords were put into; empty where none took part."""
    warnings: tuple[str, ...] = ()
    """What makes the result less good than it could be."""


@dataclass(frozen=True)
class Wanted:
    """What searches of every kind have in common."""

    k: int = DEFAULT_K
    filter: Filter = field(default_factory=Filter)
    score_threshold: float | None = None
    """Least cosine similarity."""
    page_token: str = ""
    distinct: bool = False
    """Whether of pictures that look alike only the nearest is found."""


class Page(NamedTuple):
    """Hits, the nearest first."""

    hits: list[Hit]
    provenance: Provenance
    next_page_token: str
    """Empty where no page follows, or none may."""


class KeywordHits(NamedTuple):
    """The pictures of one keyword, the nearest first."""

    keyword: str
    hits: list[Hit]


class ValueHits(NamedTuple):
    """The pictures of a value by keyword."""

    keywords: list[KeywordHits]
    provenance: Provenance


class Searcher:
    """Searches the current space within the bounds of the settings.

    Args:
        spaces: Holds the current space.
        store: Name of the vector store.
        values: The lexicon.
        settings: The bounds.
    """

    def __init__(self, spaces: Spaces, store: str, values: Values, settings: RetrievalSettings) -> None:
        self._spaces = spaces
        self._store = store
        self._values = values
        self._settings = settings

    async def by_text(self, text: str, wanted: Wanted) -> Page:
        """The pictures nearest to a text.

        Raises:
            InvalidArgument: About the field that is wrong.
        """
        check_text("query", text, self._settings.max_query_chars)
        self._check(wanted, self._settings.max_k)
        with self._spaces.borrow() as space:
            begin = _begin(space, wanted, "text", text)
            with _timed("encode"):
                vectors = await space.encoder.encode_texts([text])
            _SEARCHES["text"].inc()
            page = await self._page(space, vectors[0], wanted, begin, ("text", text))
            warning = unknown_script(text, space.id)
            return page._replace(provenance=replace(page.provenance, warnings=(warning,))) if warning else page

    async def by_picture(self, data: bytes, wanted: Wanted) -> Page:
        """The pictures nearest to a picture's bytes.

        Raises:
            InvalidArgument: About the field that is wrong.
        """
        self._check(wanted, self._settings.max_k)
        with self._spaces.borrow() as space:
            sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
            begin = _begin(space, wanted, "picture", sha256)
            with _timed("decode"):
                prepared = await space.encoder.prepare(data)
            with _timed("encode"):
                vectors = await space.encoder.encode_pictures([prepared])
            _SEARCHES["picture"].inc()
            return await self._page(space, vectors[0], wanted, begin, ("picture", sha256))

    async def by_id(self, picture_id: str, wanted: Wanted) -> Page:
        """The pictures nearest to a stored one, which is not among them.

        Raises:
            InvalidArgument: About the field that is wrong.
            NotFound: If no picture has this id.
        """
        check_id("image_id", picture_id)
        self._check(wanted, self._settings.max_k)
        with self._spaces.borrow() as space:
            begin = _begin(space, wanted, "id", picture_id)
            (vector,) = await space.index.vectors([picture_id])
            if vector is None:
                raise NotFound(
                    "image_id", "no stored image has this id; use the id of a hit or of an acknowledgement",
                    reason="PICTURE_UNKNOWN",
                )  # fmt: skip
            _SEARCHES["id"].inc()
            return await self._page(space, vector, wanted, begin, ("id", picture_id), without=picture_id)

    async def by_value(self, value_id: str, keywords: Sequence[str], wanted: Wanted) -> ValueHits:
        """Pictures of a value: `wanted.k` for each keyword, each picture once.

        Raises:
            InvalidArgument: About the field that is wrong.
        """
        value = self._values.value(value_id)
        names = self._values.keywords(value, keywords)
        self._check(wanted, self._settings.max_keyword_k)
        with self._spaces.borrow() as space:
            prompts = self._settings.keyword_prompts
            provenance = replace(self._provenance(space), lexicon_sha256=self._values.sha256, keyword_prompts=prompts)
            with _timed("encode"):
                vectors = await encode_keywords(space.encoder, prompts, names)
            _SEARCHES["value"].inc()
            with _timed("search"):
                shared = await share_out(space.index, vectors, wanted)
            return ValueHits([KeywordHits(*pair) for pair in zip(names, shared, strict=True)], provenance)

    def _check(self, wanted: Wanted, max_k: int) -> None:
        check_between("k", wanted.k, 1, max_k)
        if wanted.score_threshold is not None:
            check_between("score_threshold", wanted.score_threshold, -1, 1)
        check_filter(wanted.filter, self._settings.max_filter_entries)

    async def _page(
        self,
        space: Space,
        vector: Vector,
        wanted: Wanted,
        begin: Place,
        request: tuple[Hashable, ...],
        *,
        without: str | None = None,
    ) -> Page:
        provenance = self._provenance(space)
        size = page_size(begin.offset, wanted.k, self._settings.max_results)
        end = begin.offset + size
        # One more than asked for tells whether a page follows, and the picture that is left out may be among them.
        wanted_hits = size + (1 if without is None else 2)
        with _timed("search"):
            query = Query(vector, wanted_hits, wanted.filter, wanted.score_threshold, begin)
            hits = [hit for hit in await space.index.search(query) if hit.record.id != without]
            if wanted.distinct:
                hits = await self._distinct(space, query, size + 1, without)
        token = ""
        if len(hits) > size and end < self._settings.max_results:
            last = hits[size - 1]
            token = page_token(Place(end, last.score, last.record.id), *_bound(space, wanted, request))
        return Page(hits[:size], provenance, token)

    async def _distinct(self, space: Space, query: Query, size: int, without: str | None) -> list[Hit]:
        """The nearest of each group of pictures that look alike, also of those before the query's place."""
        most = self._settings.max_results + 1
        depth = min(2 * (query.after.offset + query.k), most)
        while True:
            found = await space.index.search(replace(query, k=depth, after=FRONT))
            kept = distinct([hit for hit in found if hit.record.id != without])
            hits = [hit for hit in kept if query.after.precedes(hit)][:size]
            if len(hits) == size or len(found) < depth or depth == most:
                return hits
            depth = min(2 * depth, most)

    def _provenance(self, space: Space) -> Provenance:
        return Provenance(space.id, self._store, space.images)


def _begin(space: Space, wanted: Wanted, *request: Hashable) -> Place:
    return page_place(wanted.page_token, space.images, *_bound(space, wanted, request))


def _bound(space: Space, wanted: Wanted, request: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """All that the hits of a request depend on, but for the pictures."""
    return (*request, wanted.k, wanted.filter, wanted.score_threshold, wanted.distinct, space.id)


async def share_out(index: VectorIndex, vectors: NDArray[np.float32], wanted: Wanted) -> list[list[Hit]]:
    """The nearest pictures of each vector, every picture under one vector only.

    A picture that several vectors find is left to the one that it is nearest to, and the others take their next nearest
    instead. That is the stable matching of Gale and Shapley (1962) with `k` places a vector, so it does not depend on
    the order of the vectors but for exact ties, which go to the first.

    Args:
        index: Where to search.
        vectors: Shape (n, dimension).
        wanted: `k` pictures for each vector, and what they must fulfil.

    Returns:
        For each vector its hits, the nearest first; fewer than `k` only where there are no more.
    """
    number = len(vectors)
    # Others can take (n - 1) k pictures at most from a vector, so n k nearest are always enough; mostly far fewer are.
    enough = number * wanted.k
    depths = [min(2 * wanted.k, enough)] * number
    found: list[list[Hit]] = [[] for _ in range(number)]
    stale = list(range(number))
    while stale:
        queries = [Query(vectors[row], depths[row], wanted.filter, wanted.score_threshold) for row in stale]
        for row, hits in zip(stale, await asyncio.gather(*map(index.search, queries)), strict=True):
            found[row] = hits
        kept = _match(found, wanted.k)
        stale = [
            row
            for row in range(number)
            if len(kept[row]) < wanted.k and len(found[row]) == depths[row] and depths[row] < enough
        ]
        for row in stale:
            depths[row] = min(2 * depths[row], enough)
    return kept


def _match(found: Sequence[Sequence[Hit]], k: int) -> list[list[Hit]]:
    """Each row takes its nearest `k`; a picture that two rows want goes to the nearer one."""
    holder: dict[str, int] = {}
    kept: list[dict[str, Hit]] = [{} for _ in found]
    upcoming = [0] * len(found)
    short = list(range(len(found)))
    while short:
        row = short[-1]
        if len(kept[row]) == k or upcoming[row] == len(found[row]):
            short.pop()
            continue
        hit = found[row][upcoming[row]]
        upcoming[row] += 1
        picture = hit.record.id
        rival = holder.get(picture)
        if rival is not None:
            if (-kept[rival][picture].score, rival) < (-hit.score, row):
                continue
            del kept[rival][picture]
            short.insert(0, rival)
        holder[picture] = row
        kept[row][picture] = hit
    return [sorted(hits.values(), key=lambda hit: (-hit.score, hit.record.id)) for hits in kept]


@contextmanager
def _timed(stage: str) -> Iterator[None]:
    """Traces a stage, and measures it if it succeeds."""
    began = time.perf_counter()
    with span(stage):
        yield
    _STAGE_SECONDS[stage].observe(time.perf_counter() - began)
