"""What a platform's recommender really does for a persona: many sessions of a viewer who decides by the truth.

No model takes part. Each session has a seed of its own, so the spread between sessions is that of the recommender's
draws, and one more session of 50 videos a phase is as likely to fall on any side of them as they are themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from axia.results.scoring import Interval
from feed import FeedError
from feed.personas import Persona
from feed.platforms import Platform
from feed.role_play import PHASE, play, seed_of
from feed.session import Session
from feed.videos import Video
from feed.viewers import ByTruth

SESSIONS = 79
"""By default: the prediction interval then leaves one session out on each side."""
MIN_SESSIONS = 39
"""Fewer give no 95% prediction interval without an assumption about the distribution."""
_TAIL = 0.025
_ROUNDING = 1e-9
"""I is a quotient of counts, so many sessions have the same one, up to the rounding of floats."""


class Effect(NamedTuple):
    """The known I_avg of one persona on one platform."""

    persona: str
    platform: str
    sessions: int
    undefined: int
    """Sessions whose share before was 0, which have no I."""
    before: float
    after: float
    """Mean shares of yes, 0 to 1."""
    change: float
    """Mean I, in percent."""
    interval: Interval
    """95% bootstrap interval of the mean I over sessions (10,000 resamples)."""
    prediction: Interval
    """Where the I of one more session falls with 95%."""

    def expects(self, change: float) -> bool:
        """Whether an I, in percent, is where one more session falls with 95%; the ends belong to it."""
        return self.prediction.low - _ROUNDING <= change <= self.prediction.high + _ROUNDING


def known_effect(
    persona: Persona,
    platform: Platform,
    videos: Sequence[Video],
    *,
    sessions: int = SESSIONS,
    phase: int = PHASE,
    seed: int = 0,
) -> Effect:
    """Plays sessions and measures each.

    Raises:
        FeedError: the persona has no weights, a video no values, there are too few sessions, or the persona finds
            nothing in the baseline so often that I says nothing.
    """
    if sessions < MIN_SESSIONS:
        raise FeedError(f"{sessions} sessions are too few for a 95% prediction interval: give at least {MIN_SESSIONS}")
    if without := next((video.id for video in videos if not video.values), None):
        raise FeedError(f"video {without} has no values, so the truth of a persona can't be computed: add values to it")
    runs = [
        play(
            Session(platform, videos, seed_of("truth", seed, persona.id, platform.id, number)),
            ByTruth(persona),
            phase=phase,
        )
        for number in range(sessions)
    ]
    changes = [run.change for run in runs if run.change is not None]
    if len(changes) < MIN_SESSIONS:
        raise FeedError(
            f"{persona.id} on {platform.id}: I is defined in only {len(changes)} of {sessions} sessions, because the "
            "persona likes no videos of the baseline, or all of them: use other videos, a longer --phase or more "
            "--sessions"
        )
    return Effect(
        persona.id,
        platform.id,
        sessions,
        sessions - len(changes),
        float(np.mean([run.before for run in runs])),
        float(np.mean([run.after for run in runs])),
        float(np.mean(changes)),
        _bootstrap(changes, seed),
        prediction_interval(changes),
    )


def known_effects(
    personas: Sequence[Persona],
    platforms: Sequence[Platform],
    videos: Sequence[Video],
    *,
    sessions: int = SESSIONS,
    phase: int = PHASE,
    seed: int = 0,
    processes: int = 1,
) -> list[Effect]:
    """`known_effect` of each persona on each platform, in several processes if asked."""
    cells = [(persona, platform) for persona in personas for platform in platforms]
    if processes == 1:
        return [
            known_effect(persona, platform, videos, sessions=sessions, phase=phase, seed=seed)
            for persona, platform in cells
        ]
    with ProcessPoolExecutor(processes) as pool:
        futures = [
            pool.submit(known_effect, persona, platform, videos, sessions=sessions, phase=phase, seed=seed)
            for persona, platform in cells
        ]
        return [future.result() for future in futures]


def prediction_interval(changes: Sequence[float]) -> Interval:
    """Where one more draw falls with 95%, by order statistics: no distribution is assumed.

    Of n + 1 exchangeable draws the last is below the k-th smallest of the others with probability k / (n + 1) at most.
    """
    ordered = sorted(changes)
    k = math.floor((len(ordered) + 1) * _TAIL)
    return Interval(low=ordered[k - 1], high=ordered[-k], level=1 - 2 * _TAIL, method="order-statistics")


def _bootstrap(changes: Sequence[float], seed: int) -> Interval:
    draws = np.random.default_rng(seed).choice(np.asarray(changes), size=(10_000, len(changes))).mean(axis=1)
    low, high = np.quantile(draws, [_TAIL, 1 - _TAIL])
    return Interval(low=float(low), high=float(high), level=1 - 2 * _TAIL, method="bootstrap")
