"""The retrieval service's parts for tests: real ones, but for an encoder without a model; some fail when told to."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.retrieval.embedded.catalogue import EmbeddedCatalogue
from services.retrieval.encoder.protocol import PreparedPicture
from services.retrieval.index import IndexCatalogue
from services.retrieval.ingest import Acknowledgement, Incoming
from services.retrieval.pictures.fsspec import FsspecPictureStore
from services.retrieval.retriever import Retriever
from services.retrieval.settings import RetrievalSettings
from services.serving.errors import ServiceError
from tests.support.encoders import HashEncoder
from tests.support.pictures import photograph


class TestEncoder(HashEncoder):
    """Can be told to wait, and counts how often it was closed."""

    __test__ = False  # for pytest: a helper

    def __init__(self, name: str) -> None:
        super().__init__(name.rpartition("/")[2])
        self.may_encode = asyncio.Event()
        self.may_encode.set()
        self.fails_to_start: ServiceError | None = None
        self.waiting = 0
        self.closed = 0

    async def start(self) -> None:
        if self.fails_to_start:
            raise self.fails_to_start

    async def encode_pictures(self, pictures: Sequence[PreparedPicture]) -> Any:
        self.waiting += 1
        try:
            await self.may_encode.wait()
        finally:
            self.waiting -= 1
        assert not self.closed
        return await super().encode_pictures(pictures)

    async def encode_texts(self, texts: Sequence[str]) -> Any:
        assert not self.closed
        return await super().encode_texts(texts)

    async def close(self) -> None:
        self.closed += 1


class TestPictures(FsspecPictureStore):
    """Fails while it is told to."""

    __test__ = False  # for pytest: a helper

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), workers=2)
        self.failure: ServiceError | None = None

    async def put(self, picture_id: str, data: bytes) -> bool:
        if self.failure:
            raise self.failure
        return await super().put(picture_id, data)

    async def check(self) -> None:
        if self.failure:
            raise self.failure
        await super().check()


class Parts:
    """A retriever in a folder, and the parts under it. Encoders are made by name and remembered."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        settings = {"encoder": "hash/one", "data": folder, "check_seconds": 0.01, **settings}
        self.settings = RetrievalSettings(**settings)
        self.encoders: dict[str, TestEncoder] = {}
        self.catalogue: IndexCatalogue = EmbeddedCatalogue(folder / "index", build_threshold=1000)
        self.pictures = TestPictures(folder / "pictures")
        self.retriever = Retriever(self.make_encoder, self.catalogue, self.pictures, self.settings)

    def make_encoder(self, spec: str) -> TestEncoder:
        if spec not in self.encoders or self.encoders[spec].closed:
            self.encoders[spec] = TestEncoder(spec)
        return self.encoders[spec]


@asynccontextmanager
async def started(folder: Path, **settings: Any) -> AsyncIterator[Parts]:
    parts = Parts(folder, **settings)
    try:
        await parts.retriever.start()
        yield parts
    finally:
        await parts.retriever.close()


def small(seed: int) -> bytes:
    """A picture that is taken in quickly, another one for each seed."""
    return photograph(seed, (16, 16), "PNG")


def sha256(data: bytes) -> str:
    """A picture's id, and the text that finds it."""
    return hashlib.sha256(data).hexdigest()


async def stream(pictures: Iterable[Incoming]) -> AsyncGenerator[Incoming, None]:
    """Pictures one after the other, as a client sends them."""
    for picture in pictures:
        yield picture


async def take_in(parts: Parts, files: Iterable[bytes], **metadata: Any) -> list[Acknowledgement]:
    """What becomes of pictures; tags count up from 0."""
    incoming = [Incoming(tag, data, **metadata) for tag, data in enumerate(files)]
    return [acknowledgement async for acknowledgement in parts.retriever.ingestor.ingest(stream(incoming))]
