"""When a swipe's transition is over."""

import pytest

from agent.settling import settled
from tests.support.pictures import photograph


class Frames:
    """Screenshots in turn, a tenth of a second each; the last one stays."""

    def __init__(self, *screens: bytes | None) -> None:
        self._screens, self.taken, self.now = screens, 0, 0.0

    def __call__(self) -> bytes | None:
        screen = self._screens[min(self.taken, len(self._screens) - 1)]
        self.taken += 1
        self.now += 0.1
        return screen

    def clock(self) -> float:
        return self.now


OLD, MOVING, NEW, ALIKE = (photograph(seed) for seed in (1, 2, 3, 3))


def wait(*screens: bytes | None) -> tuple[bytes | None, int]:
    frames = Frames(*screens)
    return settled(OLD, frames, clock=frames.clock), frames.taken


def test_it_takes_the_first_of_two_equal_screens_after_the_transition() -> None:
    assert wait(OLD, MOVING, NEW, ALIKE) == (ALIKE, 4)


@pytest.mark.parametrize("last", [OLD, None])
def test_the_bound_ends_what_never_stands_still(last: bytes | None) -> None:
    assert wait(last) == (None, 6)


def test_a_video_that_moves_on_and_on_ends_at_the_bound() -> None:
    assert wait(*(photograph(seed) for seed in range(2, 12))) == (None, 6)


def test_what_came_before_the_page_was_done_does_not_count() -> None:
    assert wait(NEW, None, NEW, NEW) == (NEW, 4)
