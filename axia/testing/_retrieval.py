"""RetrievalService of the fake."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import grpc

from axia.lexicon import DATA, load_lexicon
from axia.testing._answers import fraction, inspect, perceptual_hash
from axia.testing._calls import Calls, abort
from axia.v1 import gateway_pb2, image_pb2, retrieval_pb2, retrieval_pb2_grpc

_PLATFORM = re.compile(r"[a-z0-9-]{0,64}")
_ENCODER = retrieval_pb2.Encoder(name="fake", revision="1", dimension=8)


class _Stored(NamedTuple):
    data: bytes
    info: image_pb2.ImageInfo
    metadata: retrieval_pb2.ImageMetadata


class Retrieval(retrieval_pb2_grpc.RetrievalServiceServicer):
    """Images in memory. A text finds those whose source has it; else the order follows from a hash."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._pictures: dict[str, _Stored] = {}
        self._lexicon = load_lexicon()

    def add(
        self, data: bytes, metadata: retrieval_pb2.ImageMetadata | None = None
    ) -> retrieval_pb2.IndexedImage | retrieval_pb2.RejectedImage:
        """Takes an image in."""
        info = inspect(data)
        if info is None:
            return retrieval_pb2.RejectedImage(reason="IMAGE_UNREADABLE", message="image.data: is not an image")
        duplicate = info.sha256 in self._pictures
        if not duplicate:
            self._pictures[info.sha256] = _Stored(data, info, metadata or retrieval_pb2.ImageMetadata())
        return retrieval_pb2.IndexedImage(
            id=info.sha256, info=info, duplicate=duplicate, perceptual_hash=perceptual_hash(data)
        )

    def has(self, image_id: str) -> bool:
        """Whether an image is stored."""
        return image_id in self._pictures

    @property
    def ids(self) -> list[str]:
        """Ids of the stored images."""
        return list(self._pictures)

    def provenance(self) -> retrieval_pb2.SearchProvenance:
        """What produces results."""
        return retrieval_pb2.SearchProvenance(encoder=_ENCODER, store="fake", images=len(self._pictures))

    def pictures_of(self, request: gateway_pb2.AssessPreferenceRequest) -> list[tuple[str, str, str, float, str]]:
        """Value, keyword, id, score and source of what an assessment asks about."""
        least = request.score_threshold if request.HasField("score_threshold") else -1.0
        return [
            (value.id, keyword, hit.id, hit.score, hit.metadata.source)
            for value in self._lexicon.values
            if not request.values or value.id in request.values
            for keyword in value.keywords
            if not request.keywords or keyword in request.keywords
            for hit in self._find(keyword, request.k or 5, request.filter)
            if hit.score >= least
        ]

    def IndexImages(  # noqa: N802 - named by the contract
        self, requests: Iterator[retrieval_pb2.IndexImagesRequest], context: grpc.ServicerContext
    ) -> Iterator[retrieval_pb2.IndexImagesResponse]:
        """Indexes images."""
        begun = False
        for request in requests:
            if not begun:
                self._calls.begin("IndexImages", request, context)
                begun = True
            outcome = _refusal(request.metadata) or self.add(request.image.data, request.metadata)
            if isinstance(outcome, retrieval_pb2.IndexedImage):
                if outcome.duplicate and request.update_metadata:
                    self._pictures[outcome.id] = self._pictures[outcome.id]._replace(metadata=request.metadata)
                yield retrieval_pb2.IndexImagesResponse(tag=request.tag, indexed=outcome)
            else:
                yield retrieval_pb2.IndexImagesResponse(tag=request.tag, rejected=outcome)

    def SearchByText(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.SearchByTextRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.SearchByTextResponse:
        """Finds by source and hash."""
        self._calls.begin("SearchByText", request, context)
        hits = self._find(request.query, request.k or 5, request.filter)
        return retrieval_pb2.SearchByTextResponse(hits=hits, provenance=self.provenance())

    def SearchByImage(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.SearchByImageRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.SearchByImageResponse:
        """Finds by hash; the image itself first."""
        self._calls.begin("SearchByImage", request, context)
        info = inspect(request.image.data) if request.HasField("image") else None
        image_id = info.sha256 if info else request.image_id
        hits = self._find(image_id, request.k or 5, request.filter, leave_out=request.image_id)
        return retrieval_pb2.SearchByImageResponse(hits=hits, provenance=self.provenance())

    def SearchByValue(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.SearchByValueRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.SearchByValueResponse:
        """Finds for each keyword."""
        self._calls.begin("SearchByValue", request, context)
        value = next((value for value in self._lexicon.values if value.id == request.value), None)
        if value is None:
            code = grpc.StatusCode.INVALID_ARGUMENT
            abort(context, code, f"value: {request.value} is not one of the ten values", "INVALID_FIELD", field="value")
        found = [
            retrieval_pb2.KeywordHits(keyword=keyword, hits=self._find(keyword, request.k or 5, request.filter))
            for keyword in list(request.keywords) or value.keywords
        ]
        return retrieval_pb2.SearchByValueResponse(value=value.id, keywords=found, provenance=self.provenance())

    def ListValues(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.ListValuesRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.ListValuesResponse:
        """The lexicon."""
        self._calls.begin("ListValues", request, context)
        values = [
            retrieval_pb2.LexiconValue(
                id=value.id,
                name=value.name,
                definition=value.definition,
                group=value.group,
                keywords=[
                    retrieval_pb2.Keyword(text=word, published=word in value.published) for word in value.keywords
                ],
            )
            for value in self._lexicon.values
        ]
        return retrieval_pb2.ListValuesResponse(values=values, lexicon_sha256=_sha256_of_lexicon())

    def GetImages(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.GetImagesRequest, context: grpc.ServicerContext
    ) -> Iterator[retrieval_pb2.GetImagesResponse]:
        """The images."""
        self._calls.begin("GetImages", request, context)
        for image_id in request.ids:
            response = retrieval_pb2.GetImagesResponse(id=image_id)
            if stored := self._pictures.get(image_id):
                if not request.without_data:
                    response.image.data = stored.data
                response.info.CopyFrom(stored.info)
                response.metadata.CopyFrom(stored.metadata)
            yield response

    def DeleteImages(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.DeleteImagesRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.DeleteImagesResponse:
        """Forgets images."""
        self._calls.begin("DeleteImages", request, context)
        if request.HasField("filter"):
            passing = [image_id for image_id, stored in self._pictures.items() if _passes(stored, request.filter)]
            for image_id in passing:
                del self._pictures[image_id]
            return retrieval_pb2.DeleteImagesResponse(deleted=len(passing))
        deleted = sum(self._pictures.pop(image_id, None) is not None for image_id in request.ids)
        return retrieval_pb2.DeleteImagesResponse(deleted=deleted, not_found=len(request.ids) - deleted)

    def ListImages(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.ListImagesRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.ListImagesResponse:
        """What is known of images; a token is the number of those before."""
        self._calls.begin("ListImages", request, context)
        passing = [stored for stored in self._pictures.values() if _passes(stored, request.filter)]
        begin = int(request.page_token or 0)
        end = begin + (request.page_size or 100)
        images = [
            retrieval_pb2.ListedImage(
                id=stored.info.sha256,
                info=stored.info,
                metadata=stored.metadata,
                perceptual_hash=perceptual_hash(stored.data),
            )
            for stored in passing[begin:end]
        ]
        token = str(end) if end < len(passing) else ""
        return retrieval_pb2.ListImagesResponse(images=images, next_page_token=token)

    def UpdateImages(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.UpdateImagesRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.UpdateImagesResponse:
        """Replaces what is known of images."""
        self._calls.begin("UpdateImages", request, context)
        there = [update for update in request.updates if update.id in self._pictures]
        for update in there:
            self._pictures[update.id] = self._pictures[update.id]._replace(metadata=update.metadata)
        return retrieval_pb2.UpdateImagesResponse(updated=len(there), not_found=len(request.updates) - len(there))

    def PurgeImages(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.PurgeImagesRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.PurgeImagesResponse:
        """Nothing is left in memory anyway."""
        self._calls.begin("PurgeImages", request, context)
        return retrieval_pb2.PurgeImagesResponse()

    def GetStats(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.GetStatsRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.GetStatsResponse:
        """What is there."""
        self._calls.begin("GetStats", request, context)
        platforms: dict[str, int] = {}
        for stored in self._pictures.values():
            platforms[stored.metadata.platform] = platforms.get(stored.metadata.platform, 0) + 1
        return retrieval_pb2.GetStatsResponse(
            images=len(self._pictures), platforms=platforms, encoder=_ENCODER, store="fake"
        )

    def StartReindex(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.StartReindexRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.StartReindexResponse:
        """Is done at once."""
        self._calls.begin("StartReindex", request, context)
        return retrieval_pb2.StartReindexResponse(reindex=self._reindex())

    def GetReindex(  # noqa: N802 - named by the contract
        self, request: retrieval_pb2.GetReindexRequest, context: grpc.ServicerContext
    ) -> retrieval_pb2.GetReindexResponse:
        """Is done."""
        self._calls.begin("GetReindex", request, context)
        return retrieval_pb2.GetReindexResponse(reindex=self._reindex())

    def _reindex(self) -> retrieval_pb2.Reindex:
        count, done = len(self._pictures), retrieval_pb2.REINDEX_STATE_SUCCEEDED
        return retrieval_pb2.Reindex(id="1", state=done, encoder=_ENCODER, done=count, total=count)

    def _find(
        self, query: str, k: int, wanted: retrieval_pb2.SearchFilter | None, leave_out: str = ""
    ) -> list[retrieval_pb2.SearchHit]:
        def score(image_id: str, stored: _Stored) -> float:
            return 1.0 if query in {image_id, stored.metadata.source} else 0.9 * fraction(query, image_id)

        hits = [
            retrieval_pb2.SearchHit(
                id=image_id, score=score(image_id, stored), info=stored.info, metadata=stored.metadata
            )
            for image_id, stored in self._pictures.items()
            if image_id != leave_out and (wanted is None or _passes(stored, wanted))
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:k]


def _passes(stored: _Stored, wanted: retrieval_pb2.SearchFilter) -> bool:
    metadata = stored.metadata
    time = metadata.capture_time.ToNanoseconds() if metadata.HasField("capture_time") else None
    return (
        (not wanted.platforms or metadata.platform in wanted.platforms)
        and (not wanted.sources or metadata.source in wanted.sources)
        and (
            not wanted.HasField("captured_from") or (time is not None and time >= wanted.captured_from.ToNanoseconds())
        )
        and (
            not wanted.HasField("captured_before")
            or (time is not None and time < wanted.captured_before.ToNanoseconds())
        )
    )


def _sha256_of_lexicon() -> str:
    import hashlib

    return hashlib.sha256(DATA.read_bytes()).hexdigest()


def _refusal(metadata: retrieval_pb2.ImageMetadata) -> retrieval_pb2.RejectedImage | None:
    """Why a server takes no image with these metadata; None if it does."""
    if _PLATFORM.fullmatch(metadata.platform):
        return None
    message = "metadata.platform: must be at most 64 lower-case letters, digits and hyphens, such as tiktok"
    return retrieval_pb2.RejectedImage(reason="PLATFORM", message=message)
