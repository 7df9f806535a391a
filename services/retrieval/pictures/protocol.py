"""The pictures themselves, by content: a folder or any object store that fsspec knows."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class PictureStore(Protocol):
    """Keeps encoded pictures under the SHA-256 of their bytes."""

    @property
    def name(self) -> str:
        """Where it is, for messages; without credentials."""

    async def put(self, picture_id: str, data: bytes) -> bool:
        """Stores a picture durably and whole; returns whether it was not there.

        Raises:
            ResourceExhausted: If the disk is full; nothing half-written stays.
            Unavailable: If the store can't be reached.
        """

    async def get(self, picture_id: str) -> bytes | None:
        """A picture's bytes; None if there is none of this id."""

    async def delete(self, picture_ids: Sequence[str]) -> None:
        """Deletes pictures; those that are not there are left alone."""

    def pages(self) -> AsyncIterator[list[str]]:
        """The ids of all pictures, some at a time; those that come or go meanwhile may be among them."""

    async def check(self) -> None:
        """Raises `Unavailable` or `FailedPrecondition` if the store can't be read; one that can't be written may be."""

    async def close(self) -> None:
        """Lets the store go."""
