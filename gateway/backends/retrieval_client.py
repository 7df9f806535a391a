"""The retrieval service behind the gateway, reached over gRPC; see `gateway.protocols.ports.retrieval.Retrieval`."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from axia.v1 import retrieval_pb2, retrieval_pb2_grpc
from gateway.backends.channels import ServiceChannel, invocation
from gateway.protocols.fields import VALUE_SEARCH
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.retrieval import Hit, LexiconValue, ValueSearch
from services.serving.errors import NotFound, renaming
from services.serving.tracing import span

SERVICE = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name
_TIMEOUT_S = 30.0


class GrpcRetrieval:
    """The retrieval service."""

    def __init__(self, channel: ServiceChannel) -> None:
        self._channel = channel

    async def _answer(self, method: str, request: Any) -> Any:
        with span(f"{SERVICE}/{method}", kind="client"), renaming(VALUE_SEARCH), self._channel.calling():
            invoke = invocation(retrieval_pb2_grpc.RetrievalServiceStub, method, request)
            return await self._channel.calls.unary(invoke, _TIMEOUT_S)

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
        asked = retrieval_pb2.GetImagesRequest(ids=[image_id])
        with span(f"{SERVICE}/GetImages", kind="client"), renaming(VALUE_SEARCH), self._channel.calling():
            invoke = invocation(retrieval_pb2_grpc.RetrievalServiceStub, "GetImages", asked)
            async with aclosing(self._channel.calls.stream(invoke, _TIMEOUT_S)) as responses:
                async for response in responses:
                    if response.HasField("image"):
                        data: bytes = response.image.data
                        return data
        raise NotFound(
            "image_id", f"the retrieval service has no image {image_id!r}; index it first", reason="IMAGE_UNKNOWN"
        )
