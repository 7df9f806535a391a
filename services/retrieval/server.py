"""Boots the retrieval service."""

import argparse
import asyncio
import contextlib
import hashlib
import logging
import sys
from collections.abc import Sequence
from tempfile import TemporaryFile

from services.retrieval import tools
from services.retrieval.embedded import maintenance
from services.retrieval.embedded.database import FILE
from services.retrieval.embedded.errors import translated
from services.retrieval.encoder.openclip import OpenClipEncoder
from services.retrieval.index import IndexCatalogue
from services.retrieval.pictures.fsspec import FsspecPictureStore
from services.retrieval.pictures.protocol import PictureStore
from services.retrieval.retriever import Retriever
from services.retrieval.servicer import RetrievalComponent
from services.retrieval.settings import RetrievalSettings
from services.serving.app import run
from services.serving.errors import FailedPrecondition, ServiceError
from services.serving.images.reading import PictureLimits
from services.serving.logs import tell
from services.serving.settings import load_settings


def main(arguments: Sequence[str] = ()) -> None:
    """Boots the service with the stores that the settings name, or runs an operator's command."""
    command = tools.parser().parse_args(arguments)
    settings = load_settings(RetrievalSettings)
    if command.command is not None:
        _run_command(command, settings)
        return

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


def _run_command(command: argparse.Namespace, settings: RetrievalSettings) -> None:
    try:
        sys.stdout.write(f"{asyncio.run(_answer(command, settings))}\n")
    except ServiceError as error:
        sys.stderr.write(f"{error.message}\n")
        raise SystemExit(1) from None


async def _answer(command: argparse.Namespace, settings: RetrievalSettings) -> str:
    folder = settings.data / "index"
    with translated():
        match command.command:
            case "check" if command.accept:
                return f"accepted the index with {maintenance.accept(folder):,} vectors"
            case "check":
                found = maintenance.check(folder / FILE)
                return "\n".join(f"{name}: {count:,} images, no damage found" for name, count in found.items())
            case "backup":
                maintenance.backup(folder / FILE, command.file)
                return f"copied to {command.file}"
            case "restore":
                return f"restored {maintenance.restore(command.file, folder):,} vectors"
    return await _transfer(command, settings)


async def _transfer(command: argparse.Namespace, settings: RetrievalSettings) -> str:
    async with contextlib.AsyncExitStack() as stack:
        if command.command == "sync":
            server = _catalogue(settings.model_copy(update={"qdrant_url": command.url}))
            stack.push_async_callback(server.close)
            stores: list[PictureStore | None] = [None, None]
            if command.pictures:
                for place, url in enumerate((settings.picture_url, command.pictures)):
                    store = FsspecPictureStore(url)
                    stack.push_async_callback(store.close)
                    stores[place] = store
            name = hashlib.sha256(command.url.encode()).hexdigest()[:12]
            came, went = await tools.sync(settings.data / "index", server, name, *stores)
            return f"copied {came:,} images, deleted {went:,}"
        catalogue = _catalogue(settings)
        stack.push_async_callback(catalogue.close)
        if command.command == "export":
            return f"exported {await tools.export_index(catalogue, command.file):,} images"
        new, count = await tools.import_index(catalogue, command.file)
        return f"imported {new:,} of {count:,} images; the others were already stored"


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
        from services.retrieval.qdrant.catalogue import QdrantCatalogue, QdrantOptions

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
    from services.retrieval.embedded.catalogue import EmbeddedCatalogue

    return EmbeddedCatalogue(
        settings.data / "index",
        build_threshold=settings.build_threshold,
        settle_s=settings.settle_seconds,
        hnsw_m=settings.hnsw_m,
        hnsw_ef_construct=settings.hnsw_ef_construct,
        quantization=settings.quantization,
    )
