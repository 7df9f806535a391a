"""Which video comes next: a linear bandit of mabwiser (Strong et al. 2021, doi 10.1142/S0218213021500214)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from numpy.typing import NDArray

from feed.platforms import Platform
from feed.videos import Video

_SHOW = "show"
"""The one arm: what differs between videos is in their features, so that what is learned of one holds for all alike."""
_TAG_BUCKETS = 8
_ACCOUNT_BUCKETS = 4


class Recommender:
    """A platform's recommender for one viewer. The same seed and calls give the same videos.

    Args:
        platform: its documented reaction.
        videos: what it chooses from.
        seed: of the candidates that are drawn, and of Thompson's draws.
    """

    def __init__(self, platform: Platform, videos: Sequence[Video], seed: int) -> None:
        self._platform = platform
        self._features = features(platform, videos)
        likes = np.log1p([video.likes for video in videos])
        self._popularity = likes / likes.max() if likes.max() > 0 else likes
        self._draws = np.random.default_rng(seed)
        policy = (
            LearningPolicy.LinUCB(alpha=platform.exploration, l2_lambda=platform.inertia)
            if platform.policy == "lin-ucb"
            else LearningPolicy.LinTS(alpha=platform.exploration, l2_lambda=platform.inertia)
        )
        self._bandit = MAB([_SHOW], policy, seed=seed)
        # mabwiser wants to be fitted before it predicts: an empty video, which teaches nothing.
        self._bandit.fit([_SHOW], [0.0], np.zeros((1, self._features.shape[1])))

    def choose(self, free: Sequence[int]) -> int:
        """The position in `videos` of the next video, of those that are free.

        Args:
            free: positions, at least one.
        """
        count = min(self._platform.candidates, len(free))
        candidates = self._draws.choice(np.asarray(free), size=count, replace=False)
        told = self._bandit.predict_expectations(self._features[candidates])
        expected = np.array([one[_SHOW] for one in (told if isinstance(told, list) else [told])])
        score = expected + self._platform.popularity * self._popularity[candidates]
        return int(candidates[int(np.argmax(score))])

    def learn(self, position: int, reward: float) -> None:
        """A viewer has left a video.

        Args:
            position: of the video in `videos`.
            reward: 0 to 1.
        """
        self._bandit.partial_fit([_SHOW], [reward], self._features[position : position + 1])


def features(platform: Platform, videos: Sequence[Video]) -> NDArray[np.float64]:
    """What the platform's recommender sees. Shape (videos, features); each group of features has length 1 or 0.

    A group is a mean of one-hot vectors: topics have a place each, tags and accounts are hashed into few.
    """
    topics = sorted({topic for video in videos for topic in video.topics})
    rows = []
    for video in videos:
        row = [1.0]
        for feature in platform.features:
            if feature == "topics":
                row += _spread([topics.index(topic) for topic in video.topics], len(topics))
            elif feature == "tags":
                row += _spread([_bucket(tag, _TAG_BUCKETS) for tag in video.tags], _TAG_BUCKETS)
            elif feature == "account":
                row += _spread([_bucket(video.account, _ACCOUNT_BUCKETS)], _ACCOUNT_BUCKETS)
            else:
                row.append(min(1.0, math.log1p(video.length_s) / math.log(61)))
        rows.append(row)
    return np.array(rows)


def _spread(places: Sequence[int], width: int) -> list[float]:
    row = [0.0] * width
    for place in places:
        row[place] += 1 / len(places)
    return row


def _bucket(text: str, count: int) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % count
