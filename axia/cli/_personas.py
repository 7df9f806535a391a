"""The persona that a model plays: sentences from a file or from the command line."""

from pathlib import Path
from typing import Annotated

import typer

Persona = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Traits of the persona, a sentence a line; lines with # are left out."),
]
"""The option --persona."""

Traits = Annotated[list[str] | None, typer.Option("--trait", metavar="TEXT", help="A trait. Once for each.")]
"""The option --trait."""


def traits_of(persona: Path | None, traits: list[str] | None) -> list[str]:
    """The traits of the file and then of the options.

    Raises:
        typer.BadParameter: If the file can't be read or has no trait.
    """
    found: list[str] = []
    if persona is not None:
        try:
            lines = persona.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            message = f"{persona} can't be read: give a text file with a trait a line"
            raise typer.BadParameter(message, param_hint="--persona") from None
        found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not found:
            raise typer.BadParameter(f"{persona} has no trait: write one a line", param_hint="--persona")
    return found + list(traits or [])
