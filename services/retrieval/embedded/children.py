"""The child processes of the embedded store: one that builds an HNSW index, and one that searches what was built.

Both run `hnsw`. What passes between them and this process is here.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from services.retrieval.index import Query

DISK_FULL = 28
"""Exit status of a build that found no space."""
MANIFEST = "manifest.json"
"""Written last: a segment without it was not finished."""
MESSAGE_BYTES = 1 << 20
MOST_FOUND = 12_000
"""Pictures that one message can name, all queries and segments together: 144 kB, which a socket takes in one piece."""
_MOST_QUERIES = 16
_MOST_REQUEST_BYTES = 128 << 10

Found = list[tuple[Any, Any]]
"""Numbers and scores that each segment found for a query, the best first."""


class HnswOptions(NamedTuple):
    """How an HNSW index is made."""

    m: int
    """Edges of a node."""
    ef_construct: int
    """Candidates looked at for each node."""
    quantization: bool
    """Whether the graph is searched by vectors of 8-bit integers."""


@dataclass(frozen=True)
class Job:
    """A segment to build."""

    database: str
    encoder: int
    dimension: int
    after: int
    last: int
    """It is of the changes above `after` up to `last`."""
    target: str
    """Its folder, which must not be there."""
    hnsw: tuple[int, int, bool]
    """`HnswOptions`."""

    def to_json(self) -> bytes:
        """For the child's standard input."""
        return json.dumps(asdict(self)).encode()


class SegmentError(Exception):
    """A segment can't be opened; `segment` says which."""

    def __init__(self, segment: Path, error: str) -> None:
        super().__init__(f"{segment.name}: {error}")
        self.segment = segment


class SearcherLostError(Exception):
    """The process that searches has ended."""


async def start(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
    """Starts a child. It is a program of its own rather than a fork: gRPC's threads don't survive one."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.retrieval.embedded.hnsw", str(os.getpid()), *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        # Signals to the server's group are for the server, which ends its children itself. uvloop has no process_group.
        start_new_session=True,
        **options,
    )


def kill(child: asyncio.subprocess.Process) -> None:
    """Ends a child, if it hasn't ended."""
    with contextlib.suppress(ProcessLookupError):
        child.kill()


class Searcher:
    """A process that has some segments open. Queries that wait for it go there together.

    Args:
        segments: Their folders, at least one.
    """

    def __init__(self, segments: Sequence[Path]) -> None:
        self.segments = tuple(segments)
        self._waiting: deque[tuple[Query, int, asyncio.Future[Found]]] = deque()
        self._asked: list[asyncio.Future[Found]] = []
        self._lost = True

    async def open(self) -> None:
        """Starts the process and waits until the segments are open.

        Raises:
            SegmentError: If one is damaged.
            SearcherLostError: If the process ends before.
            OSError: If it can't be started.
        """
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            with theirs:
                arguments = ("search", str(theirs.fileno()), *map(str, self.segments))
                self._child = await start(*arguments, pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL)
            answer = await loop.sock_recv(self._socket, MESSAGE_BYTES)
            if not answer:
                raise SearcherLostError  # noqa: TRY301  # ended as for any other failure
            if fault := json.loads(answer):
                raise SegmentError(Path(fault["segment"]), fault["error"])  # noqa: TRY301
        except BaseException:  # also cancelled: nobody else can end it
            await self._end()
            raise
        self._lost = False
        loop.add_reader(self._socket.fileno(), self._receive)

    def ask(self, query: Query, limit: int) -> "asyncio.Future[Found]":
        """Asks for the best `limit` of each segment; `limit` times the number of segments is at most MOST_FOUND.

        Raises:
            SearcherLostError: If the process has ended.
        """
        if self._lost:
            raise SearcherLostError
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, limit, future))
        if not self._asked:
            self._send()
        return future

    async def close(self) -> None:
        """Ends the process; queries that are under way fail."""
        self._lose()
        await self._end()

    def _send(self) -> None:
        queries: list[Query] = []
        limits: list[int] = []
        size = 0
        while self._waiting and len(queries) < _MOST_QUERIES:
            query, limit, future = self._waiting[0]
            size += query.vector.nbytes
            if queries and ((sum(limits) + limit) * len(self.segments) > MOST_FOUND or size > _MOST_REQUEST_BYTES):
                break
            self._waiting.popleft()
            if not future.done():  # its caller may have given up
                queries.append(query)
                limits.append(limit)
                self._asked.append(future)
        if queries:
            try:
                self._socket.send(request(queries, limits))
            except OSError:
                self._lose()

    def _receive(self) -> None:
        try:
            answer = self._socket.recv(MESSAGE_BYTES)
        except OSError:
            answer = b""
        if not answer:
            self._lose()
            return
        asked, self._asked = self._asked, []
        for future, found in zip(asked, read_answer(answer, len(asked), len(self.segments)), strict=True):
            if not future.done():
                future.set_result(found)
        self._send()

    def _lose(self) -> None:
        if self._lost:
            return
        self._lost = True
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        for future in [*self._asked, *(future for _, _, future in self._waiting)]:
            if not future.done():
                future.set_exception(SearcherLostError())
        self._waiting.clear()

    async def _end(self) -> None:
        self._socket.close()
        child = getattr(self, "_child", None)
        if child is not None:
            kill(child)
            await child.wait()


# Requests: a JSON line of what each query asks for, then the vectors. Answers: for each query and segment the number of
# points found as 32 bits, then all their numbers as 64 bits, then all their scores as float32.


def request(queries: Sequence[Query], limits: Sequence[int]) -> bytes:
    """A message that asks for the best `limits` pictures of each segment for each query."""
    asked = [
        [
            limit, query.score_threshold, query.filter.platforms, query.filter.sources,
            query.filter.captured_from, query.filter.captured_before,
        ]
        for query, limit in zip(queries, limits, strict=True)
    ]  # fmt: skip
    return json.dumps(asked).encode() + b"\n" + b"".join(query.vector.astype("<f4").tobytes() for query in queries)


def read_answer(message: bytes, queries: int, segments: int) -> list[list[tuple[Any, Any]]]:
    """The numbers and scores that each segment found for each query, the best first."""
    counts = struct.unpack_from(f"<{queries * segments}I", message)
    total = sum(counts)
    seqs = np.frombuffer(message, "<i8", total, 4 * len(counts))
    scores = np.frombuffer(message, "<f4", total, 4 * len(counts) + 8 * total)
    places = np.cumsum((0, *counts)).tolist()
    parts = [(seqs[begin:end], scores[begin:end]) for begin, end in pairwise(places)]
    return [parts[query * segments : (query + 1) * segments] for query in range(queries)]
