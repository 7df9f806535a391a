"""Pictures in memory that no HNSW index holds yet, searched exactly."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.edge_log import Added
from services.retrieval.index import Filter, Hit, PictureRecord, Query, Vector
from services.retrieval.points import ranked, rounded

_TIE = 1e-5
"""Scores that differ by no more may be rounded to the same."""


class FlatPart:
    """The pictures of one log. One thread writes; others may read meanwhile.

    Args:
        name: Of the segment, in the manifest.
        log: Where its pictures are on disk.
        dimension: Of the vectors.
        capacity: Pictures that there is room for from the start; grows as needed.
    """

    def __init__(self, name: str, log: Path, dimension: int, capacity: int) -> None:
        self.name = name
        self.log = log
        self.deleted_file: Path | None = None
        self.tombstones: set[bytes] = set()
        """What its log deletes, here or in older segments."""
        self._vectors: NDArray[np.float32] = np.zeros((capacity, dimension), np.float32)
        self._alive: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self._platforms: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._sources: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._times: NDArray[np.float64] = np.full(capacity, np.nan)
        self._codes: dict[str, int] = {}
        self._records: list[PictureRecord] = []
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def contents(self) -> list[object]:
        """Everything that it holds one by one. Who keeps this can let go of a large part a little at a time."""
        return [*self._records, *self._rows]

    @property
    def written(self) -> int:
        """Pictures that were ever added, the deleted ones too."""
        return len(self._records)

    def add(self, added: Added) -> None:
        """Adds a picture that isn't here."""
        row = len(self._records)
        if row == len(self._vectors):
            self._grow()
        self._vectors[row] = added.vector
        self._platforms[row] = self._code(added.record.platform)
        self._sources[row] = self._code(added.record.source)
        self._times[row] = np.nan if added.record.capture_time is None else added.record.capture_time
        self._alive[row] = True
        self._rows[added.key] = row
        self._records.append(added.record)  # last: searches look at as many rows as there are records

    def delete(self, key: bytes) -> bool:
        """Deletes a picture; returns whether it was here."""
        row = self._rows.pop(key, None)
        if row is None:
            return False
        self._alive[row] = False
        return True

    def present(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these are here."""
        return {key for key in keys if key in self._rows}

    def get(self, keys: Sequence[bytes]) -> dict[bytes, PictureRecord]:
        """The records of those that are here."""
        rows = ((key, self._rows.get(key)) for key in keys)
        return {key: self._records[row] for key, row in rows if row is not None}

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors of those that are here."""
        rows = ((key, self._rows.get(key)) for key in keys)
        return {key: self._vectors[row].copy() for key, row in rows if row is not None}

    def platforms(self) -> dict[str, int]:
        """Pictures by platform."""
        count = len(self._records)
        codes, counts = np.unique(self._platforms[:count][self._alive[:count]], return_counts=True)
        names = {code: name for name, code in list(self._codes.items())}
        return {names[int(code)]: int(number) for code, number in zip(codes, counts, strict=True)}

    def records(self) -> Iterator[PictureRecord]:
        """Every record."""
        for row, record in enumerate(self._records[:]):
            if self._alive[row]:
                yield record

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """The best `k` of each query, all of those with the last one's score, best first."""
        count = len(self._records)
        scores = self._vectors[:count] @ np.stack([query.vector for query in queries], axis=1)
        alive = self._alive[:count]
        return [self._best(scores[:, column], alive, query) for column, query in enumerate(queries)]

    def _best(self, scores: NDArray[np.float32], alive: NDArray[np.bool_], query: Query) -> list[Hit]:
        mask = alive & self._passing(query.filter, len(alive))
        if query.score_threshold is not None:
            mask &= scores >= query.score_threshold
        rows = np.flatnonzero(mask)
        if len(rows) > query.k:
            found = scores[rows]
            least = np.partition(found, len(rows) - query.k)[len(rows) - query.k]
            rows = rows[found >= least - _TIE]
        hits = [Hit(self._records[row], rounded(scores[row])) for row in rows]
        return ranked(hits)

    def _passing(self, condition: Filter, count: int) -> NDArray[np.bool_]:
        mask = np.ones(count, np.bool_)
        if condition.platforms:
            mask &= np.isin(self._platforms[:count], [self._codes.get(name, -1) for name in condition.platforms])
        if condition.sources:
            mask &= np.isin(self._sources[:count], [self._codes.get(name, -1) for name in condition.sources])
        # Comparisons with "not a number", which stands for an unknown time, are false.
        if condition.captured_from is not None:
            mask &= self._times[:count] >= condition.captured_from
        if condition.captured_before is not None:
            mask &= self._times[:count] < condition.captured_before
        return mask

    def _code(self, text: str) -> int:
        return self._codes.setdefault(text, len(self._codes))

    def _grow(self) -> None:
        # New arrays, so that a search that runs now keeps the old ones.
        more = len(self._vectors)
        self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._alive = np.concatenate([self._alive, np.zeros(more, np.bool_)])
        self._platforms = np.concatenate([self._platforms, np.zeros(more, np.int32)])
        self._sources = np.concatenate([self._sources, np.zeros(more, np.int32)])
        self._times = np.concatenate([self._times, np.full(more, np.nan)])
