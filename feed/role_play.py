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
from feed.videos import Video
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


class Playing:
    """A run video by video, for who decides about several videos at once, or waits for answers meanwhile.

    The baseline is over when this is made: it is watched in the same way whatever the persona thinks.

    Args:
        session: new.
        phase: videos of each phase.
        manner: how the viewer behaves; None for the source's phases as this module documents them.

    Raises:
        FeedError: the feed ends before the baseline does.
    """

    def __init__(self, session: Session, *, phase: int = PHASE, manner: Manner | None = None) -> None:
        self._session, self._phase, self._manner = session, phase, manner or Manner()
        self._seen: list[Seen] = []
        self._stays = 0
        baseline = []
        for _ in range(phase):
            video = self._on()
            baseline.append(video)
            self._leave(self._manner.neutral_share * video.watched_s)
        self.baseline = tuple(baseline)
        """Videos of the first phase, about which the persona is still to be asked."""

    @property
    def video(self) -> Video | None:
        """The video that the persona decides about now; None at the run's end.

        Raises:
            FeedError: the feed ends before the last phase does.
        """
        return None if len(self._seen) == 2 * self._phase else self._on()

    @property
    def step(self) -> int:
        """Videos before it."""
        return self._session.step

    def watch(self, stay: bool | None) -> None:
        """Watches the video to the end, or leaves it; None, where no decision can be read, leaves it."""
        video = self._on()
        self._seen.append(Seen(video.id, stay))
        seconds = min(self._manner.left_after_s, video.watched_s)
        if stay:
            self._stays += 1
            if self._manner.like_every and self._stays % self._manner.like_every == 0:
                self._session.react(Event(self._session.step, Kind.LIKE))
            seconds = video.watched_s
        self._leave(seconds)

    def run(self, baseline: Sequence[bool | None]) -> Run:
        """The whole run.

        Args:
            baseline: what the persona thinks of each video of the baseline.
        """
        before = [Seen(video.id, stay) for video, stay in zip(self.baseline, baseline, strict=True)]
        return Run((*before, *self._seen), self._phase)

    def _on(self) -> Video:
        if (video := self._session.current) is not None:
            return video
        step, phase = self._session.step, self._phase
        raise FeedError(
            f"the feed ended after {step} videos, but three phases of {phase} need {3 * phase}: "
            f"use a feed without an end, or --phase {step // 3}"
            if step >= 3  # noqa: PLR2004 - a video for each phase
            else f"the feed ended after {step} videos: role-play needs at least 3"
        )

    def _leave(self, seconds: float) -> None:
        self._session.react(Event(self._session.step, Kind.SWIPE, round(1000 * seconds)))


def play(session: Session, viewer: Viewer, *, phase: int = PHASE, manner: Manner | None = None) -> Run:
    """Watches three phases of a new session.

    Raises:
        FeedError: the feed ends before the last phase does.
    """
    playing = Playing(session, phase=phase, manner=manner)
    before = [viewer.stays(video, step) for step, video in enumerate(playing.baseline)]
    while (video := playing.video) is not None:
        playing.watch(viewer.stays(video, playing.step))
    return playing.run(before)


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
