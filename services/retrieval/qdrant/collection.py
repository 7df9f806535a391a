"""One encoder's index in a collection of a Qdrant server, and the server's errors in our own words."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence

import grpc
import numpy as np
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from services.retrieval.index import EncoderId, Entry, Filter, Hit, IndexStats, PictureRecord, Query, Vector
from services.retrieval.points import (
    SLACK,
    is_enough,
    key_of,
    loosened,
    oversampling,
    passes,
    payload_of,
    point_id,
    ranked,
    record_of,
    rounded,
    unknown_page,
)
from services.serving.deadlines import answer_deadline
from services.serving.errors import FailedPrecondition, ResourceExhausted, ServiceError, Unavailable

_log = logging.getLogger(__name__)

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAGE = 256
"""Points of one call: half a megabyte of vectors of 512 dimensions."""
_PLATFORMS = 10_000
"""Platforms that `stats` tells apart."""


class QdrantIndex:
    """The collection of one encoder; see `services.retrieval.index.VectorIndex`.

    Args:
        encoder: Which made the vectors.
        client: Connected to the server.
        name: Of the collection.
    """

    def __init__(self, encoder: EncoderId, client: AsyncQdrantClient, name: str) -> None:
        self._encoder = encoder
        self._client = client
        self._name = name

    @property
    def encoder(self) -> EncoderId:
        """Which encoder made the vectors."""
        return self._encoder

    async def add(self, entries: Sequence[Entry]) -> list[bool]:
        """Adds pictures; returns for each whether it is new."""
        if any(entry.vector.shape != (self._encoder.dimension,) for entry in entries):
            raise ValueError(f"vectors of this index have {self._encoder.dimension} dimensions")
        new: list[bool] = []
        for start in range(0, len(entries), _PAGE):
            new += await self._add_page(entries[start : start + _PAGE])
        return new

    async def _add_page(self, entries: Sequence[Entry]) -> list[bool]:
        known = {record.id for record in await self.get([entry.record.id for entry in entries]) if record}
        new: list[bool] = []
        points: list[models.PointStruct] = []
        for entry in entries:
            record = entry.record
            new.append(record.id not in known)
            if record.id not in known:
                known.add(record.id)
                identity = point_id(bytes.fromhex(record.id))
                points.append(models.PointStruct(id=identity, vector=entry.vector.tolist(), payload=payload_of(record)))
        if points:
            with translated():
                await self._client.upsert(self._name, points, wait=True)
        return new

    async def search(self, query: Query) -> list[Hit]:
        """The nearest pictures, the nearest first; among equals by id."""
        limit = query.after.offset + query.k + SLACK
        while True:
            async with in_time():
                found = await self._client.query_points(
                    self._name,
                    query=query.vector.tolist(),
                    query_filter=_filter(query.filter),
                    limit=limit,
                    score_threshold=loosened(query.score_threshold),
                    # A collection without quantization takes no notice.
                    search_params=models.SearchParams(
                        quantization=models.QuantizationSearchParams(rescore=True, oversampling=oversampling(limit))
                    ),
                    with_payload=True,
                )
            passing = [
                Hit(record_of(point.payload), rounded(point.score))
                for point in found.points
                if passes(point.score, query.score_threshold)
            ]
            hits = [hit for hit in passing if query.after.precedes(hit)]
            if len(passing) < limit or is_enough(query, hits, passing[-1].score):
                return ranked(hits)[: query.k]
            limit *= 2  # some came before the place since: added, or only found so far down

    async def get(self, ids: Sequence[str]) -> list[PictureRecord | None]:
        """The records by id, None where there is none."""
        found = {record.id: record for record, _ in await self._retrieve(ids, with_vectors=False)}
        return [found.get(picture) for picture in ids]

    async def vectors(self, ids: Sequence[str]) -> list[Vector | None]:
        """The vectors by id, None where there is none."""
        found = {record.id: vector for record, vector in await self._retrieve(ids, with_vectors=True)}
        return [found.get(picture) for picture in ids]

    async def _retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[tuple[PictureRecord, Vector]]:
        identities = [point_id(key) for picture in ids if (key := key_of(picture)) is not None]
        results: list[tuple[PictureRecord, Vector]] = []
        for start in range(0, len(identities), _PAGE):
            async with in_time():
                page = await self._client.retrieve(
                    self._name, identities[start : start + _PAGE], with_payload=True, with_vectors=with_vectors
                )
            results += [(record_of(point.payload), np.asarray(point.vector or (), np.float32)) for point in page]
        return results

    async def delete(self, ids: Sequence[str]) -> int:
        """Deletes pictures by id; returns how many were there."""
        there = sorted({record.id for record in await self.get(ids) if record})
        for start in range(0, len(there), _PAGE):
            page = there[start : start + _PAGE]
            identities: list[models.ExtendedPointId] = [point_id(bytes.fromhex(picture)) for picture in page]
            with translated():
                await self._client.delete(self._name, models.PointIdsList(points=identities), wait=True)
        return len(there)

    async def page(self, condition: Filter, after: str, count: int) -> tuple[list[PictureRecord], str]:
        """Some of the records that pass a filter, in the order of their points."""
        if after and not _UUID.fullmatch(after):
            raise unknown_page()
        with translated():
            points, following = await self._client.scroll(
                self._name, scroll_filter=_filter(condition), limit=count, offset=after or None, with_payload=True
            )
        return [record_of(point.payload) for point in points], "" if following is None else str(following)

    async def records(self) -> AsyncIterator[PictureRecord]:
        """Every record, in no particular order."""
        after: str | None = None
        while after != "":
            page, after = await self.page(Filter(), after or "", _PAGE)
            for record in page:
                yield record

    async def update(self, records: Sequence[PictureRecord]) -> int:
        """Puts records in the place of those of the same ids; returns how many were there."""
        updated = 0
        for start in range(0, len(records), _PAGE):
            distinct = {record.id: record for record in records[start : start + _PAGE]}
            there = [record.id for record in await self.get(list(distinct)) if record is not None]
            operations = [
                models.OverwritePayloadOperation(
                    overwrite_payload=models.SetPayload(
                        payload=payload_of(distinct[picture]), points=[point_id(bytes.fromhex(picture))]
                    )
                )
                for picture in there
            ]
            if operations:
                with translated():
                    await self._client.batch_update_points(self._name, operations, wait=True)
            updated += len(there)
        return updated

    async def purge(self) -> None:
        """Nothing that this process could do: the server's optimizers remove what was deleted from its files."""

    async def stats(self) -> IndexStats:
        """What is in it."""
        with translated():
            info = await self._client.get_collection(self._name)
            images = (await self._client.count(self._name, exact=True)).count
            facet = await self._client.facet(self._name, "platform", limit=_PLATFORMS, exact=True)
        return IndexStats(
            images=images,
            indexed_images=min(info.indexed_vectors_count or 0, images),
            platforms={str(hit.value): hit.count for hit in facet.hits if hit.count},
            building=info.status == models.CollectionStatus.YELLOW,
        )

    async def check(self) -> None:
        """Raises `Unavailable` if the server can't be reached now."""
        with translated():
            await self._client.collection_exists(self._name)

    async def close(self) -> None:
        """Nothing to let go: the catalogue holds the connection."""


def _filter(condition: Filter) -> models.Filter | None:
    must: list[models.Condition] = [
        models.FieldCondition(key=key, match=models.MatchAny(any=list(names)))
        for key, names in (("platform", condition.platforms), ("source", condition.sources))
        if names
    ]
    if condition.captured_from is not None or condition.captured_before is not None:
        interval = models.Range(gte=condition.captured_from, lt=condition.captured_before)
        must.append(models.FieldCondition(key="capture_time", range=interval))
    return models.Filter(must=must) if must else None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Says the server's errors in our own words.

    Raises:
        Unavailable: If it can't be reached or fails.
        ResourceExhausted: If its disk is full or it refuses more.
        FailedPrecondition: If it refuses the API key, or the collection is gone.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _error(error.code(), error.details() or "") from error
    except (ApiException, QdrantException, RuntimeError) as error:
        raise _error(grpc.StatusCode.UNKNOWN, str(error)) from error


@contextlib.asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """The same for what a call waits for, so that its caller hears of a server that is silent before its time is over.

    Raises:
        Unavailable: If it can't be reached, fails, or doesn't answer in the time that the call has.
    """
    deadline = answer_deadline.get()
    try:
        async with asyncio.timeout(deadline.wait_s() if deadline else None):
            with translated():
                yield
    except TimeoutError as error:
        raise Unavailable(
            "the Qdrant server didn't answer in the time that this call had; try again, and check its log if the "
            "problem remains",
            reason="QDRANT_SILENT",
            retry_after_s=1.0,
            repeatable=False,
        ) from error


def _error(code: grpc.StatusCode, details: str) -> ServiceError:
    _log.warning("the Qdrant server refused a call", extra={"grpc_code": code.name, "details": details[:500]})
    if code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return FailedPrecondition(
            "the Qdrant server refuses the API key; set AXIA_RETRIEVAL_QDRANT_API_KEY to the right one",
            reason="QDRANT_API_KEY",
        )
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED or "No space left" in details or "disk space" in details:
        return ResourceExhausted(
            "the Qdrant server is full or refuses writes; free some disk space there or try again later",
            reason="QDRANT_FULL",
            retry_after_s=30.0,
        )
    if code is grpc.StatusCode.NOT_FOUND:
        return FailedPrecondition(
            "the collection is gone from the Qdrant server; restart the retrieval service and ingest again",
            reason="QDRANT_COLLECTION_MISSING",
        )
    return Unavailable(
        "the Qdrant server can't be reached or fails; try again, and check its log if the problem remains",
        reason="QDRANT_UNAVAILABLE",
        retry_after_s=1.0,
    )
