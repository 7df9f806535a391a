"""What to do about a video: collect it, or as a persona stay or swipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import axia


class Judged(NamedTuple):
    """An answer about one screenshot."""

    decision: Literal["stay", "swipe", "collect"] | None
    """None where it can't be read."""
    text: str = ""
    """What the model said."""
    error: str = ""
    """Why there is no decision."""


class Judge(Protocol):
    """Decides about a screenshot."""

    def question(self) -> dict[str, Any]:
        """What is asked, for the record."""

    def ask(self, picture: bytes) -> Judged:
        """The answer about a screenshot."""


class Collects:
    """Keeps every video, and asks nobody."""

    def question(self) -> dict[str, Any]:
        """Nothing is asked."""
        return {"strategy": "collect"}

    def ask(self, picture: bytes) -> Judged:
        """Always the same."""
        return Judged("collect")


class AsPersona:
    """Asks a model behind the gateway whether a persona stays (arXiv 2411.11479).

    Args:
        client: of the gateway.
        traits: sentences about the persona.
        strategy: ``simple`` or ``isq``.
        model: that is asked; None for the gateway's first.
        seed: the same seed gives the same questions.
    """

    def __init__(
        self,
        client: axia.Client,
        traits: Sequence[str],
        strategy: Literal["simple", "isq"] = "simple",
        model: str | None = None,
        seed: int = 0,
    ) -> None:
        self._client, self._traits, self._strategy, self._model, self._seed = client, traits, strategy, model, seed
        self._asked: dict[str, Any] = {}

    def question(self) -> dict[str, Any]:
        """Strategy, traits and seed, and what the first answer says of model and prompt."""
        return {"strategy": self._strategy, "traits": list(self._traits), "seed": self._seed, **self._asked}

    def ask(self, picture: bytes) -> Judged:
        """What the model says.

        Raises:
            axia.AxiaError: it can't be asked.
        """
        result = self._client.judge_interest(
            [picture], self._traits, strategy=self._strategy, model=self._model, temperature=0.0, seed=self._seed
        )
        self._asked = {
            "model": result.model.name,
            "revision": result.model.revision,
            "prompt": result.prompt.model_dump(mode="json"),
        }
        judgement = result.judgements[0]
        return Judged(judgement.decision, judgement.text, judgement.error.message if judgement.error else "")
