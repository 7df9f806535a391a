"""What commands of evaluations say where inspect_ai is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from axia.cli._output import complain


@contextmanager
def needs_inspect_ai() -> Iterator[None]:
    """Imports within it may need inspect_ai; without it the command ends with 1 and says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "inspect_ai":
            raise
        complain("evaluations need inspect_ai: pip install 'axia-vlm[evals]'")
        raise typer.Exit(1) from None
