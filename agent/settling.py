"""When a swipe's transition is over: as soon as the screen stands still, at the latest after a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from agent.hashing import alike, perceptual_hash

BOUND_S = 0.6
"""Real time that a transition is given at most, also in virtual time."""


class Captured(Protocol):
    """A screen; `agent.browser.Look` is one."""

    @property
    def picture(self) -> bytes:
        """JPEG."""


_Screen = TypeVar("_Screen", bound=Captured)


def settled(
    before: bytes,
    capture: Callable[[], _Screen | None],
    *,
    bound_s: float = BOUND_S,
    clock: Callable[[], float] = time.monotonic,
) -> _Screen | None:
    """The first screen after a swipe that stands still.

    It stands still if it doesn't look as before the swipe, and has the same perceptual hash as the screen that was
    captured before it. A screen as before the swipe may be one in which the transition has not begun, so it is given
    the whole time.

    Args:
        before: the screen before the swipe, JPEG.
        capture: takes a screen, at least one frame after the last; None while there is none, as during a navigation.
        bound_s: real time after which it ends, in seconds.
        clock: seconds.

    Returns:
        None if nothing stood still within the bound.
    """
    until = clock() + bound_s
    start, last = perceptual_hash(before), None
    while clock() < until:
        screen = capture()
        if screen is None:
            last = None
            continue
        shape = perceptual_hash(screen.picture)
        if shape == last and not alike(start, shape):
            return screen
        last = shape
    return None
