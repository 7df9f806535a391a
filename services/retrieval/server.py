"""Boots the retrieval service."""

import logging
from tempfile import TemporaryFile

from services.retrieval.encoder_openclip import OpenClipEncoder
from services.retrieval.index import IndexCatalogue
from services.retrieval.picture_store_fsspec import FsspecPictureStore
from services.retrieval.retriever import Retriever
from services.retrieval.servicer import RetrievalComponent
from services.retrieval.settings import RetrievalSettings
from services.serving.app import run
from services.serving.errors import FailedPrecondition, ServiceError
from services.serving.images.reading import PictureLimits
from services.serving.logs import tell
from services.serving.settings import load_settings


def main() -> None:
    """Boots the service with the stores that the settings name."""
    settings = load_settings(RetrievalSettings)

    def make_encoder(spec: str) -> OpenClipEncoder:
        return OpenClipEncoder(
            spec,
            device=settings.device,
            dtype=settings.encoder_dtype,
            threads=settings.encoder_threads,
            decode_workers=settings.decode_workers,
            max_batch=settings.encode_batch,
            max_queue=settings.encode_queue,
            text_cache=settings.text_cache,
            limits=PictureLimits.of(settings),
        )

    try:
        _check_data(settings)
        pictures = FsspecPictureStore(settings.picture_url)
        retriever = Retriever(make_encoder, _catalogue(settings), pictures, settings)
    except ServiceError as error:
        tell("retrieval", logging.ERROR, error.message)
        raise SystemExit(1) from None
    run(RetrievalComponent(retriever), settings)


def _check_data(settings: RetrievalSettings) -> None:
    """Raises FailedPrecondition if the folder of the index and of the pictures is needed and can't be written."""
    if settings.pictures and settings.qdrant_url:
        return
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=settings.data):
            pass
    except OSError as error:
        raise FailedPrecondition(
            f"AXIA_RETRIEVAL_DATA: {settings.data.absolute()} can't be written ({error.strerror}); set it to a folder "
            "that this user may write",
            reason="DATA_DENIED",
        ) from error


def _catalogue(settings: RetrievalSettings) -> IndexCatalogue:
    if settings.qdrant_url:
        from services.retrieval.index_qdrant import QdrantCatalogue, QdrantOptions

        options = QdrantOptions(
            url=settings.qdrant_url,
            api_key=settings.qdrant_api_key.get_secret_value(),
            shard_number=settings.qdrant_shard_number,
            replication_factor=settings.qdrant_replication_factor,
            hnsw_m=settings.hnsw_m,
            hnsw_ef_construct=settings.hnsw_ef_construct,
            quantization=settings.quantization,
        )
        return QdrantCatalogue(options)
    from services.retrieval.index_edge import EdgeCatalogue

    return EdgeCatalogue(
        settings.data / "index",
        build_threshold=settings.build_threshold,
        settle_s=settings.settle_seconds,
        hnsw_m=settings.hnsw_m,
        hnsw_ef_construct=settings.hnsw_ef_construct,
        quantization=settings.quantization,
    )
