"""Pictures under an HNSW index: a shard that never changes, its log, and what was deleted since."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from services.retrieval.edge_log import replace_file
from services.retrieval.edge_shard import ShardReader
from services.retrieval.index import Hit, PictureRecord, Query, Vector
from services.retrieval.points import KEY_BYTES

SHARD = "shard"
LOG = "pictures.log"
SUMMARY = "part.json"
"""Written last: a part without it was not finished."""
_PAGE = 256

ValueT = TypeVar("ValueT")


def read_deleted(path: Path | None) -> list[bytes]:
    """The SHA-256 of what was deleted from a part; empty without a file."""
    data = path.read_bytes() if path else b""
    return [data[start : start + KEY_BYTES] for start in range(0, len(data), KEY_BYTES)]


class IndexedPart:
    """A part on disk. One thread deletes; others may read meanwhile.

    Args:
        path: Its folder, as `edge_build` made it.
        deleted_file: Names what was deleted before; None if nothing was.

    Raises:
        ShardError: If its shard can't be opened.
        OSError: If its files can't be read.
    """

    def __init__(self, path: Path, deleted_file: Path | None) -> None:
        self.name = path.name
        self.log = path / LOG
        self.deleted_file = deleted_file
        summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
        self.written: int = summary["images"]
        self._platforms = Counter[str](summary["platforms"])
        self._shard = ShardReader(path / SHARD)
        self._deleted: set[str] = set()
        self._saved = 0
        try:
            self.delete(read_deleted(deleted_file))
        except BaseException:  # whatever it is, nobody else can close it
            self.close()
            raise
        self._saved = len(self._deleted)

    def __len__(self) -> int:
        return self.written - len(self._deleted)

    @property
    def deleted(self) -> int:
        """Pictures in the shard that were deleted."""
        return len(self._deleted)

    def close(self) -> None:
        """Lets its files and memory go; nothing may be asked of it any more."""
        self._shard.close()

    def delete(self, keys: Iterable[bytes]) -> int:
        """Deletes those that are here; returns how many were."""
        found = self.get(list(keys))
        # A new set, so that a search that runs now keeps the old one.
        self._deleted = self._deleted | {record.id for record in found.values()}
        self._platforms -= Counter(record.platform for record in found.values())
        return len(found)

    def save_deleted(self, path: Path) -> None:
        """Writes what was deleted to a file of its own, if there is anything new.

        Raises:
            OSError: If it can't be written.
        """
        if len(self._deleted) > self._saved:
            replace_file(path, b"".join(bytes.fromhex(picture) for picture in sorted(self._deleted)))
            self.deleted_file = path
            self._saved = len(self._deleted)

    def present(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these are here."""
        return set(self.get(keys))

    def get(self, keys: Sequence[bytes]) -> dict[bytes, PictureRecord]:
        """The records of those that are here."""
        return {key: record for key, record in _retrieved(self._shard.get, keys) if record.id not in self._deleted}

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors of those that are here."""
        deleted = self._deleted
        return {key: vector for key, vector in _retrieved(self._shard.vectors, keys) if key.hex() not in deleted}

    def platforms(self) -> dict[str, int]:
        """Pictures by platform."""
        return dict(self._platforms)

    def records(self) -> Iterator[PictureRecord]:
        """Every record."""
        after: str | None = None
        while True:
            page, after = self._shard.page(after, _PAGE)
            yield from (record for record in page if record.id not in self._deleted)
            if after is None:
                return

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """The best `k` of each query, all of those with the last one's score, best first."""
        return self._shard.search(queries, self._deleted)


def _retrieved(
    retrieve: Callable[[Sequence[bytes]], dict[bytes, ValueT]], keys: Sequence[bytes]
) -> Iterator[tuple[bytes, ValueT]]:
    # In pages, for each call holds the GIL.
    wanted = set(keys)
    for start in range(0, len(keys), _PAGE):
        for key, value in retrieve(keys[start : start + _PAGE]).items():
            if key in wanted:  # the first half alone could be another picture's
                yield key, value
