"""What a feed shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

STILL_S = 3.0
"""Nominal length of a video without one, such as a single picture, in seconds."""


@dataclass(frozen=True)
class Video:
    """One video. A recommender sees all of it but `values`."""

    id: str
    """Lower-case letters, digits and hyphens."""
    account: str
    caption: str
    tags: tuple[str, ...]
    """What it shows, in words, such as hashtags."""
    topics: tuple[str, ...]
    """Coarse groups of tags, as a platform's own classifier would give them."""
    likes: int
    """Likes of others, which stand for its popularity."""
    frames: int
    """Pictures that are played one after the other, at least 1."""
    length_s: float
    """Seconds of one round; 0 for a still picture, which counts as `STILL_S`."""
    values: tuple[str, ...] = ()
    """Values that it shows, the main one first: the truth that a persona decides by. Empty where nobody knows."""

    @property
    def watched_s(self) -> float:
        """Seconds that count as watched to the end."""
        return self.length_s or STILL_S


class FramePicture(NamedTuple):
    """An encoded picture."""

    data: bytes
    media_type: str


class Library(Protocol):
    """Videos that a feed chooses from."""

    @property
    def videos(self) -> Sequence[Video]:
        """All of them, in an order that stays the same."""

    def frame(self, video: Video, number: int) -> FramePicture:
        """Picture `number`, from 0, of a video."""

    def screenshot(self, video: Video, platform: str) -> bytes:
        """One picture that stands for the video as the platform shows it, for runs without a browser."""


def fingerprint(videos: Sequence[Video]) -> str:
    """SHA-256 over all that recommenders see, 16 hexadecimal digits: a run can be replayed on the same videos only."""
    digest = hashlib.sha256()
    for video in videos:
        digest.update(repr(sorted(asdict(video).items())).encode())
    return digest.hexdigest()[:16]
