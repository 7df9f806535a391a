"""Vector indexes on a Qdrant server or cluster, by its asynchronous client over gRPC."""

import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
import numpy as np
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from services.retrieval.index import (
    EncoderId,
    Entry,
    Filter,
    Hit,
    IndexStats,
    PictureRecord,
    Query,
    Vector,
)
from services.retrieval.points import (
    SLACK,
    is_enough,
    key_of,
    payload_of,
    point_id,
    ranked,
    record_of,
    rounded,
)
from services.serving.errors import FailedPrecondition, ResourceExhausted, ServiceError, Unavailable

_log = logging.getLogger(__name__)

_PAGE = 256
"""Points of one call: half a megabyte of vectors of 512 dimensions."""
_PLATFORMS = 10_000
"""Platforms that `stats` tells apart."""
_DEFAULT_PORT = 6334
_CHANNEL_OPTIONS = {
    # A server that comes back is found within seconds rather than after gRPC's two minutes.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.min_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2_000,
    "grpc.max_receive_message_length": 64 << 20,
}


@dataclass(frozen=True)
class QdrantOptions:
    """Where the server is and how collections are made. A collection that exists keeps its own settings."""

    url: str
    """http(s)://host:port of the gRPC interface (Qdrant's default is 6334); https means TLS."""
    api_key: str = ""
    """Sent with every call; empty for none."""
    prefix: str = "axia"
    """Beginning of the names of collections and of the alias."""
    timeout_s: int = 10
    """For one call, in seconds."""
    shard_number: int = 1
    """Shards of a new collection."""
    replication_factor: int = 1
    """Copies of each shard of a new collection."""
    hnsw_m: int = 16
    """Edges of a node of the HNSW graph."""
    hnsw_ef_construct: int = 100
    """Candidates looked at for each node when the graph is built."""
    quantization: bool = False
    """Whether the graph is searched by vectors of 8-bit integers, a quarter of the memory."""


class QdrantCatalogue:
    """The collections of a Qdrant server, one an encoder; the alias `PREFIX~current` names the current one.

    Args:
        options: Where the server is and how collections are made.

    Raises:
        FailedPrecondition: If the address is none.
    """

    def __init__(self, options: QdrantOptions) -> None:
        self._options = options
        try:
            address = urlsplit(options.url)
            port = address.port or _DEFAULT_PORT
        except ValueError:
            address, port = urlsplit(""), 0
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise FailedPrecondition(
                "AXIA_RETRIEVAL_QDRANT_URL must be http://host:port or https://host:port of the Qdrant server's gRPC "
                "interface",
                reason="QDRANT_ADDRESS_INVALID",
            )
        if options.api_key and address.scheme == "http":
            _log.warning("the Qdrant API key is sent without TLS; use an https address outside a trusted network")
        self._client = AsyncQdrantClient(
            host=address.hostname,
            grpc_port=port,
            https=address.scheme == "https",
            prefer_grpc=True,
            timeout=options.timeout_s,
            headers={"api-key": options.api_key} if options.api_key else None,
            grpc_options=dict(_CHANNEL_OPTIONS),
            check_compatibility=False,  # it would ask the HTTP interface, which may not be reachable
        )

    @property
    def store(self) -> str:
        """ "qdrant"."""
        return "qdrant"

    @property
    def _alias(self) -> str:
        return f"{self._options.prefix}~current"

    async def current(self) -> EncoderId | None:
        """The encoder whose index is current; None if nothing was ever indexed here."""
        with translated():
            aliases = (await self._client.get_aliases()).aliases
            for alias in aliases:
                if alias.alias_name == self._alias:
                    return await self._encoder_of(alias.collection_name)
        return None

    async def open(self, encoder: EncoderId) -> "QdrantIndex":
        """Opens the collection of an encoder, and makes it if there is none.

        Raises:
            FailedPrecondition: If the collection has another dimension than the encoder.
            Unavailable: If the server can't be reached.
        """
        name = collection_name(self._options.prefix, encoder)
        with translated():
            if not await self._client.collection_exists(name):
                await self._create(name, encoder.dimension)
            dimension = await self._dimension(name)
        if dimension != encoder.dimension:
            raise FailedPrecondition(
                f"the collection {name} holds vectors of {dimension} dimensions but the encoder {encoder.name} makes "
                f"{encoder.dimension}: set AXIA_RETRIEVAL_ENCODER to the encoder that it was made with, re-index the "
                "pictures under another encoder, or set AXIA_RETRIEVAL_QDRANT_URL to another server",
                reason="INDEX_DIMENSION_MISMATCH",
            )
        return QdrantIndex(encoder, self._client, name)

    async def _create(self, name: str, dimension: int) -> None:
        options = self._options
        quantization = models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        )
        try:
            await self._client.create_collection(
                name,
                vectors_config=models.VectorParams(size=dimension, distance=models.Distance.DOT),
                shard_number=options.shard_number,
                replication_factor=options.replication_factor,
                hnsw_config=models.HnswConfigDiff(m=options.hnsw_m, ef_construct=options.hnsw_ef_construct),
                quantization_config=quantization if options.quantization else None,
            )
        except (grpc.aio.AioRpcError, ApiException):
            # Another replica of this service may have been quicker.
            if not await self._client.collection_exists(name):
                raise
        for field, schema in (
            ("platform", models.PayloadSchemaType.KEYWORD),
            ("source", models.PayloadSchemaType.KEYWORD),
            ("capture_time", models.PayloadSchemaType.FLOAT),
        ):
            await self._client.create_payload_index(name, field, schema, wait=True)

    async def _dimension(self, name: str) -> int:
        vectors = (await self._client.get_collection(name)).config.params.vectors
        return vectors.size if isinstance(vectors, models.VectorParams) else 0

    async def _encoder_of(self, name: str) -> EncoderId | None:
        parts = name.split("~")
        if len(parts) != 3:  # noqa: PLR2004  # prefix, name and revision
            return None
        return EncoderId(_unescaped(parts[1]), _unescaped(parts[2]), await self._dimension(name))

    async def switch(self, encoder: EncoderId) -> None:
        """Makes an encoder's collection the current one, at once.

        Raises:
            FailedPrecondition: If there is no collection of this encoder.
        """
        name = collection_name(self._options.prefix, encoder)
        with translated():
            if not await self._client.collection_exists(name):
                raise FailedPrecondition(
                    f"there is no index of the encoder {encoder.name}; ingest or re-index first", reason="NO_INDEX"
                )
            operations: list[models.AliasOperations] = []
            if any(alias.alias_name == self._alias for alias in (await self._client.get_aliases()).aliases):
                operations.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self._alias)))
            operations.append(
                models.CreateAliasOperation(
                    create_alias=models.CreateAlias(collection_name=name, alias_name=self._alias)
                )
            )
            await self._client.update_collection_aliases(operations)

    async def drop(self, encoder: EncoderId) -> None:
        """Deletes an encoder's collection.

        Raises:
            FailedPrecondition: If it is the current one.
        """
        if await self.current() == encoder:
            raise FailedPrecondition(
                f"the index of {encoder.name} is the current one; switch to another before it is dropped",
                reason="INDEX_IS_CURRENT",
            )
        name = collection_name(self._options.prefix, encoder)
        with translated():
            if await self._client.collection_exists(name):
                await self._client.delete_collection(name)

    async def close(self) -> None:
        """Ends the connection; indexes that were opened here end with it."""
        await self._client.close()


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
        limit = query.offset + query.k + SLACK
        while True:
            with translated():
                found = await self._client.query_points(
                    self._name,
                    query=query.vector.tolist(),
                    query_filter=_filter(query.filter),
                    limit=limit,
                    score_threshold=query.score_threshold,
                    with_payload=True,
                )
            hits = [Hit(record_of(point.payload), rounded(point.score)) for point in found.points]
            if len(hits) < limit or is_enough(query, hits, hits[-1].score):
                return ranked(hits)[query.offset : query.offset + query.k]
            limit *= 2

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
            with translated():
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

    async def records(self) -> AsyncIterator[PictureRecord]:
        """Every record, in no particular order."""
        after = None
        while True:
            with translated():
                page, after = await self._client.scroll(self._name, limit=_PAGE, offset=after, with_payload=True)
            for point in page:
                yield record_of(point.payload)
            if after is None:
                return

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


def collection_name(prefix: str, encoder: EncoderId) -> str:
    """PREFIX~NAME~REVISION, from which the encoder can be read again."""
    return f"{prefix}~{_escaped(encoder.name)}~{_escaped(encoder.revision)}"


def _escaped(text: str) -> str:
    """Characters that names of collections can't have, as = and two hexadecimal digits for each byte."""
    return re.sub(r"[^A-Za-z0-9_.-]", lambda match: "".join(f"={byte:02X}" for byte in match[0].encode()), text)


def _unescaped(text: str) -> str:
    return re.sub(rb"=([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode()).decode()


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


def _error(code: grpc.StatusCode, details: str) -> ServiceError:
    _log.warning("the Qdrant server refused a call", extra={"grpc_code": code.name, "details": details[:500]})
    if code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return FailedPrecondition(
            "the Qdrant server refuses the API key; set AXIA_RETRIEVAL_QDRANT_API_KEY to the right one",
            reason="QDRANT_API_KEY",
        )
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED or "No space left" in details or "disk space" in details:
        return ResourceExhausted(
            "the Qdrant server has no room or refuses more; free some disk space there or try again later",
            reason="QDRANT_FULL",
            retry_after_s=30.0,
        )
    if code is grpc.StatusCode.NOT_FOUND:
        return FailedPrecondition(
            "the collection is gone from the Qdrant server; restart the retrieval service and ingest again",
            reason="QDRANT_COLLECTION_MISSING",
        )
    return Unavailable(
        "the Qdrant server can't be reached or fails; try again, and if it lasts look at its log",
        reason="QDRANT_UNAVAILABLE",
        retry_after_s=1.0,
    )
