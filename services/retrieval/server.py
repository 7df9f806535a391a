"""Boots the retrieval service."""

import sys

from services.retrieval.encoder_openclip import OpenClipEncoder
from services.retrieval.index import IndexCatalogue
from services.retrieval.picture_store_fsspec import FsspecPictureStore
from services.retrieval.retriever import Retriever
from services.retrieval.servicer import RetrievalComponent
from services.retrieval.settings import RetrievalSettings
from services.serving.app import run
from services.serving.errors import ServiceError
from services.serving.pictures import PictureLimits
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
        pictures = FsspecPictureStore(settings.picture_url)
        retriever = Retriever(make_encoder, _catalogue(settings), pictures, settings)
    except ServiceError as error:
        sys.stderr.write(f"{error.message}\n")
        raise SystemExit(1) from None
    run(RetrievalComponent(retriever), settings)


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
