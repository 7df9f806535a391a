"""The loop: look, ask, act, note."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol

from agent import Stopped
from agent.hashing import alike, perceptual_hash
from agent.judges import Judge, Judged
from agent.manners import Pace
from agent.policy import Action, Bounds, Observation, Policy, Screen, as_row
from agent.record import Record
from agent.screens import Signs, by_signs, read_screen


class Seeing(Protocol):
    """A screen as the loop needs it; `agent.browser.Look` is one."""

    @property
    def picture(self) -> bytes:
        """JPEG."""

    @property
    def url(self) -> str:
        """Address of the page."""

    @property
    def signs(self) -> Signs:
        """What the page says."""

    @property
    def events(self) -> tuple[str, ...]:
        """What happened since the last look."""


class Screens(Protocol):
    """A browser as the loop needs it; `agent.browser.Browser` is one."""

    def look(self) -> Seeing:
        """What is on the screen."""

    def dwell(self, milliseconds: int) -> None:
        """Watches."""

    def wait(self, milliseconds: int) -> None:
        """Waits in real time."""

    def swipe(self, by: Literal["wheel", "key"]) -> None:
        """Goes on."""

    def like(self) -> None:
        """Likes."""

    def reject(self) -> None:
        """Refuses a consent dialog."""


class Eyes(Protocol):
    """Names what a screen shows; `agent.screens.ModelEyes` is one."""

    def ask(self, picture: bytes) -> str:
        """A model's words."""


class Kept(NamedTuple):
    """A video's screenshot, for who collects them."""

    picture: bytes
    perceptual_hash: int
    path: str
    url: str
    at: datetime


class Ended(NamedTuple):
    """How a run ended."""

    reason: str
    """"end" and "done" are what is wanted; another is what stopped it."""
    answers: tuple[bool | None, ...]
    """For each video whether it stayed; None where no decision could be read."""
    seconds: dict[str, float]
    """Time by stage: look, ask, act, keep."""


def watch(
    browser: Screens,
    policy: Policy,
    judge: Judge,
    record: Record,
    *,
    eyes: Eyes | None = None,
    pace: Pace | None = None,
    keep: Callable[[Kept], bool] | None = None,
    first_step: int = 0,
    max_seconds: float | None = None,
) -> Ended:
    """Watches until the policy stops.

    Args:
        browser: is at the feed.
        policy: new; its bounds are in the record's header.
        judge: is asked about each video.
        record: takes every step.
        eyes: a model that is asked what a screen shows, where the page's own signs say nothing.
        pace: least time between two swipes.
        keep: takes each video's screenshot, and says whether it wants more.
        first_step: number of the first step, where a run goes on.
        max_seconds: real time after which it stops.

    Raises:
        Gone: the browser has ended.
        axia.AxiaError: a model can't be asked.
    """
    answers: list[bool | None] = []
    spent = dict.fromkeys(("look", "ask", "act", "keep"), 0.0)
    try:
        reason = _until_the_end(
            browser, policy, judge, record, answers, spent,
            eyes=eyes, pace=pace, keep=keep, first_step=first_step, max_seconds=max_seconds,
        )  # fmt: skip
    except Stopped as stopped:
        reason = str(stopped)
    return Ended(reason, tuple(answers), spent)


def _until_the_end(
    browser: Screens,
    policy: Policy,
    judge: Judge,
    record: Record,
    answers: list[bool | None],
    spent: dict[str, float],
    *,
    eyes: Eyes | None,
    pace: Pace | None,
    keep: Callable[[Kept], bool] | None,
    first_step: int,
    max_seconds: float | None,
) -> str:
    """Adds to answers and times until it ends; why it did."""
    before: int | None = None
    step = first_step
    began = time.monotonic()
    while True:
        times = _Times()
        look, shape = _look(browser, before)
        now = datetime.now(UTC)
        times.end("look")
        screen, screen_answer = _screen(look, eyes)
        judged = judge.ask(look.picture) if screen is Screen.VIDEO else Judged(None)
        times.end("ask")
        seen = Observation(screen, before is not None and alike(before, shape), judged.decision)
        action = policy.act(seen)
        if max_seconds is not None and time.monotonic() - began > max_seconds:
            # Not the policy's: time isn't replayed, so the step isn't noted.
            return f"{max_seconds:g} s, the most that are allowed"
        name = f"{step:05}-{now:%H%M%S%f}.jpg"
        path = record.keep(name, look.picture)
        wants_more = True
        if screen is Screen.VIDEO and action.kind == "swipe":
            answers.append({"stay": True, "swipe": False}.get(judged.decision or ""))
            if keep is not None:
                wants_more = keep(Kept(look.picture, shape, path, look.url, now))
        times.end("keep")
        _act(browser, action, pace)
        times.end("act")
        record.note(_row(step, now, path, look, seen, judge.question(), judged, screen_answer, action, times.seconds))
        for stage, seconds in times.seconds.items():
            spent[stage] += seconds
        if action.kind == "stop":
            return action.reason
        if not wants_more:
            return "done"
        before = shape if action.kind == "swipe" else before
        step += 1


def _look(browser: Screens, before: int | None) -> tuple[Seeing, int]:
    """The screen, and its perceptual hash. One that looks as before the swipe gets a while: the page may be slow."""
    for pause in (200, 400, 800, 1600, None):
        look = browser.look()
        shape = perceptual_hash(look.picture)
        if pause is None or before is None or not alike(before, shape) or by_signs(look.signs) is not Screen.VIDEO:
            break
        browser.wait(pause)
    return look, shape


class _Times:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now


def _screen(look: Seeing, eyes: Eyes | None) -> tuple[Screen, str]:
    screen = by_signs(look.signs)
    if screen is not Screen.VIDEO or eyes is None:
        return screen, ""
    said = eyes.ask(look.picture)
    return read_screen(said) or Screen.VIDEO, said


def _act(browser: Screens, action: Action, pace: Pace | None) -> None:
    match action.kind:
        case "wait":
            browser.wait(action.dwell_ms)
        case "reject":
            browser.reject()
        case "swipe":
            browser.dwell(action.dwell_ms)
            if action.like:
                browser.like()
            if pace is not None:
                pace.wait()
            browser.swipe(action.by or "key")


def _row(
    step: int,
    at: datetime,
    path: str,
    look: Seeing,
    seen: Observation,
    question: dict[str, Any],
    judged: Judged,
    screen_answer: str,
    action: Action,
    seconds: dict[str, float],
) -> dict[str, Any]:
    return {
        "step": step, "at": at.isoformat(timespec="milliseconds"), "screenshot": path,
        "sha256": hashlib.sha256(look.picture).hexdigest(), "url": look.url, "signs": asdict(look.signs),
        "seen": as_row(seen), "question": question, "answer": judged.text, "error": judged.error,
        "screen_answer": screen_answer, "action": as_row(action), "seconds": seconds, "events": list(look.events),
    }  # fmt: skip


def header(run_id: str, url: str, bounds: Bounds, **more: Any) -> dict[str, Any]:
    """The first line of a record."""
    from axia.version import __version__

    return {"id": run_id, "url": url, "bounds": as_row(bounds), "axia_version": __version__, **more}
