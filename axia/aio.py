"""The client for programs with asyncio: `axia.client` with `await`."""
# ruff: noqa: ASYNC109 - the limit travels to the server, which answers with what is done; asyncio.timeout can't do that

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

import grpc.aio

from axia import _call, _requests, convert
from axia._call import Call
from axia._connection import TLS, resolve_api_key
from axia._pictures import Picture
from axia._requests import DetectOptions, InterestOptions, PreferenceOptions, SearchOptions
from axia._streams import AsyncFeed, each
from axia.results import (
    Acknowledgement,
    Completion,
    Deleted,
    Detection,
    ImageMetadata,
    IndexStats,
    Interest,
    ModelList,
    Preference,
    PreferenceEvent,
    PreferenceSummary,
    Reindex,
    SearchResult,
    StoredImage,
    ValueList,
    ValueSearchResult,
    WatchEvent,
)
from axia.results.base import Result
from axia.scoring import AsyncScoring
from axia.v1 import gateway_pb2, gateway_pb2_grpc, retrieval_pb2, retrieval_pb2_grpc

if TYPE_CHECKING:
    from axia.v1.gateway_pb2_grpc import GatewayServiceAsyncStub
    from axia.v1.retrieval_pb2_grpc import RetrievalServiceAsyncStub

    ToIndex = Picture | tuple[Picture, ImageMetadata]

ResultT = TypeVar("ResultT", bound=Result)


class AsyncClient:
    """Asks an axia gateway. One client serves any number of calls at a time in one event loop; close it, or use it in
    an `async with` block.

        >>> async with AsyncClient() as client:
        ...     detection = await client.detect("kitchen.jpg", n=5, seed=1)
        >>> detection.consensus
        'a pot boiling over'

    Args:
        address: Host and port of the gateway. Default: the environment variable AXIA_ADDRESS, or ``127.0.0.1:50050``.
        timeout: Seconds that a call may take where it does not say otherwise; None for no limit.
        tls: How to encrypt the connection, such as ``TLS(root_certificates="ca.pem")``. Default: the environment
            variables that `TLS.from_environment` names, or no encryption.
        api_key: Sent with each call as ``authorization: Bearer ...``; encrypt where others can listen. Default: the
            environment variable AXIA_API_KEY, or none.

    Raises:
        ValueError: If the address is a URL, the timeout is not above 0, or the API key can't be sent.
        OSError: If a file of `tls` can't be read.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout: float | None = _call.DEFAULT_TIMEOUT_S,
        tls: TLS | None = None,
        api_key: str | None = None,
    ) -> None:
        self.address = _call.resolve_address(address)
        self.timeout = _call.checked_timeout(timeout)
        self._api_key = resolve_api_key(api_key)
        self._tls = tls or TLS.from_environment()
        self._credentials = self._tls.credentials() if self._tls else None
        # Made with the first call: a channel belongs to the event loop in which it is made.
        self._channel: grpc.aio.Channel | None = None
        self._closed = False

    async def detect(
        self, image: Picture, *, timeout: float | None = None, **options: Unpack[DetectOptions]
    ) -> Detection:
        """See `Client.detect`."""
        asked = await asyncio.to_thread(_requests.detect, image, **options)
        call = self._new_call(timeout)
        with call.errors():
            response = await self._stub.DetectValues(asked.request, **call.options)
        return convert.to_detection(response, path=asked.path, request_id=call.request_id)

    async def stream(
        self, image: Picture, *, timeout: float | None = None, **options: Unpack[DetectOptions]
    ) -> AsyncGenerator[Completion | Detection, None]:
        """See `Client.stream`."""
        asked = await asyncio.to_thread(_requests.detect, image, **options)
        request = gateway_pb2.StreamDetectValuesRequest(detection=asked.request)
        call = self._new_call(timeout)
        with call.errors():
            events = self._stub.StreamDetectValues(request, **call.options)
            try:
                async for event in events:
                    if event.HasField("summary"):
                        yield convert.to_detection(event.summary, path=asked.path, request_id=call.request_id)
                        return
                    if event.HasField("completion"):
                        yield convert.to_completion(event.completion)
            finally:
                events.cancel()
        raise call.ended_early()

    async def watch(
        self,
        frames: Iterable[Picture] | AsyncIterable[Picture],
        *,
        timeout: float | None = math.inf,
        **options: Unpack[DetectOptions],
    ) -> AsyncGenerator[WatchEvent, None]:
        """See `Client.watch`."""
        config = _requests.detect_config(**options)
        paths: dict[int, str | None] = {}

        async def requests() -> AsyncIterator[gateway_pb2.WatchValuesRequest]:
            yield gateway_pb2.WatchValuesRequest(config=config)
            frame_id = 0
            async for frame in each(frames):
                image, paths[frame_id] = await asyncio.to_thread(_requests.picture, frame)
                yield gateway_pb2.WatchValuesRequest(frame=gateway_pb2.WatchFrame(frame_id=frame_id, image=image))
                frame_id += 1

        call = self._new_call(timeout)
        feed = AsyncFeed(requests(), window=_requests.WATCH_WINDOW)
        async with aclosing(self._duplex(self._stub.WatchValues, feed, call)) as responses:
            async for response in responses:
                path = paths.pop(response.frame_id, None)
                if event := convert.to_watch_event(response, path=path, request_id=call.request_id):
                    yield event

    async def assess_preference(
        self, *, timeout: float | None = _requests.ASSESSMENT_TIMEOUT_S, **options: Unpack[PreferenceOptions]
    ) -> AsyncGenerator[PreferenceEvent, None]:
        """See `Client.requests`."""
        request = _requests.assess_preference(**options)
        call = self._new_call(timeout)
        with call.errors():
            events = self._stub.AssessPreference(request, **call.options)
            try:
                async for message in events:
                    if event := convert.to_preference_event(message):
                        yield event
                        if isinstance(event, PreferenceSummary):
                            return
            finally:
                events.cancel()
        raise call.ended_early()

    async def preference(
        self, *, timeout: float | None = _requests.ASSESSMENT_TIMEOUT_S, **options: Unpack[PreferenceOptions]
    ) -> Preference:
        """See `Client.preference`."""
        gathered = _requests.Gathered(options.get("resume"))
        async with aclosing(self.assess_preference(timeout=timeout, **options)) as events:
            async for event in events:
                gathered.add(event)
        return gathered.preference()

    async def judge_interest(
        self,
        pictures: Iterable[Picture],
        traits: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[InterestOptions],
    ) -> Interest:
        """See `Client.judge_interest`."""
        request = await asyncio.to_thread(_requests.judge_interest, pictures, traits, **options)
        return await self._get(self._stub.JudgeInterest, request, Interest, timeout)

    async def models(self, *, timeout: float | None = None) -> ModelList:
        """See `Client.models`."""
        call = self._new_call(timeout)
        with call.errors():
            response = await self._stub.ListModels(gateway_pb2.ListModelsRequest(), **call.options)
        return convert.to_model_list(response)

    async def index_images(
        self, images: "Iterable[ToIndex] | AsyncIterable[ToIndex]", *, timeout: float | None = math.inf
    ) -> AsyncGenerator[Acknowledgement, None]:
        """See `Client.index_images`."""
        paths: dict[int, str | None] = {}

        async def requests() -> AsyncIterator[retrieval_pb2.IndexImagesRequest]:
            tag = 0
            async for item in each(images):
                image, metadata = item if isinstance(item, tuple) else (item, ImageMetadata())
                request, paths[tag] = await asyncio.to_thread(_requests.index_image, image, metadata, tag)
                yield request
                tag += 1

        feed = AsyncFeed(requests(), window=_requests.INDEX_WINDOW)
        call = self._new_call(timeout)
        async with aclosing(self._duplex(self._retrieval.IndexImages, feed, call)) as responses:
            async for response in responses:
                yield convert.to_acknowledgement(response, path=paths.pop(response.tag, None))

    async def search_text(
        self, query: str, *, page_token: str = "", timeout: float | None = None, **options: Unpack[SearchOptions]
    ) -> SearchResult:
        """See `Client.requests`."""
        request = _requests.search_text(query, page_token, **options)
        return await self._get(self._retrieval.SearchByText, request, SearchResult, timeout)

    async def search_image(
        self,
        image: Picture | None = None,
        *,
        image_id: str | None = None,
        page_token: str = "",
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """See `Client.search_image`."""
        request = await asyncio.to_thread(_requests.search_image, image, image_id, page_token, **options)
        return await self._get(self._retrieval.SearchByImage, request, SearchResult, timeout)

    async def search_value(
        self,
        value: str,
        *,
        keywords: Sequence[str] = (),
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> ValueSearchResult:
        """See `Client.search_value`."""
        request = _requests.search_value(value, keywords, **options)
        return await self._get(self._retrieval.SearchByValue, request, ValueSearchResult, timeout)

    async def list_values(self, *, timeout: float | None = None) -> ValueList:
        """See `Client.list_values`."""
        return await self._get(self._retrieval.ListValues, retrieval_pb2.ListValuesRequest(), ValueList, timeout)

    async def get_images(
        self, ids: Sequence[str], *, timeout: float | None = None
    ) -> AsyncGenerator[StoredImage, None]:
        """See `Client.get_images`."""
        request = retrieval_pb2.GetImagesRequest(ids=_requests.texts("ids", ids))
        call = self._new_call(timeout)
        with call.errors():
            images = self._retrieval.GetImages(request, **call.options)
            try:
                async for image in images:
                    yield convert.to_stored_image(image)
            finally:
                images.cancel()

    async def delete_images(self, ids: Sequence[str], *, timeout: float | None = None) -> Deleted:
        """See `Client.delete_images`."""
        request = retrieval_pb2.DeleteImagesRequest(ids=_requests.texts("ids", ids))
        return await self._get(self._retrieval.DeleteImages, request, Deleted, timeout)

    async def stats(self, *, timeout: float | None = None) -> IndexStats:
        """See `Client.stats`."""
        return await self._get(self._retrieval.GetStats, retrieval_pb2.GetStatsRequest(), IndexStats, timeout)

    async def start_reindex(self, encoder: str, *, timeout: float | None = None) -> Reindex:
        """See `Client.start_reindex`."""
        call = self._new_call(timeout)
        with call.errors():
            request = retrieval_pb2.StartReindexRequest(encoder=encoder)
            response = await self._retrieval.StartReindex(request, **call.options)
        return convert.to_result(Reindex, response.reindex)

    async def reindex(self, reindex_id: str = "", *, timeout: float | None = None) -> Reindex:
        """See `Client.reindex`."""
        call = self._new_call(timeout)
        with call.errors():
            response = await self._retrieval.GetReindex(retrieval_pb2.GetReindexRequest(id=reindex_id), **call.options)
        return convert.to_result(Reindex, response.reindex)

    @cached_property
    def scoring(self) -> AsyncScoring:
        """See `Client.scoring`."""
        return AsyncScoring(self._open(), self._new_call)

    async def close(self) -> None:
        """Closes the connection and cancels calls that are still running."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            options = _call.channel_options(self.address)
            if self._tls and self._credentials:
                options += self._tls.options
                self._channel = grpc.aio.secure_channel(self.address, self._credentials, options=options)
            else:
                self._channel = grpc.aio.insecure_channel(self.address, options=options)
        return self._channel

    # Each is one class at run time, whose type depends on the channel; the generated stubs spell it as two.

    @property
    def _stub(self) -> "GatewayServiceAsyncStub":
        return cast("GatewayServiceAsyncStub", gateway_pb2_grpc.GatewayServiceStub(self._open()))

    @property
    def _retrieval(self) -> "RetrievalServiceAsyncStub":
        return cast("RetrievalServiceAsyncStub", retrieval_pb2_grpc.RetrievalServiceStub(self._open()))

    def _new_call(self, timeout: float | None) -> Call:
        if self._closed:
            raise RuntimeError("this client is closed: make a new one")
        limit = self.timeout if timeout is None else _call.checked_timeout(timeout)
        return Call(self.address, limit, self._api_key)

    async def _get(
        self, method: Callable[..., Any], request: Any, result: type[ResultT], timeout: float | None
    ) -> ResultT:
        """A call with one answer that is named as its result."""
        call = self._new_call(timeout)
        with call.errors():
            response = await method(request, **call.options)
        return convert.to_result(result, response)

    async def _duplex(self, method: Callable[..., Any], feed: AsyncFeed[Any], call: Call) -> AsyncGenerator[Any, None]:
        """The answers of a call with many requests; the caller's error, if its requests had one, comes last."""
        with call.errors():
            responses = method(feed.requests(), **call.options)
            try:
                async for response in responses:
                    feed.answered()
                    yield response
            finally:
                responses.cancel()
        if feed.error:
            raise feed.error
