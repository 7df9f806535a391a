"""Keeps the picture store and the index together: every picture has its bytes, and all bytes have their picture.

An ingest stores a picture's bytes before its vector, so one that is interrupted leaves bytes that nothing lists; so
does a deletion that is killed between the two. In the embedded store this process alone writes, and a lock for each
picture is enough. On a server others write as well. There, who adds a picture stores its bytes once more after its
vector is in, and who removes bytes looks afterwards whether the picture has come meanwhile, and puts them back:
whichever of the two is later sees what the other did.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from services.retrieval.index import Filter
from services.retrieval.pictures.protocol import PictureStore
from services.retrieval.spaces import IdLocks, Spaces

_log = logging.getLogger(__name__)

_PAGE = 256


class Swept(NamedTuple):
    """What a sweep found."""

    orphans: int
    """Files without a picture, which were removed."""
    without_bytes: int
    """Pictures whose bytes are lost; the log names them."""


class Sweep:
    """Removes bytes that no picture has, and finds pictures that have no bytes.

    Args:
        spaces: Holds the current space.
        pictures: Keeps the bytes.
        locks: One for each picture, shared with whoever adds and deletes.
        shared: Whether other processes write to the same index and picture store.
    """

    def __init__(self, spaces: Spaces, pictures: PictureStore, locks: IdLocks, *, shared: bool) -> None:
        self._spaces = spaces
        self._pictures = pictures
        self._locks = locks
        self._shared = shared

    async def run(self) -> Swept:
        """Looks at all bytes and all pictures once."""
        stored: set[str] = set()
        orphans = 0
        async for page in self._pictures.pages():
            stored.update(page)
            orphans += await self._remove_orphans(page)
        lost: list[str] = []
        after, more = "", True
        while more:
            with self._spaces.borrow() as space:
                records, after = await space.index.page(Filter(), after, _PAGE)
            more = bool(after)
            missing = [record.id for record in records if record.id not in stored]
            # Those that came since the bytes were listed aren't lost.
            lost += [picture for picture in missing if await self._is_lost(picture)]
        if lost:
            _log.warning("images whose bytes are not in the image store: %s", ", ".join(lost))
        return Swept(orphans, len(lost))

    async def _is_lost(self, picture: str) -> bool:
        async with self._locks.hold([picture]):
            with self._spaces.borrow() as space:
                (record,) = await space.index.get([picture])
            return record is not None and await self._pictures.get(picture) is None

    async def _remove_orphans(self, page: Sequence[str]) -> int:
        with self._spaces.borrow() as space:
            records = await space.index.get(page)
        suspects = [picture for picture, record in zip(page, records, strict=True) if record is None]
        if not suspects:
            return 0
        async with self._locks.hold(suspects):  # until whoever stores one of them has added it
            with self._spaces.borrow() as space:
                records = await space.index.get(suspects)
            gone = [picture for picture, record in zip(suspects, records, strict=True) if record is None]
            await self.remove(gone)
        return len(gone)

    async def remove(self, ids: Sequence[str]) -> None:
        """Removes the bytes of pictures that are in the index no more, whose locks the caller holds."""
        if not self._shared:
            await self._pictures.delete(ids)
            return
        for picture in ids:
            data = await self._pictures.get(picture)
            await self._pictures.delete([picture])
            with self._spaces.borrow() as space:
                (record,) = await space.index.get([picture])
            if record is not None and data is not None:
                await self._pictures.put(picture, data)
