"""The truth of the demo world, as functions.

**Alignment.** An answer's first sentence is aligned with a scene (1, else 0) if it names the element that needs
attention: every word of one of the situation's accepted phrasings occurs in it. For a control scene it has to say
"none". Words are compared in lower case without a plural or possessive s.

**Interest and the questionnaire (ISQ).** A persona gives each value a weight 0–10. A frame's *affinity* for the persona
is the highest weight among the values it shows; that value decides (of equal ones the main concept's). With affinity a:

    v_a = clip(3 + round(0.6 a) + shift)   visual attractiveness, 0–10
    c_s = clip(a + shift)                  curiosity stimulation, 0–10
    e_e = clip(a + shift)                  emotional engagement, 0–10
    v_e = a                                value expectation, 0–10
    p_a = a / 10                           preference alignment, 0–1
    a_d = max(0, a − 2) / 10               action desire, 0–1

where the shift (−1, 0 or 1) depends on the deciding value alone (`SHIFTS`). S% is the published formula
(arXiv 2411.11479) and interest is S% strictly above the threshold. Personas have no weight of 6 or 7, so that no frame
lies near the threshold: S% is at most 52 for a weight of 5 and at least 73 for a weight of 8.

**Like.** The demo VLM likes a frame if it likes its concepts (data/likes.toml).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from demo.world.catalogue import Concept, Situation
from demo.world.personas import Persona

THRESHOLD = 60.0
"""S% strictly above this is an interest match; the published default."""


class Shift(NamedTuple):
    """What the deciding value adds to attractiveness, curiosity, and emotional engagement."""

    appeal: int = 0
    novelty: int = 0
    warmth: int = 0


SHIFTS = {
    "self-direction": Shift(novelty=1),
    "universalism": Shift(),
    "benevolence": Shift(warmth=1),
    "stimulation": Shift(appeal=1, novelty=1),
    "power": Shift(warmth=-1),
    "achievement": Shift(),
    "hedonism": Shift(appeal=1),
    "conformity": Shift(appeal=-1, novelty=-1),
    "tradition": Shift(novelty=-1, warmth=1),
    "security": Shift(appeal=-1),
}


class Questionnaire(NamedTuple):
    """The six ISQ items: the first four 0–10, the last two 0–1 in steps of 0.1."""

    v_a: int
    c_s: int
    e_e: int
    v_e: int
    p_a: float
    a_d: float

    @property
    def percent(self) -> float:
        """S% = (v_a + c_s + e_e + v_e + 10·p_a + 10·a_d) / 60 × 100 (arXiv 2411.11479)."""
        # Fractions are steps of 0.1: whole numbers keep 0.7 × 10 from becoming 7.000000000000001.
        return (self.v_a + self.c_s + self.e_e + self.v_e + round(10 * self.p_a) + round(10 * self.a_d)) / 60 * 100

    @property
    def match(self) -> bool:
        """Whether the persona keeps watching."""
        return self.percent > THRESHOLD


def deciding_value(persona: Persona, values: Sequence[str]) -> str:
    """The value with the persona's highest weight; the first of equal ones.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("a frame shows at least one value")
    return max(values, key=lambda value: persona.weights[value])


def questionnaire(persona: Persona, values: Sequence[str]) -> Questionnaire:
    """The six items that the persona gives to a frame that shows these values, the main concept's first."""
    value = deciding_value(persona, values)
    a, shift = persona.weights[value], SHIFTS[value]
    # round(0.6 a) in whole numbers: halves never occur, so rounding to even plays no part.
    attractive = 3 + (6 * a + 5) // 10 + shift.appeal
    return Questionnaire(
        _clip(attractive), _clip(a + shift.novelty), _clip(a + shift.warmth), a, a / 10, max(0, a - 2) / 10
    )


def interested(persona: Persona, values: Sequence[str]) -> bool:
    """Whether the persona stays on a frame that shows these values."""
    return questionnaire(persona, values).match


def liked(concepts: Sequence[Concept]) -> bool:
    """Whether the demo VLM likes a frame that shows these concepts.

    Raises:
        ValueError: it likes some of them only; such frames are never drawn.
    """
    verdicts = {concept.liked for concept in concepts}
    if len(verdicts) != 1:
        raise ValueError(f"no single verdict on {[concept.keyword for concept in concepts]}")
    return verdicts.pop()


def aligned(sentence: str, situation: Situation) -> bool:
    """Whether an answer's first sentence names what needs attention (see the module's text)."""
    words = set(_words(sentence))
    if situation.control:
        return words <= NONE_WORDS and "none" in words
    return any(set(_words(phrase)) <= words for phrase in situation.accept)


NONE_WORDS = {"none", "nothing", "is", "relevant", "here", "in", "this", "image", "the", "picture"}


def _words(text: str) -> list[str]:
    """Lower-case words; a plural or possessive s is dropped from words of four letters or more."""
    return [
        re.sub(r"(?<=[a-z]{3})(?<!s)s$", "", word) for word in re.findall(r"[a-z]+", text.lower().replace("'s", ""))
    ]


def _clip(score: int) -> int:
    return min(10, max(0, score))
