"""From what was seen and answered to an action. Pure and seeded: a record replays to the same actions."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal


class Screen(StrEnum):
    """What a screen shows."""

    VIDEO = "video"
    AD = "ad"
    LOGIN = "login"
    CHALLENGE = "challenge"
    LOADING = "loading"
    CONSENT = "consent"
    END = "end"


@dataclass(frozen=True)
class Observation:
    """What the policy decides by."""

    screen: Screen
    unchanged: bool
    """Whether the screen looks like that before the last swipe."""
    decision: Literal["stay", "swipe", "collect"] | None
    """What the judge's answer says; None where it can't be read, or nobody was asked."""


@dataclass(frozen=True)
class Action:
    """What the agent does."""

    kind: Literal["swipe", "wait", "reject", "stop"]
    """`swipe` watches for `dwell_ms`, likes if `like`, and goes on; `reject` refuses a consent dialog."""
    dwell_ms: int = 0
    like: bool = False
    by: Literal["wheel", "key", ""] = ""
    reason: str = ""
    """Why it stops; "end" where the feed has ended, as it may."""


@dataclass(frozen=True)
class Bounds:
    """Where it stops, and how long it watches."""

    seed: int = 0
    max_steps: int = 600
    max_waits: int = 20
    """Looks in a row at a screen that is loading."""
    max_unchanged: int = 3
    """Swipes in a row that change nothing."""
    max_unread: int = 10
    """Answers in a row that can't be read."""
    neutral: int = 0
    """Videos at the start that are watched alike, whatever is decided: the baseline of role-play."""
    videos: int = 0
    """Videos after which it is done; 0 for no such bound."""
    stay_ms: tuple[int, int] = (10_000, 12_000)
    """Range of the time with a video that it stays with."""
    swipe_ms: tuple[int, int] = (700, 1_300)
    """Range of the time with a video that it doesn't stay with."""
    neutral_ms: int = 3_500
    collect_ms: int = 300
    like_every: int = 3
    """Of the videos that it stays with, each this many gets a like; 0 for none."""


class Policy:
    """Decides step by step; the same observations give the same actions."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._steps = self._videos = self._stays = 0
        self._waits = self._unchanged = self._unread = self._rejects = 0

    @property
    def videos(self) -> int:
        """Videos so far."""
        return self._videos

    def act(self, seen: Observation) -> Action:
        """What to do now."""
        bounds = self._bounds
        self._steps += 1
        if self._steps > bounds.max_steps:
            return Action("stop", reason=f"{bounds.max_steps} steps, the most that are allowed")
        self._waits = self._waits + 1 if seen.screen is Screen.LOADING else 0
        match seen.screen:
            case Screen.LOGIN:
                return Action("stop", reason="a log-in wall: the agent never logs in")
            case Screen.CHALLENGE:
                return Action("stop", reason="a challenge for people: the agent never solves one")
            case Screen.END:
                return Action("stop", reason="end")
            case Screen.LOADING if self._waits > bounds.max_waits:
                return Action("stop", reason=f"still loading after {bounds.max_waits} looks")
            case Screen.LOADING:
                return Action("wait", dwell_ms=500)
            case Screen.CONSENT:
                self._rejects += 1
                if self._rejects > 1:
                    return Action("stop", reason="a consent dialog that can't be refused: the agent never accepts one")
                return Action("reject")
        self._rejects = 0
        self._unchanged = self._unchanged + 1 if seen.unchanged else 0
        if self._unchanged >= bounds.max_unchanged:
            return Action(
                "stop", reason=f"{bounds.max_unchanged} swipes changed nothing: the feed has ended or is stuck"
            )
        if seen.screen is Screen.AD:
            return Action("swipe", self._drawn(bounds.swipe_ms, "ad"), by=self._by())
        return self._watch(seen)

    def _watch(self, seen: Observation) -> Action:
        bounds = self._bounds
        if bounds.videos and self._videos >= bounds.videos:
            return Action("stop", reason="done")
        self._videos += 1
        self._unread = self._unread + 1 if seen.decision is None else 0
        if self._unread >= bounds.max_unread:
            return Action("stop", reason=f"{bounds.max_unread} answers of the model in a row can't be read")
        if seen.decision == "collect":
            return Action("swipe", bounds.collect_ms, by=self._by())
        if self._videos <= bounds.neutral:
            return Action("swipe", bounds.neutral_ms, by=self._by())
        if seen.decision == "stay":
            self._stays += 1
            like = bool(bounds.like_every) and self._stays % bounds.like_every == 0
            return Action("swipe", self._drawn(bounds.stay_ms, "stay"), like, self._by())
        return Action("swipe", self._drawn(bounds.swipe_ms, "swipe"), by=self._by())

    def _by(self) -> Literal["wheel", "key"]:
        return "wheel" if self._draw("by") % 2 else "key"

    def _drawn(self, bounds: tuple[int, int], what: str) -> int:
        low, high = bounds
        return low + self._draw(what) % (high - low + 1)

    def _draw(self, what: str) -> int:
        digest = hashlib.sha256(f"{self._bounds.seed}:{self._steps}:{what}".encode()).digest()
        return int.from_bytes(digest[:4])


def bounds_from(data: dict[str, Any]) -> Bounds:
    """Bounds as a record has them.

    Raises:
        TypeError: a name is unknown.
    """
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Bounds(**given)


def as_row(thing: Bounds | Observation | Action) -> dict[str, Any]:
    """As a record has it."""
    return asdict(thing)
