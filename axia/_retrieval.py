"""The calls about images that are stored: those of `Client`, and those of `AsyncClient`."""
# ruff: noqa: ASYNC109 - the limit travels to the server; asyncio.timeout can't do that
# ruff: noqa: A002 - `filter` as in the contract

import asyncio
import math
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Unpack

from axia import _requests, convert
from axia._connection.connected import AsyncConnected, Connected
from axia._connection.streams import AsyncFeed, Feed, each
from axia._options import SearchOptions
from axia._pictures import Channels, Picture
from axia.inputs import SearchFilter
from axia.results import (
    Acknowledgement,
    Deleted,
    ImageMetadata,
    IndexStats,
    ListedImage,
    Purged,
    Reindex,
    SearchResult,
    StoredImage,
    Updated,
    ValueList,
    ValueSearchResult,
)
from axia.v1 import retrieval_pb2

if TYPE_CHECKING:
    ToIndex = Picture | tuple[Picture, ImageMetadata]


class RetrievalCalls(Connected):
    """Calls that index, search and manage images."""

    def index_images(
        self,
        images: Iterable[Picture | tuple[Picture, ImageMetadata]],
        *,
        update_metadata: bool = False,
        channels: Channels = "RGB",
        timeout: float | None = math.inf,
    ) -> Generator[Acknowledgement, None, None]:
        """Indexes images, and yields the result of each, in their order.

            >>> for result in client.index_images([("cat.jpg", ImageMetadata(platform="tiktok")), "dog.jpg"]):
            ...     print(result)

        An image that is already stored is acknowledged and not stored twice. So after an error, send the images that
        were not acknowledged again. `images` is read in another thread, at most 256 images ahead of the
        acknowledgements. If it raises an error, the error is raised here after the earlier images are acknowledged.

        Args:
            images: Images as in `detect`, each alone or with its metadata.
            update_metadata: Whether to replace the metadata of images that are already stored.
            channels: Order of the colours of numpy arrays, ``RGB`` or ``BGR``.
            timeout: Timeout for all images, in seconds. Default: no limit.
        """
        paths: dict[int, str | None] = {}

        def requests() -> Iterator[retrieval_pb2.IndexImagesRequest]:
            for tag, item in enumerate(images):
                image, metadata = item if isinstance(item, tuple) else (item, ImageMetadata())
                request, paths[tag] = _requests.index_image(image, metadata, tag, channels)
                request.update_metadata = update_metadata
                yield request

        feed = Feed(requests(), window=_requests.INDEX_WINDOW)
        with closing(self._duplex(self._retrieval.IndexImages, feed, self._new_call(timeout))) as responses:
            for response in responses:
                yield convert.to_acknowledgement(response, path=paths.pop(response.tag, None))

    def search_text(
        self,
        query: str,
        *,
        distinct: bool = False,
        page_token: str = "",
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """Finds the images nearest to a text.

        Args:
            query: 1 to 4,096 characters.
            k: Maximum number of images, 1 to 1,000. Default 5.
            filter: Search only among images that match this filter.
            score_threshold: Minimum cosine similarity, -1 to 1.
            distinct: Whether to return only the nearest of several near-duplicates, including mirrored images.
            page_token: `next_page_token` of the previous page; the other arguments must be the same.
            timeout: Timeout of this call, in seconds. Default: the client's.
        """
        request = _requests.search_text(query, page_token, distinct, **options)
        return self._get(self._retrieval.SearchByText, request, SearchResult, timeout)

    def search_image(
        self,
        image: Picture | None = None,
        *,
        image_id: str | None = None,
        channels: Channels = "RGB",
        distinct: bool = False,
        page_token: str = "",
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """Finds the images nearest to an image, or to a stored image by its id. Other arguments as in `search_text`.

        `channels` is the order of colours of a numpy array, ``RGB`` or ``BGR``.
        """
        request = _requests.search_image(image, image_id, page_token, channels, distinct, **options)
        return self._get(self._retrieval.SearchByImage, request, SearchResult, timeout)

    def search_value(
        self,
        value: str,
        *,
        keywords: Sequence[str] = (),
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> ValueSearchResult:
        """Finds images of a value: k for each of its keywords, or of `keywords`; the rest is as in `search_text`."""
        request = _requests.search_value(value, keywords, **options)
        return self._get(self._retrieval.SearchByValue, request, ValueSearchResult, timeout)

    def list_values(self, *, timeout: float | None = None) -> ValueList:
        """Lists the values, their groups, definitions and keywords."""
        return self._get(self._retrieval.ListValues, retrieval_pb2.ListValuesRequest(), ValueList, timeout)

    def get_images(
        self, ids: Sequence[str], *, without_data: bool = False, timeout: float | None = None
    ) -> Generator[StoredImage, None, None]:
        """Yields up to 1,000 stored images, in the order of `ids`; `data` is None if there is no such image.

        `without_data` leaves out the bytes and returns only the metadata.
        """
        request = retrieval_pb2.GetImagesRequest(ids=_requests.texts("ids", ids), without_data=without_data)
        call = self._new_call(timeout)
        with call.errors():
            images = self._retrieval.GetImages(request, **call.options)
            try:
                for image in images:
                    yield convert.to_stored_image(image)
            finally:
                images.cancel()

    def list_images(
        self, filter: SearchFilter | None = None, *, timeout: float | None = None
    ) -> Generator[ListedImage, None, None]:
        """Yields the metadata of every image that matches a filter, in no particular order.

        Pages are fetched when they are needed; the timeout applies to each page.
        """
        token = ""
        while True:
            call = self._new_call(timeout)
            with call.errors():
                page = self._retrieval.ListImages(_requests.list_images(filter, token), **call.options)
            yield from (convert.to_result(ListedImage, image) for image in page.images)
            if not (token := page.next_page_token):
                return

    def update_images(self, metadata: Mapping[str, ImageMetadata], *, timeout: float | None = None) -> Updated:
        """Replaces the metadata of up to 1,000 images, by their ids."""
        return self._get(self._retrieval.UpdateImages, _requests.update_images(metadata), Updated, timeout)

    def delete_images(
        self, ids: Sequence[str] = (), *, filter: SearchFilter | None = None, timeout: float | None = None
    ) -> Deleted:
        """Deletes stored images: up to 1,000 by their ids, or all that match a filter.

        Searches no longer find them. `purge_images` removes their remaining data from files.
        """
        return self._get(self._retrieval.DeleteImages, _requests.delete_images(ids, filter), Deleted, timeout)

    def purge_images(self, *, timeout: float | None = math.inf) -> Purged:
        """Removes all remaining data of deleted images from the server's disk. This may take minutes; the default is no
        timeout."""
        return self._get(self._retrieval.PurgeImages, retrieval_pb2.PurgeImagesRequest(), Purged, timeout)

    def stats(self, *, timeout: float | None = None) -> IndexStats:
        """Returns the number of indexed images and the encoder."""
        return self._get(self._retrieval.GetStats, retrieval_pb2.GetStatsRequest(), IndexStats, timeout)

    def start_reindex(self, encoder: str, *, timeout: float | None = None) -> Reindex:
        """Starts to index every stored image with another encoder, such as ``ViT-B-32/laion2b_s34b_b79k``; searches
        switch when it is done."""
        call = self._new_call(timeout)
        with call.errors():
            request = retrieval_pb2.StartReindexRequest(encoder=encoder)
            response = self._retrieval.StartReindex(request, **call.options)
        return convert.to_result(Reindex, response.reindex)

    def reindex(self, reindex_id: str = "", *, timeout: float | None = None) -> Reindex:
        """Returns the progress of a re-index, by default of the latest one."""
        call = self._new_call(timeout)
        with call.errors():
            response = self._retrieval.GetReindex(retrieval_pb2.GetReindexRequest(id=reindex_id), **call.options)
        return convert.to_result(Reindex, response.reindex)


class AsyncRetrievalCalls(AsyncConnected):
    """The same for asyncio."""

    async def index_images(
        self,
        images: "Iterable[ToIndex] | AsyncIterable[ToIndex]",
        *,
        update_metadata: bool = False,
        channels: Channels = "RGB",
        timeout: float | None = math.inf,
    ) -> AsyncGenerator[Acknowledgement, None]:
        """See `Client.index_images`."""
        paths: dict[int, str | None] = {}

        async def requests() -> AsyncIterator[retrieval_pb2.IndexImagesRequest]:
            tag = 0
            async for item in each(images):
                image, metadata = item if isinstance(item, tuple) else (item, ImageMetadata())
                request, paths[tag] = await asyncio.to_thread(_requests.index_image, image, metadata, tag, channels)
                request.update_metadata = update_metadata
                yield request
                tag += 1

        feed = AsyncFeed(requests(), window=_requests.INDEX_WINDOW)
        call = self._new_call(timeout)
        async with aclosing(self._duplex(self._retrieval.IndexImages, feed, call)) as responses:
            async for response in responses:
                yield convert.to_acknowledgement(response, path=paths.pop(response.tag, None))

    async def search_text(
        self,
        query: str,
        *,
        distinct: bool = False,
        page_token: str = "",
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """See `Client.search_text`."""
        request = _requests.search_text(query, page_token, distinct, **options)
        return await self._get(self._retrieval.SearchByText, request, SearchResult, timeout)

    async def search_image(
        self,
        image: Picture | None = None,
        *,
        image_id: str | None = None,
        channels: Channels = "RGB",
        distinct: bool = False,
        page_token: str = "",
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """See `Client.search_image`."""
        request = await asyncio.to_thread(
            _requests.search_image, image, image_id, page_token, channels, distinct, **options
        )
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
        self, ids: Sequence[str], *, without_data: bool = False, timeout: float | None = None
    ) -> AsyncGenerator[StoredImage, None]:
        """See `Client.get_images`."""
        request = retrieval_pb2.GetImagesRequest(ids=_requests.texts("ids", ids), without_data=without_data)
        call = self._new_call(timeout)
        with call.errors():
            images = self._retrieval.GetImages(request, **call.options)
            try:
                async for image in images:
                    yield convert.to_stored_image(image)
            finally:
                images.cancel()

    async def list_images(
        self, filter: SearchFilter | None = None, *, timeout: float | None = None
    ) -> AsyncGenerator[ListedImage, None]:
        """See `Client.list_images`."""
        token = ""
        while True:
            call = self._new_call(timeout)
            with call.errors():
                page = await self._retrieval.ListImages(_requests.list_images(filter, token), **call.options)
            for image in page.images:
                yield convert.to_result(ListedImage, image)
            if not (token := page.next_page_token):
                return

    async def update_images(self, metadata: Mapping[str, ImageMetadata], *, timeout: float | None = None) -> Updated:
        """See `Client.update_images`."""
        return await self._get(self._retrieval.UpdateImages, _requests.update_images(metadata), Updated, timeout)

    async def delete_images(
        self, ids: Sequence[str] = (), *, filter: SearchFilter | None = None, timeout: float | None = None
    ) -> Deleted:
        """See `Client.delete_images`."""
        return await self._get(self._retrieval.DeleteImages, _requests.delete_images(ids, filter), Deleted, timeout)

    async def purge_images(self, *, timeout: float | None = math.inf) -> Purged:
        """See `Client.purge_images`."""
        return await self._get(self._retrieval.PurgeImages, retrieval_pb2.PurgeImagesRequest(), Purged, timeout)

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
