"""Three platforms: how each recommender answers what a viewer does.

The numbers are authored, not measured on any company's service. They differ where platforms are said to differ: what
counts as a sign of interest, how fast a feed follows it, how much it explores, how much popularity counts.

A video's reward is, from 0 to 1,

    clip(dwell · min(1, seconds watched / length) + like · liked + comment · commented + share · shared)

and of `candidates` videos drawn at random that the viewer has not had, the next is the one with the highest

    expected(features) + popularity · (log likes, scaled to 0..1 over the library)

where `expected` is a linear bandit's upper confidence bound (LinUCB) or a draw from its posterior (Thompson).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Feature = Literal["topics", "tags", "account", "length"]


@dataclass(frozen=True)
class Reward:
    """What counts as interest."""

    dwell: float
    like: float
    comment: float
    share: float


@dataclass(frozen=True)
class Platform:
    """A look, and a recommender's documented reaction."""

    id: str
    name: str
    policy: Literal["lin-ucb", "thompson"]
    features: tuple[Feature, ...]
    """What the recommender sees of a video."""
    exploration: float
    """Alpha: width of the confidence bound, or scale of the posterior's standard deviation."""
    inertia: float
    """Lambda of the ridge regression: how many videos' worth of evidence the start (no interest in anything) weighs. A
    larger one learns more slowly."""
    popularity: float
    reward: Reward
    candidates: int
    """Videos that compete for the next place."""


PLATFORMS = {
    platform.id: platform
    for platform in (
        Platform(
            id="tiktok",
            name="TikTok's look",
            policy="lin-ucb",
            features=("topics", "length"),
            exploration=0.3,
            inertia=0.5,
            popularity=0.05,
            reward=Reward(dwell=0.8, like=0.2, comment=0.3, share=0.3),
            candidates=48,
        ),
        Platform(
            id="instagram",
            name="Instagram's look",
            policy="thompson",
            features=("topics", "account"),
            exploration=0.25,
            inertia=3.0,
            popularity=0.25,
            reward=Reward(dwell=0.4, like=0.6, comment=0.4, share=0.4),
            candidates=24,
        ),
        Platform(
            id="youtube",
            name="YouTube's look",
            policy="lin-ucb",
            features=("topics", "tags", "account"),
            exploration=0.5,
            inertia=1.5,
            popularity=0.15,
            reward=Reward(dwell=0.9, like=0.1, comment=0.1, share=0.1),
            candidates=16,
        ),
    )
}
"""By id, which is also the name under which pictures of it are indexed."""
