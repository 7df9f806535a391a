"""Answers the frames of a camera: the newest wins, and there is progress however fast the camera is.

One frame is being answered and one, the newest of those that came since, waits. A frame that waits when a newer one
comes is superseded. So is the one being answered, and its answer is aborted, once it is older than the freshness bound
and a newer one waits. The frame that then takes its place is let run to its end: where a model needs longer than the
bound, every second frame that it begins is answered, instead of none.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from gateway import metrics
from services.serving.deadlines import Deadline
from services.serving.errors import InvalidArgument, ServiceError

ResultT = TypeVar("ResultT")


class Frame(NamedTuple):
    """One picture of a camera."""

    frame_id: int
    image: bytes


@dataclass(frozen=True)
class FrameOutcome(Generic[ResultT]):
    """What became of a frame: a result, a newer frame, or an error that concerns it alone."""

    frame_id: int
    result: ResultT | None = None
    superseded_by: int | None = None
    error: ServiceError | None = None


@dataclass
class _Running(Generic[ResultT]):
    """A frame that is being answered."""

    frame: Frame
    task: asyncio.Task[ResultT]
    fresh: Deadline
    protected: bool
    """Whether it took the place of one that was aborted, and is let run to its end."""


async def answer_frames(
    frames: AsyncIterator[Frame],
    answer: Callable[[Frame], Awaitable[ResultT]],
    freshness_s: float,
    ends_watch: Callable[[ServiceError], bool] = lambda _: False,
) -> AsyncGenerator[FrameOutcome[ResultT], None]:
    """Yields one outcome for each frame, until the frames have ended and the last is answered.

    A consumer who takes no outcomes is sent none and stops the reading of frames; nothing is piled up.

    Args:
        frames: The camera's, with ascending ids.
        answer: Answers one frame; cancelled where a newer frame takes its place.
        freshness_s: Age from which a frame being answered gives way, in seconds.
        ends_watch: Whether an error concerns every frame.

    Raises:
        InvalidArgument: If a frame's id is not greater than the one before.
        ServiceError: As `frames` and, where it ends the watch, `answer` do.
    """
    watch = _Watch(frames, answer, freshness_s, ends_watch)
    try:
        async for outcome in watch.outcomes():
            yield outcome
    finally:
        await watch.close()


class _Watch(Generic[ResultT]):
    def __init__(
        self,
        frames: AsyncIterator[Frame],
        answer: Callable[[Frame], Awaitable[ResultT]],
        freshness_s: float,
        ends_watch: Callable[[ServiceError], bool],
    ) -> None:
        self._frames = frames
        self._answer = answer
        self._freshness_s = freshness_s
        self._ends_watch = ends_watch
        self._arriving: asyncio.Task[Frame | None] | None = None
        self._running: _Running[ResultT] | None = None
        self._waiting: Frame | None = None
        self._waiting_fresh: Deadline = Deadline(freshness_s)
        self._newest = -(2**63) - 1

    async def outcomes(self) -> AsyncGenerator[FrameOutcome[ResultT], None]:
        self._arriving = asyncio.create_task(self._next_frame())
        while self._arriving or self._running:
            tasks = {task for task in (self._arriving, self._running and self._running.task) if task}
            await asyncio.wait(tasks, timeout=self._until_stale(), return_when=asyncio.FIRST_COMPLETED)
            if self._running and self._running.task.done():
                yield self._ended(self._running)
                self._running = None
            if (superseded := self._take_arrived()) is not None:
                yield superseded
            protected = False
            if self._running and self._gives_way(self._running):
                yield await self._abort(self._running)
                self._running, protected = None, True
            if self._waiting and self._running is None:
                self._start(self._waiting, protected=protected)

    async def close(self) -> None:
        """Aborts what is left."""
        tasks = [task for task in (self._arriving, self._running and self._running.task) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _next_frame(self) -> Frame | None:
        return await anext(self._frames, None)

    def _take_arrived(self) -> FrameOutcome[ResultT] | None:
        """Puts a frame that has come where one waits; the one that waited there is superseded."""
        if not self._arriving or not self._arriving.done():
            return None
        frame = self._arriving.result()
        self._arriving = None
        if frame is None:
            return None
        if frame.frame_id <= self._newest:
            raise InvalidArgument(
                "frame.frame_id", f"must be greater than {self._newest}, but is {frame.frame_id}", reason="FRAME_ORDER"
            )
        self._newest = frame.frame_id
        waited, self._waiting, self._waiting_fresh = self._waiting, frame, Deadline(self._freshness_s)
        self._arriving = asyncio.create_task(self._next_frame())
        if waited is None:
            return None
        metrics.WATCH_FRAMES.labels("superseded").inc()
        return FrameOutcome(waited.frame_id, superseded_by=frame.frame_id)

    def _start(self, frame: Frame, *, protected: bool) -> None:
        async def work() -> ResultT:
            return await self._answer(frame)

        self._running = _Running(frame, asyncio.create_task(work()), self._waiting_fresh, protected)
        self._waiting = None

    def _until_stale(self) -> float | None:
        """Seconds until the frame being answered gives way to the one that waits; None where it won't."""
        if self._running is None or self._waiting is None or self._running.protected:
            return None
        return self._running.fresh.wait_s()

    def _gives_way(self, running: _Running[ResultT]) -> bool:
        return self._waiting is not None and not running.protected and running.fresh.over

    async def _abort(self, running: _Running[ResultT]) -> FrameOutcome[ResultT]:
        running.task.cancel()
        await asyncio.wait({running.task})
        if not running.task.cancelled():
            return self._ended(running)  # it was done at this very moment
        metrics.WATCH_FRAMES.labels("aborted").inc()
        newer = self._waiting.frame_id if self._waiting else self._newest
        return FrameOutcome(running.frame.frame_id, superseded_by=newer)

    def _ended(self, running: _Running[ResultT]) -> FrameOutcome[ResultT]:
        try:
            result = running.task.result()
        except ServiceError as error:
            if self._ends_watch(error):
                raise
            metrics.WATCH_FRAMES.labels("failed").inc()
            return FrameOutcome(running.frame.frame_id, error=error)
        metrics.WATCH_FRAMES.labels("answered").inc()
        metrics.WATCH_AGE_SECONDS.observe(running.fresh.passed_s)
        return FrameOutcome(running.frame.frame_id, result=result)
