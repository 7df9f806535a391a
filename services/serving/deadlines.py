"""Deadlines: how long something may still take."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from google.protobuf.message import Message

from services.serving.limits import TOLD_TOO_LATE

Clock = Callable[[], float]
"""Seconds, from any start."""

DefaultT = TypeVar("DefaultT", bound=float | None)

_LEAST_BYTES_PER_S = 8192
_LEAST_S = 0.001
"""Time that a call gets at least: gRPC and timers take none of 0 seconds."""


class Deadline:
    """A point in time some seconds from now.

    Args:
        timeout_s: Seconds from now.
        clock: The event loop's unless a test sets another.
    """

    def __init__(self, timeout_s: float, clock: Clock | None = None) -> None:
        self.timeout_s = timeout_s
        self._clock = clock or asyncio.get_running_loop().time
        self._began = self._clock()

    @property
    def passed_s(self) -> float:
        """Seconds since it was set."""
        return self._clock() - self._began

    @property
    def left_s(self) -> float:
        """Seconds until then; negative once it is over."""
        return self._began + self.timeout_s - self._clock()

    @property
    def over(self) -> bool:
        """Whether that point in time has come."""
        return self.left_s <= 0

    def wait_s(self, most_s: float | None = None) -> float:
        """Seconds to wait until then, never negative, and at most as many as are given."""
        left_s = max(self.left_s, 0.0)
        return left_s if most_s is None else min(most_s, left_s)

    def call_s(self, most_s: float | None = None) -> float:
        """Seconds for a call that has to end by then: always a few, and at most as many as are given."""
        left_s = self.left_s if most_s is None else min(most_s, self.left_s)
        return max(left_s, _LEAST_S)


answer_deadline: ContextVar[Deadline | None] = ContextVar("answer_deadline", default=None)
"""Until when the current call has to be answered, so that its caller hears of it in time; None if there is no limit."""

_ANSWER_SHARE, _MOST_ANSWER_S = 0.1, 0.15
_HOPS = 2
"""Each may tell the deadline too late: from the caller to the gateway, and from there on."""


@contextmanager
def answering_within(time_remaining_s: float | None) -> Iterator[None]:
    """Sets `answer_deadline` for what is done in the context.

    Args:
        time_remaining_s: Until the caller's deadline, as gRPC tells it; None if there is none.
    """
    deadline = None
    if time_remaining_s is not None:
        back_s = min(_MOST_ANSWER_S, _ANSWER_SHARE * time_remaining_s) + _HOPS * TOLD_TOO_LATE * time_remaining_s
        deadline = Deadline(max(time_remaining_s - back_s, 0.0))
    token = answer_deadline.set(deadline)
    try:
        yield
    finally:
        answer_deadline.reset(token)


class Taken:
    """Ends a task whose message isn't taken: it waits until there is room for it, however long that is.

    Args:
        message: What is sent, or its bytes.
        slow_s: Seconds for it, beside those that its bytes need at the least rate.
        told: Called when the task is ended.
    """

    def __init__(self, message: Message | bytes, slow_s: float, told: Callable[[], None]) -> None:
        self._message = message
        self._slow_s = slow_s
        self._told = told
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(slow_s, self._look)

    def _look(self) -> None:
        size = self._message.ByteSize() if isinstance(self._message, Message) else len(self._message)
        until = self._began + self._slow_s + size / _LEAST_BYTES_PER_S
        if self._loop.time() < until:
            self._timer = self._loop.call_at(until, self._look)
        elif self._task is not None and not self._task.done():
            self._told()
            self._task.cancel()

    def done(self) -> None:
        """Says that it was taken, or is given up."""
        self._timer.cancel()


def time_for_call(time_remaining_s: float | None, default_s: DefaultT) -> float | DefaultT:
    """Seconds for a call: until the caller's deadline as gRPC tells it, or the default where there is none."""
    return default_s if time_remaining_s is None else time_remaining_s
