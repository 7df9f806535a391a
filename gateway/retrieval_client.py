"""The retrieval service behind the gateway, reached over gRPC; see `gateway.found.Retrieval`."""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar, cast

import grpc

from axia.v1 import retrieval_pb2, retrieval_pb2_grpc
from gateway.channels import ServiceChannel
from gateway.found import Hit, LexiconValue, Message, ValueSearch
from services.serving.errors import NotFound, ServiceError
from services.serving.logs import REQUEST_ID_KEY, request_id
from services.serving.status import from_rpc_error

SERVICE = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name
_FIELDS = {"value": "values"}
_TIMEOUT_S = 30.0
ResponseT = TypeVar("ResponseT")


class GrpcRetrieval:
    """The retrieval service."""

    def __init__(self, channel: ServiceChannel) -> None:
        self._channel = channel
        self._opened: retrieval_pb2_grpc.RetrievalServiceAsyncStub | None = None

    @property
    def _stub(self) -> "retrieval_pb2_grpc.RetrievalServiceAsyncStub":
        if self._opened is None:
            # One class serves both kinds of channel at run time; its stub file has two.
            stub = retrieval_pb2_grpc.RetrievalServiceStub(self._channel.channel)
            self._opened = cast("retrieval_pb2_grpc.RetrievalServiceAsyncStub", stub)
        return self._opened

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return ((REQUEST_ID_KEY, request_id.get()),)

    def _failure(self, error: grpc.aio.AioRpcError) -> ServiceError:
        failure = from_rpc_error(error)
        if failure.reason in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            return self._channel.unavailable()
        return failure.renamed(lambda field: _FIELDS.get(field, field))

    async def _answer(self, call: Awaitable[ResponseT]) -> ResponseT:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def lexicon(self) -> list[LexiconValue]:
        """The values in their order."""
        self._channel.require_serving()
        request = retrieval_pb2.ListValuesRequest()
        response = await self._answer(self._stub.ListValues(request, timeout=_TIMEOUT_S, metadata=self._metadata))
        return [LexiconValue(own.id, tuple(keyword.text for keyword in own.keywords)) for own in response.values]

    async def search_value(self, value: str, keywords: Sequence[str], k: int, search_filter: Message) -> ValueSearch:
        """The k pictures nearest to each keyword of a value."""
        self._channel.require_serving()
        request = retrieval_pb2.SearchByValueRequest(
            value=value, keywords=keywords, k=k, filter=cast("retrieval_pb2.SearchFilter | None", search_filter)
        )
        response = await self._answer(self._stub.SearchByValue(request, timeout=_TIMEOUT_S, metadata=self._metadata))
        hits = (Hit(own.keyword, hit.id, hit.score) for own in response.keywords for hit in own.hits)
        return ValueSearch(tuple(hits), response.provenance, response.provenance.images)

    async def picture(self, image_id: str) -> bytes:
        """A stored picture's bytes."""
        self._channel.require_serving()
        request = retrieval_pb2.GetImagesRequest(ids=[image_id])
        call = self._stub.GetImages(request, timeout=_TIMEOUT_S, metadata=self._metadata)
        try:
            async for response in call:
                if response.HasField("image"):
                    return response.image.data
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        finally:
            with suppress(grpc.aio.AioRpcError):
                call.cancel()
        raise NotFound(
            "image_id", f"the retrieval service holds no picture {image_id!r}; index it first", reason="IMAGE_UNKNOWN"
        )
