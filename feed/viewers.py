"""Who watches: decides video by video whether to stay."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import axia
from demo.world.personas import Persona as DemoPersona
from demo.world.truth import interested
from feed.personas import Persona
from feed.videos import Library, Video


class Viewer(Protocol):
    """Decides for a persona."""

    def stays(self, video: Video, step: int) -> bool | None:
        """Whether the persona stays with a video.

        Args:
            video: what is on.
            step: videos before it.

        Returns:
            None where no decision can be read from a model's answer.
        """


class ByTruth:
    """Decides by the documented truth: the questionnaire that the persona's weights give (demo/world/truth.py)."""

    def __init__(self, persona: Persona) -> None:
        self._truth = truth_of(persona)

    def stays(self, video: Video, step: int) -> bool:
        """As the weights say."""
        return interested(self._truth, video.values)


class ByChance:
    """Stays with every other video on average, whatever it shows."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def stays(self, video: Video, step: int) -> bool:
        """By the hash of the seed, the video and its place."""
        return hashlib.sha256(f"{self._seed}:{step}:{video.id}".encode()).digest()[0] % 2 == 0


class Always:
    """Says the same of every video."""

    def __init__(self, answer: bool) -> None:
        self._answer = answer

    def stays(self, video: Video, step: int) -> bool:
        """The same as before."""
        return self._answer


class ByModel:
    """Asks a model behind a gateway, with the picture of the video under the platform's look.

    Each video is asked about once: the persona's opinion of it stays the same (temperature 0).
    """

    def __init__(
        self,
        client: axia.Client,
        library: Library,
        persona: Persona,
        platform: str,
        *,
        strategy: Literal["simple", "isq"] = "simple",
        model: str | None = None,
        seed: int = 0,
        known: dict[str, bool | None] | None = None,
    ) -> None:
        self._client, self._library, self._traits, self._platform = client, library, persona.traits, platform
        self._strategy, self._model, self._seed = strategy, model, seed
        self._known: dict[str, bool | None] = {} if known is None else known

    def stays(self, video: Video, step: int) -> bool | None:
        """What the model's answer says.

        Raises:
            axia.AxiaError: the model can't be asked.
        """
        if video.id not in self._known:
            self._known[video.id] = self._ask(video)
        return self._known[video.id]

    def _ask(self, video: Video) -> bool | None:
        judged = self._client.judge_interest(
            [self._library.screenshot(video, self._platform)],
            self._traits,
            strategy=self._strategy,
            model=self._model,
            temperature=0.0,
            seed=self._seed,
        ).judgements[0]
        return None if judged.decision is None else judged.decision == "stay"


def truth_of(persona: Persona) -> DemoPersona:
    """The persona as the demo world's truth takes it.

    Raises:
        FeedError: it has no weights.
    """
    weights: Mapping[str, int] = persona.needed_weights()
    traits: Sequence[str] = persona.traits
    return DemoPersona(persona.id, persona.id, "", tuple(traits), (), dict(weights))
