"""The gRPC face of the retrieval service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from axia.v1 import retrieval_pb2, retrieval_pb2_grpc
from services.retrieval import convert
from services.retrieval.ingest import Incoming
from services.retrieval.records import DEFAULT_PAGE
from services.retrieval.retriever import Retriever
from services.serving.deadlines import answering_within
from services.serving.errors import InvalidArgument
from services.serving.health import Health
from services.serving.logs import request_id

SERVICE = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name


class RetrievalServicer(retrieval_pb2_grpc.RetrievalServiceServicer):
    """Converts, calls the retriever, converts."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._records = retriever.records

    # The names of the methods below are the contract's.
    # ruff: noqa: N802

    async def IndexImages(
        self,
        request_iterator: AsyncIterator[retrieval_pb2.IndexImagesRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[retrieval_pb2.IndexImagesResponse]:
        """Indexes pictures."""
        async with aclosing(self._retriever.ingestor.ingest(_incoming(request_iterator))) as acknowledgements:
            async for acknowledgement in acknowledgements:
                yield convert.from_acknowledgement(acknowledgement)

    async def SearchByText(
        self, request: retrieval_pb2.SearchByTextRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.SearchByTextResponse:
        """Finds the pictures nearest to a text."""
        with answering_within(context.time_remaining()):
            page = await self._retriever.search.by_text(request.query, convert.to_wanted(request))
        return convert.from_text_page(page, request_id.get())

    async def SearchByImage(
        self, request: retrieval_pb2.SearchByImageRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.SearchByImageResponse:
        """Finds the pictures nearest to a picture."""
        wanted = convert.to_wanted(request)
        with answering_within(context.time_remaining()):
            match request.WhichOneof("query"):
                case "image":
                    page = await self._retriever.search.by_picture(request.image.data, wanted)
                case "image_id":
                    page = await self._retriever.search.by_id(request.image_id, wanted)
                case _:
                    raise InvalidArgument("query", "is missing; set image or image_id", reason="QUERY_MISSING")
        return convert.from_picture_page(page, request_id.get())

    async def SearchByValue(
        self, request: retrieval_pb2.SearchByValueRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.SearchByValueResponse:
        """Finds pictures for a value."""
        with answering_within(context.time_remaining()):
            found = await self._retriever.search.by_value(request.value, request.keywords, convert.to_wanted(request))
        return convert.from_value_hits(request.value, found, request_id.get())

    async def ListValues(
        self, request: retrieval_pb2.ListValuesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.ListValuesResponse:
        """Lists the lexicon."""
        return convert.from_values(self._retriever.values)

    async def GetImages(
        self, request: retrieval_pb2.GetImagesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[retrieval_pb2.GetImagesResponse]:
        """Sends stored pictures."""
        async with aclosing(self._records.pictures(request.ids, with_data=not request.without_data)) as pictures:
            async for picture in pictures:
                yield convert.from_stored_picture(picture)

    async def ListImages(
        self, request: retrieval_pb2.ListImagesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.ListImagesResponse:
        """Lists what is known of pictures."""
        size = request.page_size if request.HasField("page_size") else DEFAULT_PAGE
        return convert.from_records(
            *await self._records.page(convert.to_filter(request.filter), size, request.page_token)
        )

    async def UpdateImages(
        self, request: retrieval_pb2.UpdateImagesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.UpdateImagesResponse:
        """Replaces what is known of pictures."""
        updates = [convert.to_update(*pair) for pair in enumerate(request.updates)]
        updated = await self._records.update(updates)
        return retrieval_pb2.UpdateImagesResponse(updated=updated, not_found=len(updates) - updated)

    async def PurgeImages(
        self, request: retrieval_pb2.PurgeImagesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.PurgeImagesResponse:
        """Leaves nothing of what was deleted."""
        swept = await self._records.purge()
        return retrieval_pb2.PurgeImagesResponse(orphans=swept.orphans, without_bytes=swept.without_bytes)

    async def DeleteImages(
        self, request: retrieval_pb2.DeleteImagesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.DeleteImagesResponse:
        """Deletes pictures."""
        if request.HasField("filter"):
            deleted, not_found = await self._records.delete_passing(request.ids, convert.to_filter(request.filter)), 0
        else:
            deleted, not_found = await self._records.delete(request.ids)
        return retrieval_pb2.DeleteImagesResponse(deleted=deleted, not_found=not_found)

    async def GetStats(
        self, request: retrieval_pb2.GetStatsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.GetStatsResponse:
        """Says what is indexed."""
        stats = await self._retriever.stats()
        return convert.from_stats(stats, self._retriever.encoder, self._retriever.store)

    async def StartReindex(
        self, request: retrieval_pb2.StartReindexRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.StartReindexResponse:
        """Starts a re-index."""
        job = self._retriever.reindexer.start(request.encoder)
        return retrieval_pb2.StartReindexResponse(reindex=convert.from_reindex(job))

    async def GetReindex(
        self, request: retrieval_pb2.GetReindexRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> retrieval_pb2.GetReindexResponse:
        """Says how far a re-index is."""
        job = self._retriever.reindexer.get(request.id)
        return retrieval_pb2.GetReindexResponse(reindex=convert.from_reindex(job))


async def _incoming(requests: AsyncIterator[retrieval_pb2.IndexImagesRequest]) -> AsyncIterator[Incoming]:
    async for request in requests:
        yield convert.to_incoming(request)


class RetrievalComponent:
    """The retrieval service as the shared boot runs it."""

    name = "retrieval"
    services = (SERVICE,)

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self.start = retriever.start
        self.watch = retriever.watch
        self.close = retriever.close

    def report_to(self, health: Health) -> None:
        """Takes the health of the server, which is told when a store is lost and when it is back."""
        self._retriever.report_to(health.set_serving)

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer to a server."""
        retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(RetrievalServicer(self._retriever), server)
