"""Qdrant's gRPC services on top of qdrant-client's local mode: a server for tests, no daemon and no download.

It answers the calls that our code makes, with the client's own conversions between the messages of gRPC and its models.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from qdrant_client import QdrantClient
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc


def _answers(method: Callable[[Any, Any], Any]) -> Callable[..., Awaitable[Any]]:
    """Turns local mode's errors into the status codes of the server, and refuses a wrong API key."""

    @functools.wraps(method)
    async def answer(self: Any, request: Any, context: grpc.aio.ServicerContext) -> Any:
        headers = dict(context.invocation_metadata() or ())
        if self.api_key and headers.get("api-key") != self.api_key:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid API key or JWT")
        self.calls.append(method.__name__)
        await self.answering.wait()
        if self.failing is not None:
            await context.abort(*self.failing)
        try:
            return method(self, request)
        except ValueError as error:
            missing = "not found" in str(error)
            code = grpc.StatusCode.NOT_FOUND if missing else grpc.StatusCode.INVALID_ARGUMENT
            await context.abort(code, str(error))

    return answer


class _State:
    def __init__(self, local: QdrantClient, api_key: str) -> None:
        self.local = local
        self.api_key = api_key
        self.calls: list[str] = []
        self.failing: tuple[grpc.StatusCode, str] | None = None
        self.answering = asyncio.Event()
        self.answering.set()


class _Collections(wire.CollectionsServicer, _State):
    @_answers
    def CollectionExists(self, request: Any) -> Any:  # noqa: N802  # named by the service
        exists = self.local.collection_exists(request.collection_name)
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    @_answers
    def Create(self, request: Any) -> Any:  # noqa: N802  # named by the service
        vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
        self.local.create_collection(request.collection_name, vectors_config=vectors)
        return wire.CollectionOperationResponse(result=True)

    @_answers
    def Get(self, request: Any) -> Any:  # noqa: N802  # named by the service
        info = self.local.get_collection(request.collection_name)
        return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    @_answers
    def Delete(self, request: Any) -> Any:  # noqa: N802  # named by the service
        self.local.delete_collection(request.collection_name)
        return wire.CollectionOperationResponse(result=True)

    @_answers
    def ListAliases(self, request: Any) -> Any:  # noqa: N802  # named by the service
        aliases = map(RestToGrpc.convert_alias_description, self.local.get_aliases().aliases)
        return wire.ListAliasesResponse(aliases=list(aliases))

    @_answers
    def UpdateAliases(self, request: Any) -> Any:  # noqa: N802  # named by the service
        operations = list(map(GrpcToRest.convert_alias_operations, request.actions))
        self.local.update_collection_aliases(operations)
        return wire.CollectionOperationResponse(result=True)


class _Points(wire.PointsServicer, _State):
    @_answers
    def CreateFieldIndex(self, request: Any) -> Any:  # noqa: N802  # named by the service
        return _completed()  # local mode has no payload indexes and warns about them

    @_answers
    def Upsert(self, request: Any) -> Any:  # noqa: N802  # named by the service
        assert request.wait
        self.local.upsert(request.collection_name, list(map(GrpcToRest.convert_point_struct, request.points)))
        return _completed()

    @_answers
    def Delete(self, request: Any) -> Any:  # noqa: N802  # named by the service
        assert request.wait
        self.local.delete(request.collection_name, GrpcToRest.convert_points_selector(request.points))
        return _completed()

    @_answers
    def UpdateBatch(self, request: Any) -> Any:  # noqa: N802  # named by the service
        assert request.wait
        for operation in request.operations:
            overwrite = operation.overwrite_payload  # the only kind that our code sends
            points = [GrpcToRest.convert_point_id(point) for point in overwrite.points_selector.points.ids]
            self.local.overwrite_payload(
                request.collection_name, GrpcToRest.convert_payload(overwrite.payload), points=points
            )
        result = wire.UpdateResult(status=wire.UpdateStatus.Completed)
        return wire.UpdateBatchResponse(result=[result] * len(request.operations))

    @_answers
    def Get(self, request: Any) -> Any:  # noqa: N802  # named by the service
        found = self.local.retrieve(
            request.collection_name,
            list(map(GrpcToRest.convert_point_id, request.ids)),
            with_payload=request.with_payload.enable,
            with_vectors=request.with_vectors.enable,
        )
        return wire.GetResponse(result=list(map(RestToGrpc.convert_retrieved_point, found)))

    @_answers
    def Query(self, request: Any) -> Any:  # noqa: N802  # named by the service
        found = self.local.query_points(
            request.collection_name,
            query=GrpcToRest.convert_query(request.query),
            query_filter=GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None,
            limit=request.limit,
            score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
            with_payload=request.with_payload.enable,
        )
        return wire.QueryResponse(result=list(map(RestToGrpc.convert_scored_point, found.points)))

    @_answers
    def Scroll(self, request: Any) -> Any:  # noqa: N802  # named by the service
        records, after = self.local.scroll(
            request.collection_name,
            scroll_filter=GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None,
            limit=request.limit,
            offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
        )
        following = None if after is None else RestToGrpc.convert_extended_point_id(after)
        result = list(map(RestToGrpc.convert_retrieved_point, records))
        return wire.ScrollResponse(result=result, next_page_offset=following)

    @_answers
    def Count(self, request: Any) -> Any:  # noqa: N802  # named by the service
        count = self.local.count(request.collection_name, exact=request.exact)
        return wire.CountResponse(result=RestToGrpc.convert_count_result(count))

    @_answers
    def Facet(self, request: Any) -> Any:  # noqa: N802  # named by the service
        facet = self.local.facet(request.collection_name, request.key, limit=request.limit, exact=request.exact)
        return wire.FacetResponse(hits=list(map(RestToGrpc.convert_facet_value_hit, facet.hits)))


def _completed() -> Any:
    return wire.PointsOperationResponse(result=wire.UpdateResult(status=wire.UpdateStatus.Completed))


class QdrantServer:
    """A server in this process that can be stopped and started again with what it held.

    Args:
        api_key: That callers must send; empty for none.
        local: Holds the collections; by default in memory.
        port: Where to listen; 0 takes a free one.
    """

    def __init__(self, api_key: str = "", local: QdrantClient | None = None, port: int = 0) -> None:
        local = local or QdrantClient(":memory:")
        self._collections = _Collections(local, api_key)
        self._points = _Points(local, api_key)
        self._server: grpc.aio.Server | None = None
        self._port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def calls(self) -> list[str]:
        """Names of the calls to points so far."""
        return self._points.calls

    def fail(self, code: grpc.StatusCode | None, details: str = "") -> None:
        """Makes every call fail from now on, or none."""
        self._points.failing = self._collections.failing = None if code is None else (code, details)

    def hang(self) -> None:
        """Leaves every call to points without an answer from now on."""
        self._points.answering.clear()

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        wire.add_CollectionsServicer_to_server(self._collections, self._server)
        wire.add_PointsServicer_to_server(self._points, self._server)
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
