"""Runs what waits in a time of its own, which passes as soon as nothing else is to be done: seconds take no time, and a
busy machine changes nothing."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        ready = selector.select

        def select(timeout_s: float | None) -> Any:
            self._now_s += timeout_s or 0.0
            return ready(0)

        selector.select = select

    def time(self) -> float:
        return self._now_s


def run_in_virtual_time(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of some work that waits for timers alone, and for nothing outside of this process."""
    loop = _VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
