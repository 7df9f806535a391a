"""What callers do with stored pictures beside searching: list, send, update, delete and purge them."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.retrieval import metrics
from services.retrieval.checks import check_filter, check_ids, check_updates
from services.retrieval.index import Filter, PictureRecord
from services.retrieval.pictures.protocol import PictureStore
from services.retrieval.settings import RetrievalSettings
from services.retrieval.spaces import IdLocks, Spaces
from services.retrieval.sweep import Sweep, Swept
from services.serving.errors import InvalidArgument
from services.serving.limits import check_between

logger = logging.getLogger(__name__)

_READ_AHEAD = 4
"""Pictures that are read from the picture store before the caller has taken those before."""
DEFAULT_PAGE = 100
"""Pictures that are listed together, unless the caller says how many."""
_DELETED_TOGETHER = 256


class Update(NamedTuple):
    """What is known of a picture from now on."""

    id: str
    platform: str = ""
    capture_time: float | None = None
    """Seconds since 1970 UTC."""
    source: str = ""


class StoredPicture(NamedTuple):
    """A picture by id; without a record where there is none."""

    id: str
    data: bytes | None
    record: PictureRecord | None


class Records:
    """Stored pictures and what is known of them.

    Args:
        spaces: The current index.
        pictures: The picture store.
        locks: By picture, shared with ingests.
        sweep: Keeps both stores together.
        settings: Bounds.
    """

    def __init__(
        self, spaces: Spaces, pictures: PictureStore, locks: IdLocks, sweep: Sweep, settings: RetrievalSettings
    ) -> None:
        self._spaces = spaces
        self._pictures = pictures
        self._locks = locks
        self._sweep = sweep
        self._settings = settings
        self._deleting: set[asyncio.Task[tuple[int, int]]] = set()

    async def close(self) -> None:
        """Waits for deletions that have begun."""
        await asyncio.gather(*self._deleting, return_exceptions=True)

    async def page(self, condition: Filter, size: int, token: str) -> tuple[list[PictureRecord], str]:
        """Some of the pictures that pass a filter, and the token of the next page.

        Raises:
            InvalidArgument: About the field that is wrong.
        """
        check_filter(condition, self._settings.max_filter_entries)
        check_between("page_size", size, 1, self._settings.max_k)
        with self._spaces.borrow() as space:
            return await space.index.page(condition, token, size)

    async def update(self, updates: Sequence[Update]) -> int:
        """Replaces what is known of pictures; returns how many were there.

        Raises:
            InvalidArgument: About the field that is wrong.
        """
        check_updates(updates, self._settings.max_ids)
        ids = [update.id for update in updates]
        async with self._locks.hold(ids), self._spaces.writing(ids) as space:
            known = await space.index.get(ids)
            return await space.index.update(
                [
                    replace(record, platform=told.platform, capture_time=told.capture_time, source=told.source)
                    for record, told in zip(known, updates, strict=True)
                    if record is not None
                ]
            )

    async def purge(self) -> Swept:
        """Leaves nothing on disk of what was deleted, nor bytes that no picture has."""
        swept = await self._sweep.run()
        with self._spaces.borrow() as space:
            await space.index.purge()
        return swept

    async def pictures(self, ids: Sequence[str], *, with_data: bool = True) -> AsyncGenerator[StoredPicture, None]:
        """Stored pictures in the order of their ids, one at a time; without their bytes if those aren't wanted.

        Raises:
            InvalidArgument: About the id that is wrong.
        """
        check_ids(ids, self._settings.max_ids)
        with self._spaces.borrow() as space:
            records = await space.index.get(ids)
        if not with_data:
            for picture_id, record in zip(ids, records, strict=True):
                yield StoredPicture(picture_id, None, record)
            return
        reads: deque[asyncio.Task[StoredPicture]] = deque()
        coming = iter(zip(ids, records, strict=True))
        try:
            while True:
                while len(reads) < _READ_AHEAD and (pair := next(coming, None)) is not None:
                    reads.append(asyncio.create_task(self._read(*pair)))
                if not reads:
                    return
                yield await reads.popleft()
        finally:
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    async def delete(self, ids: Sequence[str]) -> tuple[int, int]:
        """Deletes pictures; returns how many were there and how many were not.

        Raises:
            InvalidArgument: About the id that is wrong.
        """
        check_ids(ids, self._settings.max_ids)
        # What has begun is finished under its locks, whoever gives up waiting: a thread that deletes can't be called
        # back, and a picture that is sent again meanwhile would lose its bytes after it was acknowledged.
        deleting = asyncio.create_task(self._delete(list(dict.fromkeys(ids))))
        self._deleting.add(deleting)
        deleting.add_done_callback(self._deleting.discard)
        return await asyncio.shield(deleting)

    async def delete_passing(self, ids: Sequence[str], condition: Filter) -> int:
        """Deletes all pictures that pass a filter; returns how many.

        Raises:
            InvalidArgument: If the filter is wrong or lets everything pass, or ids are named as well.
        """
        check_filter(condition, self._settings.max_filter_entries)
        if ids:
            raise InvalidArgument("ids", "must be empty where filter is set", reason="IDS_AND_FILTER")
        if condition == Filter():
            raise InvalidArgument(
                "filter",
                "has no condition, so it would delete all images; set at least one field",
                reason="FILTER_EMPTY",
            )
        deleted = 0
        after, more = "", True
        while more:
            records, after = await self.page(condition, min(_DELETED_TOGETHER, self._settings.max_k), after)
            more = bool(after)
            for start in range(0, len(records), self._settings.max_ids):
                there, _ = await self.delete([record.id for record in records[start : start + self._settings.max_ids]])
                deleted += there
        return deleted

    async def _delete(self, distinct: Sequence[str]) -> tuple[int, int]:
        async with self._locks.hold(distinct):
            # The index first: what it knows can always be fetched.
            async with self._spaces.writing(distinct) as space:
                deleted = await space.index.delete(distinct)
                space.count(-deleted)
            await self._sweep.remove(distinct)
        metrics.DELETED.inc(deleted)
        return deleted, len(distinct) - deleted

    async def _read(self, picture_id: str, record: PictureRecord | None) -> StoredPicture:
        if record is None:
            return StoredPicture(picture_id, None, None)
        data = await self._pictures.get(picture_id)
        if data is None:
            logger.warning("image %s is indexed, but is not in the image store", picture_id)
        return StoredPicture(picture_id, data, record)
