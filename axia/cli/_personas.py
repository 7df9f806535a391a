"""The persona that a model plays: sentences from a file or from the command line."""

import tomllib
from pathlib import Path
from typing import Annotated

import typer

Persona = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Traits of the persona: a text file with one sentence per line (lines with # are "
        "ignored), or a TOML file with a list `traits`.",
    ),
]
"""The option --persona."""

Traits = Annotated[list[str] | None, typer.Option("--trait", metavar="TEXT", help="Persona trait (repeatable).")]
"""The option --trait."""


def traits_of(persona: Path | None, traits: list[str] | None) -> list[str]:
    """The traits of the file and then of the options.

    Raises:
        typer.BadParameter: If the file can't be read or has no trait.
    """
    return [*(_read(persona) if persona is not None else ()), *(traits or ())]


def _read(persona: Path) -> list[str]:
    try:
        text = persona.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        message = f"{persona} can't be read: give a text file with one trait per line"
        raise typer.BadParameter(message, param_hint="--persona") from None
    if persona.suffix.lower() == ".toml":
        return _from_toml(persona, text)
    found = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise typer.BadParameter(f"{persona} has no trait: write one per line", param_hint="--persona")
    return found


def _from_toml(persona: Path, text: str) -> list[str]:
    """The list `traits`, as the demo's personas have it; whatever else the file says is not for the model."""
    try:
        traits = tomllib.loads(text).get("traits")
    except tomllib.TOMLDecodeError:
        traits = None
    if not isinstance(traits, list) or not traits or not all(isinstance(trait, str) for trait in traits):
        message = f'{persona} has no traits: write them as TOML, such as traits = ["I plant trees."], or as plain text'
        raise typer.BadParameter(f"{message}, one per line", param_hint="--persona")
    return traits
