"""Personas: trait sentences, and the weights over the ten values that are the truth behind them.

One file each in demo/personas.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from axia.lexicon import VALUES

FOLDER = Path(__file__).parents[1] / "personas"


class PersonaError(ValueError):
    """A persona file breaks a rule; the message names the file."""


@dataclass(frozen=True)
class Persona:
    """Somebody to play: `traits` go into the prompt; `weights` (0–10 for each value) are never shown to a model."""

    id: str
    name: str
    source: str
    traits: tuple[str, ...]
    paraphrases: tuple[str, ...]
    weights: dict[str, int]

    @property
    def text(self) -> str:
        """The traits as one line, as the prompts take them."""
        return " ".join(self.traits)


def load_persona(path: Path) -> Persona:
    """Read and check one persona file.

    Raises:
        PersonaError: a value lacks a weight, a weight is out of range, or there is no other wording for each trait.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    weights: dict[str, int] = data["weights"]
    if sorted(weights) != sorted(VALUES):
        raise PersonaError(f"{path}: weights must name the ten values")
    if not all(0 <= weight <= 10 and weight not in (6, 7) for weight in weights.values()):
        raise PersonaError(f"{path}: weights are whole numbers 0–10 other than 6 and 7 (see demo/world/truth.py)")
    if len(data["traits"]) != len(data["paraphrases"]) or not data["traits"]:
        raise PersonaError(f"{path}: each trait needs one other wording")
    return Persona(data["id"], data["name"], data["source"], tuple(data["traits"]), tuple(data["paraphrases"]), weights)


@cache
def personas() -> tuple[Persona, ...]:
    """All shipped personas, by id."""
    return tuple(load_persona(path) for path in sorted(FOLDER.glob("*.toml")))


def persona(name: str) -> Persona:
    """The shipped persona with this id.

    Raises:
        KeyError: there is none; the message lists those that exist.
    """
    for candidate in personas():
        if candidate.id == name:
            return candidate
    raise KeyError(f"no persona {name!r}; there are {', '.join(candidate.id for candidate in personas())}")
