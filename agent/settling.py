"""When a swipe's transition is over: as soon as the screen stands still, at the latest after a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.hashing import alike, perceptual_hash

BOUND_S = 0.6
"""Real time that a transition is given at most, also in virtual time."""


def settled(
    before: bytes,
    capture: Callable[[], bytes | None],
    *,
    bound_s: float = BOUND_S,
    clock: Callable[[], float] = time.monotonic,
) -> bytes | None:
    """The first screenshot after a swipe on which the screen stands still.

    It stands still if it doesn't look as before the swipe, and has the same perceptual hash as the screen that was
    captured before it. A screen as before the swipe may be one in which the transition has not begun, so it is given
    the whole time.

    Args:
        before: the screenshot before the swipe, JPEG.
        capture: takes a screenshot, at least a frame after the last one; None while the page is loading.
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
        shape = perceptual_hash(screen)
        if shape == last and not alike(start, shape):
            return screen
        last = shape
    return None
