"""Changes of form that leave the meaning: letter case, Markdown, the words that repeat the question."""

import random

_FRAMES = (
    "The element that needs attention in this image is {}",
    "In the image, {}",
    "The element that needs attention is {}",
    "I would say {}",
    "Based on the image, {}",
    "**{}**",
    "- {}",
    '"{}"',
    "Answer: {}",
)


def perturbed(text: str, rng: random.Random) -> str:
    """The text, in one of three cases with a change of form."""
    kind = rng.random()
    if kind < 0.06:
        return text.lower()
    if kind < 0.10:
        return text.rstrip(".")
    if kind < 0.14:
        return text.replace("*", "")
    if kind < 0.22 and len(text) > 12 and text[0].isupper() and not text.startswith(("I ", "I'", "The element")):
        return rng.choice(_FRAMES).format(text[0].lower() + text[1:])
    return text
