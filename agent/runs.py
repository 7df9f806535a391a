"""One visit of a feed, from the browser's start to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent import AgentError, Stopped
from agent.browser import BEGINNING, LOCALE, TIMEZONE, VIEWPORT, Browser, Gone
from agent.chromium import find_chromium
from agent.judges import Judge
from agent.manners import USER_AGENT, Manners, Pace
from agent.policy import Bounds, Policy
from agent.record import NAME, Record
from agent.watching import Ended, Eyes, Kept, header, watch

_BROWSERS = 6
"""Browsers of one visit at most: one that ends is replaced."""


@dataclass(frozen=True)
class Visit:
    """Which feed is visited, and how."""

    url: str
    folder: Path
    """Takes the record and the screenshots."""
    run: str
    bounds: Bounds
    manners: Manners
    chromium: Path | None = None
    """Chromium's program; None for the system's."""
    virtual_time: bool = True
    max_seconds: float | None = None


def visit(
    wanted: Visit, judge: Judge, *, eyes: Eyes | None = None, keep: Callable[[Kept], bool] | None = None
) -> Ended:
    """Watches until the end, or until the page stops the agent.

    Where a collection's browser ends, another one goes on. Role-play can't go on: the feed's session is gone with it.

    Raises:
        AgentError: the visit may not begin, or browsers end again and again.
        axia.AxiaError: a model can't be asked.
    """
    wanted.manners.check(wanted.url)
    chromium = find_chromium(wanted.chromium)
    for attempt in range(_BROWSERS):
        about = header(
            wanted.run, wanted.url, wanted.bounds, question=judge.question(), user_agent=USER_AGENT,
            viewport=list(VIEWPORT), locale=LOCALE, timezone=TIMEZONE, motion="reduce",
            clock=BEGINNING if wanted.virtual_time else "real", hosts=list(wanted.manners.hosts),
        )  # fmt: skip
        first = _steps(wanted.folder)
        with Record(wanted.folder, about) as record:
            try:
                with Browser(wanted.manners, chromium, virtual_time=wanted.virtual_time) as browser:
                    browser.open(wanted.url)
                    ended = watch(
                        browser,
                        Policy(wanted.bounds),
                        judge,
                        record,
                        eyes=eyes,
                        pace=Pace(max(wanted.manners.pause_s, browser.crawl_delay_s)),
                        keep=keep,
                        first_step=first,
                        max_seconds=wanted.max_seconds,
                    )
            except Stopped as stopped:  # before anything was watched
                ended = Ended(str(stopped), (), {})
            except Gone as gone:
                record.note({"ended": str(gone)})
                if keep is None:
                    raise AgentError(f"{gone}: begin again") from gone
                if attempt == _BROWSERS - 1:
                    raise AgentError(
                        f"{gone}, for the {_BROWSERS}th time: run the same command again to continue"
                    ) from gone
                continue
            record.note({"ended": ended.reason})
        return ended
    raise AssertionError("the last attempt returns or raises")


def _steps(folder: Path) -> int:
    """Steps that a folder's record has, roughly: only for the names of screenshots."""
    try:
        with (folder / NAME).open("rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0
