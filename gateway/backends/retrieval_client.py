"""The retrieval service behind the gateway, reached over gRPC; see `gateway.protocols.ports.retrieval.Retrieval`."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from axia.v1 import retrieval_pb2, retrieval_pb2_grpc
from gateway.backends.channels import ServiceChannel
from gateway.protocols.fields import VALUE_SEARCH
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.retrieval import Hit, LexiconValue, ValueSearch
from services.serving.attempts import Attempt, NoReplica
from services.serving.errors import NotFound, ServiceError
from services.serving.logs import request_metadata
from services.serving.status import from_rpc_error

SERVICE = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name
_TIMEOUT_S = 30.0


class GrpcRetrieval:
    """The retrieval service."""

    def __init__(self, channel: ServiceChannel) -> None:
        self._channel = channel

    def _failure(self, error: grpc.aio.AioRpcError) -> ServiceError:
        failure = from_rpc_error(error)
        if failure.reason in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            return self._channel.unavailable()
        return failure.renamed(VALUE_SEARCH)

    async def _answer(self, name: str, request: Any) -> Any:
        invoke = _invocation(name, request)
        try:
            self._channel.require_serving()
            return await self._channel.calls.unary(invoke, _TIMEOUT_S)
        except NoReplica as error:
            raise self._channel.unavailable() from error
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def lexicon(self) -> list[LexiconValue]:
        """The values in their order."""
        response = await self._answer("ListValues", retrieval_pb2.ListValuesRequest())
        return [LexiconValue(value.id, tuple(keyword.text for keyword in value.keywords)) for value in response.values]

    async def search_value(
        self,
        value: str,
        keywords: Sequence[str],
        k: int,
        search_filter: Message | None,
        score_threshold: float | None,
    ) -> ValueSearch:
        """The k pictures nearest to each keyword of a value, as far as they reach a cosine similarity."""
        request = retrieval_pb2.SearchByValueRequest(
            value=value,
            keywords=keywords,
            k=k,
            score_threshold=score_threshold,
        )
        if search_filter is not None:
            request.filter.MergeFromString(search_filter.SerializeToString())
        response = await self._answer("SearchByValue", request)
        hits = (
            Hit(found.keyword, hit.id, hit.score, hit.metadata.source)
            for found in response.keywords
            for hit in found.hits
        )
        return ValueSearch(tuple(hits), response.provenance, response.provenance.images)

    async def picture(self, image_id: str) -> bytes:
        """A stored picture's bytes."""
        invoke = _invocation("GetImages", retrieval_pb2.GetImagesRequest(ids=[image_id]))
        try:
            self._channel.require_serving()
            async with aclosing(self._channel.calls.stream(invoke, _TIMEOUT_S)) as responses:
                async for response in responses:
                    if response.HasField("image"):
                        data: bytes = response.image.data
                        return data
        except NoReplica as error:
            raise self._channel.unavailable() from error
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        raise NotFound(
            "image_id", f"the retrieval service holds no picture {image_id!r}; index it first", reason="IMAGE_UNKNOWN"
        )


def _invocation(name: str, request: Any) -> Callable[[Attempt], Any]:
    """What begins a call at a replica."""
    metadata = request_metadata()

    def invoke(attempt: Attempt) -> Any:
        method = getattr(attempt.replica.stub(retrieval_pb2_grpc.RetrievalServiceStub), name)
        return method(request, timeout=attempt.timeout_s, metadata=metadata)

    return invoke
