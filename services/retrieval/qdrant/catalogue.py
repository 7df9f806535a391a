"""The collections of a Qdrant server or cluster, by its asynchronous client over gRPC."""

import logging
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException

from services.retrieval.index import EncoderId
from services.retrieval.qdrant.collection import QdrantIndex, translated
from services.serving.errors import FailedPrecondition

_log = logging.getLogger(__name__)

_DEFAULT_PORT = 6334
_INDEXED = {
    "platform": models.PayloadSchemaType.KEYWORD,
    "source": models.PayloadSchemaType.KEYWORD,
    "capture_time": models.PayloadSchemaType.FLOAT,
}
"""Fields of payloads that filters look at."""
_CHANNEL_OPTIONS = {
    # A server that comes back is found within seconds rather than after gRPC's two minutes.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.min_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2_000,
    "grpc.max_receive_message_length": 64 << 20,
    # gRPC would send these calls to the proxy that http_proxy names, which is often set for a model hub.
    "grpc.enable_http_proxy": 0,
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
    """Whether the graph is searched by vectors of 8-bit integers, for a quarter more memory."""


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

    async def open(self, encoder: EncoderId) -> QdrantIndex:
        """Opens the collection of an encoder, and makes it if there is none.

        Raises:
            FailedPrecondition: If the collection has another dimension than the encoder.
            Unavailable: If the server can't be reached.
        """
        name = collection_name(self._options.prefix, encoder)
        with translated():
            if not await self._client.collection_exists(name):
                await self._create(name, encoder.dimension)
            # At every open: a process that was killed may have made the collection and not all of these.
            there = (await self._client.get_collection(name)).payload_schema
            for field, schema in _INDEXED.items():
                if field not in there:
                    await self._client.create_payload_index(name, field, schema, wait=True)
            dimension = await self._dimension(name)
        if dimension != encoder.dimension:
            raise FailedPrecondition(
                f"the vectors of the collection {name} have {dimension} dimensions, but those of the encoder "
                f"{encoder.name} have {encoder.dimension}: set AXIA_RETRIEVAL_ENCODER to the encoder that built the "
                "collection, re-index the images with another encoder, or set AXIA_RETRIEVAL_QDRANT_URL to another "
                "server",
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


def collection_name(prefix: str, encoder: EncoderId) -> str:
    """PREFIX~NAME~REVISION, from which the encoder can be read again."""
    return f"{prefix}~{_escaped(encoder.name)}~{_escaped(encoder.revision)}"


def _escaped(text: str) -> str:
    """Characters that names of collections can't have, as = and two hexadecimal digits for each byte."""
    return re.sub(r"[^A-Za-z0-9_.-]", lambda match: "".join(f"={byte:02X}" for byte in match[0].encode()), text)


def _unescaped(text: str) -> str:
    return re.sub(rb"=([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode()).decode()
