"""Personas in TOML files: traits for a model, and the weights behind them, which a model never sees."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axia.lexicon import VALUES
from feed import FeedError

FOLDER = Path(__file__).parents[1] / "demo" / "personas"
_MAX_WEIGHT = 10


@dataclass(frozen=True)
class Persona:
    """Somebody to play."""

    id: str
    traits: tuple[str, ...]
    weights: Mapping[str, int] | None
    """0–10 for each of the ten values; None where nobody knows."""

    def needed_weights(self) -> Mapping[str, int]:
        """The weights.

        Raises:
            FeedError: there are none.
        """
        if self.weights is None:
            raise FeedError(f"persona {self.id} has no [weights], so its truth is not known: add them, or use a model")
        return self.weights


def load(path: Path) -> Persona:
    """A persona from its file.

    Raises:
        FeedError: the file can't be read, has no traits, or weights that aren't 0–10 for each of the ten values.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FeedError(f"{path} can't be read as TOML: {error}") from error
    traits = data.get("traits")
    if not isinstance(traits, list) or not traits or not all(isinstance(one, str) and one.strip() for one in traits):
        raise FeedError(f'{path} has no traits: write them as traits = ["I plant trees."]')
    weights = data.get("weights")
    if weights is not None and not (
        isinstance(weights, dict)
        and sorted(weights) == sorted(VALUES)
        and all(type(weight) is int and 0 <= weight <= _MAX_WEIGHT for weight in weights.values())
    ):
        raise FeedError(f"{path}: [weights] must have a whole number 0–10 for each value: {', '.join(VALUES)}")
    return Persona(str(data.get("id", path.stem)), tuple(traits), weights)


def load_all(paths: Iterable[Path]) -> list[Persona]:
    """Personas of files, and of folders' TOML files.

    Raises:
        FeedError: as `load`; or there is none, or two have the same id.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    found = [load(file) for file in files]
    if not found:
        raise FeedError("there is no persona: give a TOML file, or a folder with TOML files")
    ids = [persona.id for persona in found]
    if doubled := sorted({one for one in ids if ids.count(one) > 1}):
        raise FeedError(f"two personas have the id {doubled[0]}: change one of them")
    return found
