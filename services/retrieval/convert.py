"""Maps between the contract (axia.v1) and the retrieval service's own types."""

from collections.abc import Sequence
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from axia.v1 import image_pb2, retrieval_pb2
from services.retrieval.index import EncoderId, Filter, Hit, IndexStats, PictureRecord
from services.retrieval.ingest import Acknowledgement, Incoming, Rejected
from services.retrieval.records import StoredPicture, Update
from services.retrieval.reindex import Reindex, ReindexState
from services.retrieval.search import DEFAULT_K, Page, Provenance, ValueHits, Wanted
from services.retrieval.values import Values
from services.serving.errors import InvalidArgument

SearchRequest = (
    retrieval_pb2.SearchByTextRequest | retrieval_pb2.SearchByImageRequest | retrieval_pb2.SearchByValueRequest
)

_NANOS = 1_000_000_000
_MICROS = 1_000_000
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
"""A Timestamp is from year 1 to 9999."""

_REINDEX_STATES = {
    ReindexState.RUNNING: retrieval_pb2.REINDEX_STATE_RUNNING,
    ReindexState.SUCCEEDED: retrieval_pb2.REINDEX_STATE_SUCCEEDED,
    ReindexState.FAILED: retrieval_pb2.REINDEX_STATE_FAILED,
}


def to_incoming(request: retrieval_pb2.IndexImagesRequest) -> Incoming:
    """Reads a picture of an ingest. What is wrong with it is noted and not raised, for the stream continues."""
    metadata = request.metadata
    try:
        capture_time = _to_seconds(metadata, "capture_time", "metadata.capture_time")
    except InvalidArgument as fault:
        return Incoming(request.tag, b"", fault=fault)
    return Incoming(
        request.tag, request.image.data, metadata.platform, capture_time, metadata.source, request.update_metadata
    )


def from_acknowledgement(acknowledgement: Acknowledgement) -> retrieval_pb2.IndexImagesResponse:
    """Writes what became of a picture."""
    if isinstance(acknowledgement, Rejected):
        rejected = retrieval_pb2.RejectedImage(reason=acknowledgement.reason, message=acknowledgement.message)
        return retrieval_pb2.IndexImagesResponse(tag=acknowledgement.tag, rejected=rejected)
    record = acknowledgement.record
    indexed = retrieval_pb2.IndexedImage(
        id=record.id,
        info=_from_info(record),
        duplicate=acknowledgement.duplicate,
        perceptual_hash=record.perceptual_hash,
    )
    return retrieval_pb2.IndexImagesResponse(tag=acknowledgement.tag, indexed=indexed)


def to_wanted(request: SearchRequest) -> Wanted:
    """Reads what searches of every kind have in common; ranges are the searcher's to check."""
    return Wanted(
        k=request.k if request.HasField("k") else DEFAULT_K,
        filter=to_filter(request.filter),
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        page_token="" if isinstance(request, retrieval_pb2.SearchByValueRequest) else request.page_token,
        distinct=not isinstance(request, retrieval_pb2.SearchByValueRequest) and request.distinct,
    )


def to_filter(message: retrieval_pb2.SearchFilter) -> Filter:
    """Reads a filter."""
    return Filter(
        platforms=tuple(message.platforms),
        sources=tuple(message.sources),
        captured_from=_to_seconds(message, "captured_from", "filter.captured_from"),
        captured_before=_to_seconds(message, "captured_before", "filter.captured_before"),
    )


def to_update(place: int, update: retrieval_pb2.ImageUpdate) -> Update:
    """Reads what is known of a picture from now on."""
    metadata = update.metadata
    time = _to_seconds(metadata, "capture_time", f"updates[{place}].metadata.capture_time")
    return Update(update.id, metadata.platform, time, metadata.source)


def _to_seconds(
    message: retrieval_pb2.SearchFilter | retrieval_pb2.ImageMetadata, name: str, field: str
) -> float | None:
    """Seconds since 1970; doubles hold today's times to less than a microsecond."""
    if not message.HasField(name):  # type: ignore[arg-type]  # one of the message's own fields, by name
        return None
    time: Timestamp = getattr(message, name)
    if not _FIRST_SECOND <= time.seconds <= _LAST_SECOND or not 0 <= time.nanos < _NANOS:
        raise InvalidArgument(field, "must be in the years 1 to 9999, with 0 to 999,999,999 nanos", reason="TIME")
    return time.seconds + time.nanos / _NANOS


def from_text_page(page: Page, request_id: str) -> retrieval_pb2.SearchByTextResponse:
    """Writes the hits of a text."""
    return retrieval_pb2.SearchByTextResponse(
        hits=map(_from_hit, page.hits),
        provenance=_from_provenance(page.provenance, request_id),
        next_page_token=page.next_page_token,
    )


def from_picture_page(page: Page, request_id: str) -> retrieval_pb2.SearchByImageResponse:
    """Writes the hits of a picture."""
    return retrieval_pb2.SearchByImageResponse(
        hits=map(_from_hit, page.hits),
        provenance=_from_provenance(page.provenance, request_id),
        next_page_token=page.next_page_token,
    )


def from_value_hits(value: str, found: ValueHits, request_id: str) -> retrieval_pb2.SearchByValueResponse:
    """Writes the hits of a value."""
    return retrieval_pb2.SearchByValueResponse(
        value=value,
        keywords=[
            retrieval_pb2.KeywordHits(keyword=each.keyword, hits=map(_from_hit, each.hits)) for each in found.keywords
        ],
        provenance=_from_provenance(found.provenance, request_id),
    )


def _from_hit(hit: Hit) -> retrieval_pb2.SearchHit:
    message = retrieval_pb2.SearchHit()
    message.CopyFrom(_without_score(hit.record))
    message.score = hit.score
    return message


@lru_cache(maxsize=4096)
def _without_score(record: PictureRecord) -> retrieval_pb2.SearchHit:
    return retrieval_pb2.SearchHit(id=record.id, info=_from_info(record), metadata=_from_metadata(record))


def _from_info(record: PictureRecord) -> image_pb2.ImageInfo:
    return image_pb2.ImageInfo(sha256=record.id, format=record.format, width=record.width, height=record.height)


def _from_metadata(record: PictureRecord) -> retrieval_pb2.ImageMetadata:
    time = None
    if record.capture_time is not None:
        seconds, micros = divmod(round(record.capture_time * _MICROS), _MICROS)
        time = Timestamp(seconds=seconds, nanos=micros * (_NANOS // _MICROS))
    return retrieval_pb2.ImageMetadata(platform=record.platform, capture_time=time, source=record.source)


def _from_provenance(provenance: Provenance, request_id: str) -> retrieval_pb2.SearchProvenance:
    return retrieval_pb2.SearchProvenance(
        encoder=from_encoder(provenance.encoder),
        store=provenance.store,
        images=provenance.images,
        lexicon_sha256=provenance.lexicon_sha256,
        request_id=request_id,
        keyword_prompts=provenance.keyword_prompts,
        warnings=provenance.warnings,
    )


def from_encoder(encoder: EncoderId) -> retrieval_pb2.Encoder:
    """Writes which encoder it is."""
    return retrieval_pb2.Encoder(name=encoder.name, revision=encoder.revision, dimension=encoder.dimension)


def from_values(values: Values) -> retrieval_pb2.ListValuesResponse:
    """Writes the lexicon, in the order of the published tables."""
    return retrieval_pb2.ListValuesResponse(
        values=[
            retrieval_pb2.LexiconValue(
                id=value.id,
                name=value.name,
                definition=value.definition,
                group=value.group,
                keywords=[
                    retrieval_pb2.Keyword(text=text, published=text in value.published) for text in value.keywords
                ],
            )
            for value in values.in_order
        ],
        lexicon_sha256=values.sha256,
    )


def from_stored_picture(stored: StoredPicture) -> retrieval_pb2.GetImagesResponse:
    """Writes a picture; without a record, its id alone."""
    response = retrieval_pb2.GetImagesResponse(id=stored.id)
    if stored.record is not None:
        response.info.CopyFrom(_from_info(stored.record))
        response.metadata.CopyFrom(_from_metadata(stored.record))
    if stored.data is not None:
        response.image.data = stored.data
    return response


def from_records(records: Sequence[PictureRecord], next_page_token: str) -> retrieval_pb2.ListImagesResponse:
    """Writes what is known of pictures."""
    return retrieval_pb2.ListImagesResponse(
        images=[
            retrieval_pb2.ListedImage(
                id=record.id,
                info=_from_info(record),
                metadata=_from_metadata(record),
                perceptual_hash=record.perceptual_hash,
            )
            for record in records
        ],
        next_page_token=next_page_token,
    )


def from_stats(stats: IndexStats, encoder: EncoderId, store: str) -> retrieval_pb2.GetStatsResponse:
    """Writes what is indexed."""
    return retrieval_pb2.GetStatsResponse(
        images=stats.images,
        indexed_images=stats.indexed_images,
        platforms=stats.platforms,
        encoder=from_encoder(encoder),
        store=store,
        building=stats.building,
    )


def from_reindex(job: Reindex) -> retrieval_pb2.Reindex:
    """Writes how far a re-index is."""
    return retrieval_pb2.Reindex(
        id=job.id,
        state=_REINDEX_STATES[job.state],
        encoder=from_encoder(job.encoder),
        done=job.done,
        total=job.total,
        error=job.error,
    )
