"""Encodes the stored pictures of one space into another, and minds those that can't be had any more.

A picture that no store gives back is left out of the new index. A few may be lost over the years; but where many are
missing, the picture store is not the one that the pictures were put in, and switching would empty the searches.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from services.retrieval.encoder.protocol import PreparedPicture
from services.retrieval.index import Entry, PictureRecord
from services.retrieval.pictures.protocol import PictureStore
from services.retrieval.spaces import Space, Spaces
from services.serving.errors import FailedPrecondition, InvalidArgument

logger = logging.getLogger(__name__)

BATCH = 32
"""Pictures that are read and encoded together at most."""
_MAX_PAUSE_S = 0.5
"""How long a batch waits at most for a moment without other work."""
_ONE_IN = 100
"""One picture in so many may be left out, rounded down: none of fewer than 100."""
_MISSING = "missing"


class Progress(NamedTuple):
    """How far it is."""

    done: int
    """Pictures that are in the new index."""
    total: int
    """Pictures in all, as far as known."""


class Reencoding:
    """One run from one space into another.

    Args:
        spaces: Keeps a journal meanwhile.
        pictures: Keeps the pictures' bytes.
        old: What is indexed.
        new: What is to be filled.
        report: Told how far it is after each batch.
        encode_queue: Pictures that may wait for the new encoder; it refuses a batch of more.
    """

    def __init__(
        self,
        spaces: Spaces,
        pictures: PictureStore,
        old: Space,
        new: Space,
        report: Callable[[Progress], None],
        encode_queue: int,
    ) -> None:
        self._spaces = spaces
        self._pictures = pictures
        self._old = old
        self._new = new
        self._report = report
        self._batch = min(BATCH, encode_queue)
        self._done = 0
        self._left_out: dict[str, str] = {}
        """Why, by id: missing, or the reason for which it can't be read."""

    @property
    def left_out(self) -> int:
        """Pictures that the new index goes without."""
        return len(self._left_out)

    async def all(self) -> None:
        """Encodes every picture.

        Raises:
            FailedPrecondition: If more than 1% of them can't be had.
        """
        batch: list[PictureRecord] = []
        async for record in self._old.index.records():
            batch.append(record)
            if len(batch) == self._batch:
                await self._encode(batch)
                batch = []
        await self._encode(batch)

    async def again(self, ids: Sequence[str]) -> None:
        """Gives the new index what the old one has, and only that, of pictures that were added or deleted meanwhile.

        Raises:
            FailedPrecondition: If more than 1% of all pictures can't be had.
        """
        for start in range(0, len(ids), self._batch):
            part = ids[start : start + self._batch]
            for picture in part:
                self._left_out.pop(picture, None)
            records = [record for record in await self._old.index.get(part) if record is not None]
            # One that was deleted and added again may have another record.
            self._done -= await self._new.index.delete(part)
            await self._encode(records)
        self._report(Progress(self._done, self._total))
        self._check()  # what was deleted counts no more, neither as lost nor as a picture

    async def _encode(self, records: Sequence[PictureRecord]) -> None:
        if not records:
            return
        await _quiet(self._old)
        prepared = await asyncio.gather(*map(self._prepare, records))
        pairs = list(zip(records, prepared, strict=True))
        await self._leave_out({record.id: reason for record, reason in pairs if isinstance(reason, str)})
        ready = [(record, picture) for record, picture in pairs if isinstance(picture, PreparedPicture)]
        if ready:
            vectors = await self._new.encoder.encode_pictures([picture for _, picture in ready])
            await self._new.index.add([Entry(record, row) for (record, _), row in zip(ready, vectors, strict=True)])
        self._done += len(ready)
        self._report(Progress(self._done, self._total))
        self._check()

    async def _prepare(self, record: PictureRecord) -> PreparedPicture | str:
        """The picture, or why it can't be had."""
        data = await self._pictures.get(record.id)
        if data is None:
            return _MISSING
        try:
            return await self._new.encoder.prepare(data)
        except InvalidArgument as error:
            return error.reason

    async def _leave_out(self, reasons: dict[str, str]) -> None:
        if not reasons:
            return
        # One that was deleted since it was listed is not lost, and one that has come back is looked at again.
        indexed = [record.id for record in await self._old.index.get(list(reasons)) if record is not None]
        lost = {picture: reasons[picture] for picture in indexed if not self._spaces.has_noted(picture)}
        if lost:
            self._left_out |= lost
            logger.warning(
                "the new index leaves out images that are not in the image store or can't be read: %s",
                ", ".join(f"{picture} ({reason})" for picture, reason in lost.items()),
            )

    @property
    def _total(self) -> int:
        return max(self._done + len(self._left_out), self._old.images)

    def _check(self) -> None:
        if len(self._left_out) <= self._total // _ONE_IN:
            return
        reasons = Counter(self._left_out.values())
        read = f"of the {self._done + len(self._left_out):,} images read so far ({self._total:,} in all)"
        missing = reasons.pop(_MISSING, 0)
        told: list[str] = []
        if missing:
            told.append(
                f"{missing:,} {read} are not in the image store {self._pictures.name}: set AXIA_RETRIEVAL_PICTURES "
                "to the store with the images, or put them back there"
            )
        if reasons:
            names = ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items()))
            told.append(
                f"{reasons.total():,} {read} can't be read ({names}): put the files back as they were into the image "
                f"store {self._pictures.name}, or set AXIA_RETRIEVAL_MAX_IMAGE_MIB, AXIA_RETRIEVAL_MAX_IMAGE_SIDE "
                "and AXIA_RETRIEVAL_MAX_IMAGE_MEGAPIXELS to the values that were used when the images were indexed"
            )
        raise FailedPrecondition(
            f"{'; '.join(told)}. Or delete with DeleteImages the images that can't be restored; the log lists their "
            "ids. Then start the re-index again. At most 1% may be left out; searches continue with the current index",
            reason="PICTURES_LOST" if missing else "PICTURES_UNREADABLE",
        )


async def _quiet(space: Space) -> None:
    """Waits for a moment without other work, but not for long: a re-index comes second, and still comes to an end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_MAX_PAUSE_S):
            await space.idle()
