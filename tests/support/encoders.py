"""An encoder without a model, for tests of what stands on one."""

import asyncio
import hashlib
from collections.abc import Sequence

import imagehash
import numpy as np
from numpy.typing import NDArray

from services.retrieval.encoder.protocol import PreparedPicture
from services.retrieval.index import EncoderId
from services.serving.images.reading import PictureLimits, decode, read_header

LIMITS = PictureLimits(max_bytes=20 * 2**20, max_pixels=64_000_000, max_side=16_384)


class HashEncoder:
    """Vectors are drawn from a hash, so they are always the same and mean nothing.

    A picture has the vector of the text that is its SHA-256: searching for that text finds the picture with a
    similarity of 1. Headers, decoding and perceptual hashes are real.

    Args:
        name: What the encoder calls itself; another name gives other vectors.
        dimension: Length of the vectors.
        limits: Bounds on pictures.
    """

    def __init__(self, name: str = "hash", dimension: int = 64, limits: PictureLimits = LIMITS) -> None:
        self._id = EncoderId(name, "1", dimension)
        self._limits = limits
        self.texts_encoded = 0
        self.pictures_encoded = 0

    @property
    def id(self) -> EncoderId:
        """Which encoder it is."""
        return self._id

    async def start(self) -> None:
        """There is nothing to load."""

    async def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n, dimension), unit length."""
        self.texts_encoded += len(texts)
        return self._vectors(texts)

    async def prepare(self, data: bytes, field: str = "image.data") -> PreparedPicture:
        """Refuses what the real encoder refuses."""
        return await asyncio.to_thread(self._prepare, data, field)

    async def encode_pictures(self, pictures: Sequence[PreparedPicture]) -> NDArray[np.float32]:
        """Shape (n, dimension), unit length."""
        self.pictures_encoded += len(pictures)
        return self._vectors([picture.pixels for picture in pictures])

    async def close(self) -> None:
        """There is nothing to free."""

    def _prepare(self, data: bytes, field: str) -> PreparedPicture:
        header = read_header(data, self._limits, field)
        return PreparedPicture(header, str(imagehash.phash(decode(data, self._limits, field))), header.sha256)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), self._id.dimension), np.float32)
        for row, text in enumerate(texts):
            seed = hashlib.sha256(f"{self._id.name}\0{text}".encode("utf-8", "surrogatepass")).digest()
            vector = np.random.default_rng(int.from_bytes(seed)).standard_normal(self._id.dimension)
            vectors[row] = vector / np.linalg.norm(vector)
        return vectors
