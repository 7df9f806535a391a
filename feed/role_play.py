"""Role-play on a feed in virtual time: what a persona is shown before and after it taught the recommender.

The source measures "before against after" over 50 videos (arXiv 2411.11479). Where it is silent, the choice is ours:

    baseline    50 videos, each watched for half its length whatever the persona thinks: before = share of yes
    persona     50 videos, watched to the end where the persona stays, left after a second where it doesn't
    after       50 videos, watched in the same way: after = share of yes

A persona that stays gives every third such video a like. I = 100 (after - before) / before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from feed import FeedError
from feed.session import Event, Kind, Session
from feed.viewers import Viewer

PHASE = 50
"""Videos of a phase, as in the source."""


@dataclass(frozen=True)
class Manner:
    """How a viewer behaves."""

    neutral_share: float = 0.5
    """Part of a video that is watched in the baseline."""
    left_after_s: float = 1.0
    """Seconds after which a video is left that the persona doesn't like."""
    like_every: int = 3
    """Of the videos that the persona stays with, each this many gets a like; 0 for none."""


class Seen(NamedTuple):
    """One video of a run."""

    video: str
    stay: bool | None
    """The answer; None where none could be read, which counts as leaving."""


@dataclass(frozen=True)
class Run:
    """One persona on one platform."""

    seen: tuple[Seen, ...]
    """All videos of the three phases."""
    phase: int
    """Videos of each."""

    @property
    def before(self) -> float | None:
        """Share of yes among the answers of the baseline, 0 to 1; None without an answer."""
        return _share(self.seen[: self.phase])

    @property
    def after(self) -> float | None:
        """Share of yes among the answers of the last phase, 0 to 1; None without an answer."""
        return _share(self.seen[2 * self.phase :])

    @property
    def undecided(self) -> int:
        """Videos without an answer."""
        return sum(one.stay is None for one in self.seen)

    @property
    def not_measurable(self) -> str:
        """Why the run says nothing of the recommender; empty where it does."""
        answers = {one.stay for one in self.seen} - {None}
        if self.before is None or self.after is None:
            return "no answer could be read in a phase"
        if len(answers) == 1:
            return f"every answer was {'yes' if answers.pop() else 'no'}"
        return ""

    @property
    def change(self) -> float | None:
        """I = 100 (after - before) / before, in percent; None where it can't be measured or `before` is 0."""
        if self.not_measurable or not self.before or self.after is None:
            return None
        return 100 * (self.after - self.before) / self.before


def play(session: Session, viewer: Viewer, *, phase: int = PHASE, manner: Manner | None = None) -> Run:
    """Watches three phases of a new session.

    Raises:
        FeedError: the feed ends before the last phase does.
    """
    manner = manner or Manner()
    seen: list[Seen] = []
    stays = 0
    for step in range(3 * phase):
        video = session.current
        if video is None:
            raise FeedError(
                f"the feed ended after {step} videos, but three phases of {phase} need {3 * phase}: "
                f"use a feed without an end, or --phase {step // 3}"
                if step >= 3  # noqa: PLR2004 - a video for each phase
                else f"the feed ended after {step} videos: role-play needs at least 3"
            )
        stay = viewer.stays(video, step)
        seen.append(Seen(video.id, stay))
        if step < phase:
            seconds = manner.neutral_share * video.watched_s
        elif stay:
            stays += 1
            if manner.like_every and stays % manner.like_every == 0:
                session.react(Event(session.step, Kind.LIKE))
            seconds = video.watched_s
        else:
            seconds = min(manner.left_after_s, video.watched_s)
        session.react(Event(session.step, Kind.SWIPE, round(1000 * seconds)))
    return Run(tuple(seen), phase)


def seed_of(*parts: object) -> int:
    """A seed of 31 bits that follows from the parts."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:4]) >> 1


def agreement(run: Run, truth: Sequence[bool]) -> float | None:
    """Share of the answers that are what the truth says of the same videos; None without an answer."""
    decided = [one.stay == right for one, right in zip(run.seen, truth, strict=True) if one.stay is not None]
    return sum(decided) / len(decided) if decided else None


def _share(seen: Sequence[Seen]) -> float | None:
    answers = [one.stay for one in seen if one.stay is not None]
    return sum(answers) / len(answers) if answers else None
