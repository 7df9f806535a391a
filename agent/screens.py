"""What a screen shows: by the page's own signs always, and by asking a model where that is wanted.

The signs that stop the agent (a field for a password, a challenge for people) are read from the page, not from a
model, because a model's mistake must not lead the agent past them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import axia
from agent.policy import Screen

PROMPT = (
    "This is a screenshot of a short-video app. What does it show? Answer with one word: video, ad, login, challenge, "
    "loading, consent or end."
)
"""Ours; sent through the gateway with the screenshot alone."""
_WORDS = {
    "ad": Screen.AD, "advertisement": Screen.AD, "sponsored": Screen.AD, "login": Screen.LOGIN,
    "challenge": Screen.CHALLENGE, "captcha": Screen.CHALLENGE, "loading": Screen.LOADING, "spinner": Screen.LOADING,
    "consent": Screen.CONSENT, "cookies": Screen.CONSENT, "end": Screen.END, "video": Screen.VIDEO,
}  # fmt: skip


@dataclass(frozen=True)
class Signs:
    """What the page itself says, without a model."""

    busy: bool = False
    """It says that it is loading."""
    password: bool = False
    """A field for a password can be seen."""
    challenge: bool = False
    """A frame or a text of a challenge for people can be seen."""
    consent: bool = False
    """A dialog about cookies or consent can be seen."""


def by_signs(signs: Signs) -> Screen:
    """What the page's signs say; a video where they say nothing else."""
    if signs.challenge:
        return Screen.CHALLENGE
    if signs.password:
        return Screen.LOGIN
    if signs.consent:
        return Screen.CONSENT
    return Screen.LOADING if signs.busy else Screen.VIDEO


def read_screen(text: str) -> Screen | None:
    """What a model's answer names: the one kind of screen in it; None where it names none or several."""
    words = re.findall(r"[a-z]+", text.lower().replace("log-in", "login").replace("log in", "login"))
    found = {_WORDS[word] for word in words if word in _WORDS}
    return found.pop() if len(found) == 1 else None


class ModelEyes:
    """Asks a model what a screen shows.

    Args:
        client: of the gateway.
        model: that is asked; None for the gateway's first.
    """

    def __init__(self, client: axia.Client, model: str | None) -> None:
        self._client, self._model = client, model

    def ask(self, picture: bytes) -> str:
        """The model's words.

        Raises:
            axia.AxiaError: it can't be asked.
        """
        detection = self._client.detect(
            picture, n=1, prompt_text=PROMPT, model=self._model, temperature=0.0, max_tokens=16, full_text=True
        )
        return detection.completions[0].first_sentence
