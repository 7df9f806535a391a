"""What a vector index is to the retrieval service, whichever store keeps it.

An index holds one point a picture: its vector by one encoder and what is known of the picture. Ids are SHA-256 of the
pictures' bytes, so adding a picture twice changes nothing. A catalogue holds the indexes of several encoders side by
side, one of which is current; a re-index builds another and then switches.

All vectors are float32 of unit length, so a dot product is a cosine similarity.
"""

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""Shape (dimension,), unit length."""
Vectors = NDArray[np.float32]
"""Shape (n, dimension), each row of unit length."""


@dataclass(frozen=True)
class EncoderId:
    """Which encoder made an index's vectors; an index is never searched with another's."""

    name: str
    """An open_clip architecture such as "ViT-B-32", or the folder's name of a local one."""
    revision: str
    """Pretrained tag, or "sha256:" and 12 hexadecimal digits of a local one's weights."""
    dimension: int
    """Length of its vectors."""


@dataclass(frozen=True)
class PictureRecord:
    """What is stored of a picture beside its vector and its bytes."""

    id: str
    """SHA-256 of the encoded bytes as lower-case hexadecimal."""
    format: str
    """"JPEG", "PNG" or "WEBP"."""
    width: int
    """Pixels of the upright picture."""
    height: int
    """Pixels of the upright picture."""
    perceptual_hash: str
    """64 bits as 16 hexadecimal digits (pHash)."""
    platform: str = ""
    """Platform it was taken from; may be empty."""
    capture_time: float | None = None
    """Seconds since 1970 UTC, if known."""
    source: str = ""
    """Where it comes from, in the owner's words; may be empty."""


class Entry(NamedTuple):
    """A picture to add."""

    record: PictureRecord
    vector: Vector


@dataclass(frozen=True)
class Filter:
    """Which pictures may be found. Empty parts let everything pass."""

    platforms: tuple[str, ...] = ()
    """Any of these."""
    sources: tuple[str, ...] = ()
    """Any of these."""
    captured_from: float | None = None
    """At or after this time, in seconds since 1970 UTC. Pictures without a time don't pass."""
    captured_before: float | None = None
    """Before this time. Pictures without a time don't pass."""


class Hit(NamedTuple):
    """A picture that was found."""

    record: PictureRecord
    score: float
    """Cosine similarity, -1 to 1, rounded to five decimal places."""


class Place(NamedTuple):
    """Where hits begin: behind a hit, whatever was found, added or deleted before it since."""

    offset: int
    """Hits that came before."""
    score: float
    """Of the last of them."""
    id: str
    """Of its picture."""

    def precedes(self, hit: Hit) -> bool:
        """Whether a hit comes behind this place."""
        return (-self.score, self.id) < (-hit.score, hit.record.id)


FRONT = Place(0, math.inf, "")
"""Where the first hit is."""


@dataclass(frozen=True)
class Query:
    """What to search for."""

    vector: Vector
    k: int
    """Hits at most."""
    filter: Filter = field(default_factory=Filter)
    score_threshold: float | None = None
    """Least cosine similarity."""
    after: Place = FRONT
    """Hits before this place are left out."""


class IndexStats(NamedTuple):
    """What an index holds."""

    images: int
    """Pictures that searches reach."""
    indexed_images: int
    """Of these, pictures under an HNSW index; the rest is searched exactly."""
    platforms: dict[str, int]
    """Pictures by platform; those without one under ""."""
    building: bool
    """Whether an HNSW index is being built now."""


class VectorIndex(Protocol):
    """The points of one encoder.

    Every method may be called at any time by many callers, and none blocks the event loop. Errors of the store are
    `Unavailable` (it can't be reached) or `ResourceExhausted` (its disk is full), never a library's own.
    """

    @property
    def encoder(self) -> EncoderId:
        """Which encoder made the vectors."""

    async def add(self, entries: Sequence[Entry]) -> list[bool]:
        """Adds pictures; returns for each whether it is new. What is returned survives a kill of the process.

        A picture that is already stored keeps its record.
        """

    async def search(self, query: Query) -> list[Hit]:
        """The nearest pictures, the nearest first; among equals by id. Searches that come together run as one batch."""

    async def get(self, ids: Sequence[str]) -> list[PictureRecord | None]:
        """The records by id, None where there is none."""

    async def page(self, condition: Filter, after: str, count: int) -> tuple[list[PictureRecord], str]:
        """Some of the records that pass a filter, each once however long the walk takes.

        Args:
            condition: Which pass.
            after: Where to continue; empty at the beginning.
            count: Records at most.

        Returns:
            The records, and where to continue; empty after the last.
        """

    async def update(self, records: Sequence[PictureRecord]) -> int:
        """Puts records in the place of those of the same ids; returns how many were there. Durable like `add`."""

    async def purge(self) -> None:
        """Leaves nothing on disk of what was deleted before; takes as long as an index takes to be built.

        Raises:
            ResourceExhausted: If there is no room to build it.
        """

    async def vectors(self, ids: Sequence[str]) -> list[Vector | None]:
        """The vectors by id, None where there is none."""

    async def delete(self, ids: Sequence[str]) -> int:
        """Deletes pictures by id; returns how many were there. Durable like `add`."""

    def records(self) -> AsyncIterator[PictureRecord]:
        """Every record, in no particular order; pictures added or deleted meanwhile may be missing or listed."""

    async def stats(self) -> IndexStats:
        """What is in it."""

    async def check(self) -> None:
        """Raises `Unavailable` if the store can't be reached now."""

    async def close(self) -> None:
        """Lets the store go; waits for writes and ends a build."""


class IndexCatalogue(Protocol):
    """The indexes of a store, one an encoder, and which is current."""

    @property
    def store(self) -> str:
        """ "qdrant-edge" or "qdrant"."""

    async def current(self) -> EncoderId | None:
        """The encoder whose index is current; None if nothing was ever indexed here."""

    async def open(self, encoder: EncoderId) -> VectorIndex:
        """Opens the index of an encoder, and makes it if there is none.

        Raises:
            FailedPrecondition: If the index on disk has another dimension than the encoder; says what to do.
            Unavailable: If the store can't be reached, or another process has it open.
        """

    async def switch(self, encoder: EncoderId) -> None:
        """Makes an encoder's index the current one, durably and at once."""

    async def drop(self, encoder: EncoderId) -> None:
        """Deletes an encoder's index; not the current one's. It must be closed."""

    async def close(self) -> None:
        """Lets the store go."""
