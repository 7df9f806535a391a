"""One viewer on one platform, as a function of a seed and of the events so far."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from feed import FeedError
from feed.platforms import Platform
from feed.recommender import Recommender
from feed.videos import Video

MAX_DWELL_MS = 3_600_000


class Kind(StrEnum):
    """What a viewer does."""

    LIKE = "like"
    UNLIKE = "unlike"
    COMMENT = "comment"
    SHARE = "share"
    SWIPE = "swipe"
    """Leaves the video for the next one; has the time that it was watched."""


class Event(NamedTuple):
    """Something that a viewer did about the video at a position of the session."""

    step: int
    """Videos that the viewer had left before."""
    kind: Kind
    dwell_ms: int = 0
    """With `swipe`: milliseconds for which the video was watched."""


class Session:
    """What one viewer sees: no video twice before all were shown.

    Args:
        platform: whose recommender chooses.
        videos: what it chooses from, at least one.
        seed: the same seed and events give the same videos.
        ends_after: videos after which the feed ends; None for a feed without an end.
    """

    def __init__(self, platform: Platform, videos: Sequence[Video], seed: int, ends_after: int | None = None) -> None:
        if not videos:
            raise FeedError("there is no video to show")
        self.platform, self.seed, self.ends_after = platform, seed, ends_after
        self._videos = videos
        self._recommender = Recommender(platform, videos, seed)
        self._free = list(range(len(videos)))
        self.step = 0
        """Videos that the viewer has left."""
        self.shown: list[str] = []
        """Ids of all videos so far, the current one last."""
        self.liked = self.commented = self.shared = False
        self._next()

    @property
    def current(self) -> Video | None:
        """The video that is on; None at the end of the feed."""
        return None if self._position is None else self._videos[self._position]

    def react(self, event: Event) -> None:
        """What the viewer did.

        Raises:
            FeedError: the event is about another video than the current one, or its time is out of range.
        """
        video = self.current
        if video is None:
            raise FeedError(f"the feed ended after {self.ends_after} videos: start a new session")
        if event.step != self.step:
            raise FeedError(f"the event is for video {event.step}, but video {self.step} is shown")
        if not 0 <= event.dwell_ms <= MAX_DWELL_MS:
            raise FeedError(f"dwell_ms must be 0 to {MAX_DWELL_MS}")
        match event.kind:
            case Kind.LIKE:
                self.liked = True
            case Kind.UNLIKE:
                self.liked = False
            case Kind.COMMENT:
                self.commented = True
            case Kind.SHARE:
                self.shared = True
            case Kind.SWIPE:
                self._leave(video, event.dwell_ms / 1000)

    def _leave(self, video: Video, seconds: float) -> None:
        weights = self.platform.reward
        reward = weights.dwell * min(1.0, seconds / video.watched_s)
        reward += weights.like * self.liked + weights.comment * self.commented + weights.share * self.shared
        assert self._position is not None  # noqa: S101 - a video is on
        self._recommender.learn(self._position, min(1.0, reward))
        self.step += 1
        self.liked = self.commented = self.shared = False
        self._next()

    def _next(self) -> None:
        self._position: int | None = None
        if self.ends_after is not None and self.step >= self.ends_after:
            return
        if not self._free:
            last = self.shown[-1]
            self._free = [n for n, video in enumerate(self._videos) if video.id != last or len(self._videos) == 1]
        self._position = self._recommender.choose(self._free)
        self._free.remove(self._position)
        self.shown.append(self._videos[self._position].id)
