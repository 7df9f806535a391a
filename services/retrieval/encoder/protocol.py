"""What an encoder is to the retrieval service, whichever library runs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from services.retrieval.index import EncoderId, Vectors
from services.serving.images.reading import PictureHeader

DEMO_ENCODER = f"local-dir:{Path(__file__).parents[3] / 'demo' / 'models' / 'clip'}"
"""The CLIP that comes with a checkout, as encoders are named in settings."""


class PreparedPicture(NamedTuple):
    """A picture that was read and decoded once: for its header, its perceptual hash and the encoder's input."""

    header: PictureHeader
    perceptual_hash: str
    """64 bits as 16 hexadecimal digits (pHash)."""
    pixels: Any
    """The encoder's own form of the picture."""


class Encoder(Protocol):
    """Maps pictures and texts into one space. Calls that come together are computed together."""

    @property
    def id(self) -> EncoderId:
        """Which encoder it is; only after `start`."""

    async def start(self) -> None:
        """Loads the model and runs it once on a picture and a text.

        Raises:
            FailedPrecondition: If there is no such model; says what to do.
        """

    async def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, shape (n, dimension). Texts seen before come from a cache."""

    async def prepare(self, data: bytes, field: str = "image.data") -> PreparedPicture:
        """Reads and decodes a picture in a worker thread.

        Raises:
            InvalidArgument: About `field`, if it can't be read.
        """

    async def encode_pictures(self, pictures: Sequence[PreparedPicture]) -> Vectors:
        """Vectors of pictures, shape (n, dimension), computed in batches across callers."""

    async def close(self) -> None:
        """Frees the model and the threads."""
