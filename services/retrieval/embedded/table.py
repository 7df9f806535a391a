"""The pictures of one encoder in memory: what is known of each, and its vector, to be compared one by one.

A row costs 77 bytes, its vector, its id as a key and, where no other has it, its source. One thread writes; others may
read meanwhile: rows are only ever appended, and a deletion is a mark.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.retrieval.index import FRONT, Filter, Hit, PictureRecord, Query, Vector, Vectors

_CHUNK_ROWS = 4_096
_FIRST_ROWS = 4_096
_TIE = 2e-5
"""Scores that differ by no more may be rounded to the same."""
_KEPT_RECORDS = 8_192
_DIGITS = 5
_KINDS = {
    "seq": "<i8", "hash": "<u8", "time": "<f8", "format": "<i4", "platform": "<i4", "source": "<i4", "width": "<i4",
    "height": "<i4", "alive": "?",
}  # fmt: skip

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class Table:
    """Pictures by row, in the order of their numbers.

    Args:
        dimension: Of the vectors.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self.count = 0
        """Rows, the deleted ones too."""
        self.rows: dict[bytes, int] = {}
        """Where each picture is, by the 32 bytes of its id."""
        self._columns = _columns(_FIRST_ROWS)
        # Never moved: copying all vectors whenever there is no more room would hold up every search.
        self._chunks: list[Vectors] = []
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []
        self._records: dict[int, PictureRecord] = {}

    def append(self, seqs: Sequence[int], records: Sequence[PictureRecord], vectors: Vectors) -> None:
        """Adds pictures, whose numbers are higher than all before; one that is already stored is replaced."""
        first, more = self.count, len(records)
        room = len(self._columns["seq"])
        if first + more > room:
            # New ones, so that a search that runs now keeps the old ones.
            grown = _columns(room + max(room, more))
            for name, column in self._columns.items():
                grown[name][:first] = column[:first]
            self._columns = grown
        keys = [bytes.fromhex(record.id) for record in records]
        new = {name: column[first : first + more] for name, column in self._columns.items()}
        new["seq"][:] = seqs
        new["key"][:] = np.frombuffer(b"".join(keys), ">u8").reshape(more, -1)
        new["hash"][:] = [int(record.perceptual_hash, 16) for record in records]
        new["time"][:] = [np.nan if record.capture_time is None else record.capture_time for record in records]
        new["format"][:] = [self._code(record.format) for record in records]
        new["platform"][:] = [self._code(record.platform) for record in records]
        new["source"][:] = [self._code(record.source) for record in records]
        new["width"][:] = [record.width for record in records]
        new["height"][:] = [record.height for record in records]
        new["alive"][:] = True
        self._store(first, vectors)
        replaced = [row for key in keys if (row := self.rows.get(key)) is not None]
        self.rows.update(zip(keys, range(first, first + more), strict=True))
        self._forget(replaced)
        self.count = first + more  # last: readers look at no row behind it

    def _store(self, first: int, vectors: Vectors) -> None:
        while vectors.size:
            if first // _CHUNK_ROWS == len(self._chunks):
                self._chunks.append(np.empty((_CHUNK_ROWS, self._dimension), np.float32))
            place = first % _CHUNK_ROWS
            room = vectors[: _CHUNK_ROWS - place]
            self._chunks[-1][place : place + len(room)] = room
            first, vectors = first + len(room), vectors[len(room) :]

    def delete(self, keys: Iterable[bytes]) -> None:
        """Marks those that are here as deleted."""
        self._forget([row for key in keys if (row := self.rows.pop(key, None)) is not None])

    def _forget(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._records.pop(row, None)
        self._columns["alive"][list(rows)] = False

    def compacted(self) -> "Table":
        """A copy without the deleted rows, whose vectors are nowhere then once this one is forgotten."""
        fresh = Table(self._dimension)
        alive = np.flatnonzero(self._columns["alive"][: self.count])
        for start in range(0, len(alive), _CHUNK_ROWS):
            rows = alive[start : start + _CHUNK_ROWS]
            fresh.append(self.seqs(rows), [self._read(int(row)) for row in rows], self.vectors(rows))
        return fresh

    def seqs(self, rows: Rows) -> list[int]:
        """The numbers of rows."""
        found: list[int] = self._columns["seq"][rows].tolist()
        return found

    def row_after(self, seq: int) -> int:
        """The first row with a higher number."""
        return int(np.searchsorted(self._columns["seq"][: self.count], seq, side="right"))

    def alive(self, first: int, last: int) -> int:
        """How many rows from `first` to before `last` aren't deleted."""
        return int(np.count_nonzero(self._columns["alive"][first:last]))

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors of rows."""
        found = np.empty((len(rows), self._dimension), np.float32)
        for place, row in enumerate(rows.tolist()):
            found[place] = self.vector(row)
        return found

    def vector(self, row: int) -> Vector:
        """The vector of a row."""
        found: Vector = self._chunks[row // _CHUNK_ROWS][row % _CHUNK_ROWS]
        return found

    def record(self, row: int) -> PictureRecord:
        """What is known of a row's picture. Those asked for lately are kept: making one takes some microseconds."""
        known = self._records.get(row)
        if known is None:
            if len(self._records) >= _KEPT_RECORDS:
                self._records.clear()
            known = self._records[row] = self._read(row)
        return known

    def _read(self, row: int) -> PictureRecord:
        columns = self._columns
        time = float(columns["time"][row])
        kind, platform, source = (self._texts[columns[name][row]] for name in ("format", "platform", "source"))
        return PictureRecord(
            columns["key"][row].tobytes().hex(), kind, int(columns["width"][row]), int(columns["height"][row]),
            f"{columns['hash'][row]:016x}", platform, None if math.isnan(time) else time, source,
        )  # fmt: skip

    def platforms(self) -> dict[str, int]:
        """Pictures by platform."""
        alive = self._columns["alive"][: self.count]
        codes, counts = np.unique(self._columns["platform"][: len(alive)][alive], return_counts=True)
        return {self._texts[code]: int(count) for code, count in zip(codes.tolist(), counts, strict=True)}

    def passing(self, condition: Filter, first: int = 0) -> Rows:
        """The rows from `first` on that aren't deleted and pass a filter, in order."""
        columns = {name: column[first : self.count] for name, column in self._columns.items()}
        mask: NDArray[np.bool_] = columns["alive"]
        for name, texts in (("platform", condition.platforms), ("source", condition.sources)):
            if texts:
                mask = mask & np.isin(columns[name], [self._codes.get(text, -1) for text in texts])
        # Comparisons with "not a number", which stands for an unknown time, are false.
        if condition.captured_from is not None:
            mask = mask & (columns["time"] >= condition.captured_from)
        if condition.captured_before is not None:
            mask = mask & (columns["time"] < condition.captured_before)
        return np.flatnonzero(mask) + first

    def compare(self, query: Query, first: int = 0) -> tuple[Rows, Scores]:
        """The rows from `first` on that pass the query's filter, and their scores. numpy lets others run meanwhile."""
        rows = self.passing(query.filter, first)
        scores = np.empty(self.count - first, np.float32)
        for chunk in range(first // _CHUNK_ROWS, len(self._chunks)):
            begin = max(chunk * _CHUNK_ROWS, first)
            end = min((chunk + 1) * _CHUNK_ROWS, first + len(scores))
            if begin < end:
                place = begin % _CHUNK_ROWS
                scores[begin - first : end - first] = self._chunks[chunk][place : place + end - begin] @ query.vector
        return rows, scores[rows - first]

    def found(self, seqs: NDArray[np.int64], scores: Scores) -> tuple[Rows, Scores]:
        """The rows of these numbers that aren't deleted, and their scores."""
        known, alive = self._columns["seq"][: self.count], self._columns["alive"]
        rows = np.minimum(np.searchsorted(known, seqs), len(known) - 1)
        here = (known[rows] == seqs) & alive[rows]
        return rows[here], scores[here]

    def best(self, query: Query, rows: Rows, scores: Scores) -> list[Hit]:
        """The best of these rows for a query, the best first; among equals by id."""
        if query.score_threshold is not None:
            enough = scores >= query.score_threshold
            rows, scores = rows[enough], scores[enough]
        if len(rows) > query.k and query.after == FRONT:  # most of them, before anything else is looked at
            least = np.partition(scores, len(rows) - query.k)[len(rows) - query.k]
            near = scores >= least - _TIE
            rows, scores = rows[near], scores[near]
        rounded: NDArray[np.float64] = np.asarray(np.round(scores.astype(np.float64), _DIGITS), np.float64)
        if query.after != FRONT:
            rows, rounded = self._behind(query, rows, rounded)
        keys = self._columns["key"][rows]
        order = np.lexsort((keys[:, 3], keys[:, 2], keys[:, 1], keys[:, 0], -rounded))[: query.k]
        return [
            Hit(self.record(row), score)
            for row, score in zip(rows[order].tolist(), rounded[order].tolist(), strict=True)
        ]

    def _behind(self, query: Query, rows: Rows, rounded: NDArray[np.float64]) -> tuple[Rows, NDArray[np.float64]]:
        place = query.after
        behind = rounded < place.score
        equal = np.flatnonzero(rounded == place.score)
        behind[[at for at in equal.tolist() if self._columns["key"][rows[at]].tobytes().hex() > place.id]] = True
        rows, rounded = rows[behind], rounded[behind]
        if len(rows) > query.k:
            near = rounded >= np.partition(rounded, len(rows) - query.k)[len(rows) - query.k]
            rows, rounded = rows[near], rounded[near]
        return rows, rounded

    def alike(self, picture_hash: int, bits: int) -> Rows:
        """The rows whose perceptual hashes differ from one in so many bits at most."""
        hashes, alive = self._columns["hash"][: self.count], self._columns["alive"][: self.count]
        return np.flatnonzero((np.bitwise_count(hashes ^ np.uint64(picture_hash)) <= bits) & alive)

    def _code(self, text: str) -> int:
        code = self._codes.get(text)
        if code is None:
            self._texts.append(text)
            code = self._codes[text] = len(self._texts) - 1
        return code


def _columns(rows: int) -> dict[str, NDArray[Any]]:
    """Empty ones. The key is the picture's id as four numbers, high byte first, so that they sort as ids do."""
    return {name: np.zeros(rows, kind) for name, kind in _KINDS.items()} | {"key": np.zeros((rows, 4), ">u8")}
