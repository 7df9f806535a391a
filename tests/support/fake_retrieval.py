"""A retrieval service in this process that knows a few pictures, for tests of what stands before it."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from axia.lexicon import load_lexicon
from axia.v1 import image_pb2, retrieval_pb2, retrieval_pb2_grpc

SERVICE = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name


class FakeRetrieval(retrieval_pb2_grpc.RetrievalServiceServicer):
    """Gives each keyword the next pictures of a list."""

    def __init__(self, pictures: Sequence[bytes]) -> None:
        self.pictures = {sha256(data).hexdigest(): data for data in pictures}
        self.metadata: dict[str, str] = {}
        self.searched: list[str] = []
        self.gone: set[str] = set()
        """Ids that are found and no longer stored."""
        self.server = grpc.server(ThreadPoolExecutor(16))
        retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(self, self.server)
        self.health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.cancelled = threading.Event()
        self.server.start()
        self.say(serving=True)

    def say(self, *, serving: bool) -> None:
        """Sets the health."""
        status = health_pb2.HealthCheckResponse
        self.health.set(SERVICE, status.SERVING if serving else status.NOT_SERVING)

    # The names of the methods below are the contract's.
    # ruff: noqa: N802

    def ListValues(self, request: Any, context: grpc.ServicerContext) -> retrieval_pb2.ListValuesResponse:
        return retrieval_pb2.ListValuesResponse(
            values=[
                retrieval_pb2.LexiconValue(
                    id=value.id, keywords=[retrieval_pb2.Keyword(text=keyword) for keyword in value.keywords]
                )
                for value in load_lexicon().values
            ]
        )

    def SearchByValue(
        self, request: retrieval_pb2.SearchByValueRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.SearchByValueResponse:
        self.searched.append(request.value)
        keywords = list(request.keywords) or list(load_lexicon().value(request.value).keywords)
        ids = list(self.pictures)
        response = retrieval_pb2.SearchByValueResponse(value=request.value)
        response.provenance.images = len(ids)
        response.provenance.store = "fake"
        for index, keyword in enumerate(keywords):
            image_ids = [ids[(index * request.k + place) % len(ids)] for place in range(min(request.k, len(ids)))]
            hits = [retrieval_pb2.SearchHit(id=image_id, score=0.5) for image_id in image_ids]
            response.keywords.add(keyword=keyword, hits=hits)
        return response

    def GetImages(
        self, request: retrieval_pb2.GetImagesRequest, context: grpc.ServicerContext
    ) -> Iterator[retrieval_pb2.GetImagesResponse]:
        for image_id in request.ids:
            data = None if image_id in self.gone else self.pictures.get(image_id)
            image = None if data is None else image_pb2.Image(data=data)
            yield retrieval_pb2.GetImagesResponse(id=image_id, image=image)

    def IndexImages(
        self, request_iterator: Iterator[retrieval_pb2.IndexImagesRequest], context: grpc.ServicerContext
    ) -> Iterator[retrieval_pb2.IndexImagesResponse]:
        for request in request_iterator:
            indexed = retrieval_pb2.IndexedImage(id=sha256(request.image.data).hexdigest())
            yield retrieval_pb2.IndexImagesResponse(tag=request.tag, indexed=indexed)

    def SearchByText(
        self, request: retrieval_pb2.SearchByTextRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.SearchByTextResponse:
        self.metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        if request.query == "slow":
            context.add_callback(self.cancelled.set)
            self.cancelled.wait(60)
        context.set_trailing_metadata([("x-trailing", "kept")])
        if request.query == "refuse":
            context.set_trailing_metadata([("grpc-status-details-bin", b"\x08\x09\x12\x02no"), ("x-trailing", "kept")])
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")
        return retrieval_pb2.SearchByTextResponse(hits=[retrieval_pb2.SearchHit(id="a", score=1.0)])


@contextmanager
def retrieval(pictures: Sequence[bytes]) -> Iterator[FakeRetrieval]:
    """A retrieval service that holds pictures."""
    fake = FakeRetrieval(pictures)
    try:
        yield fake
    finally:
        fake.cancelled.set()
        fake.server.stop(0)
