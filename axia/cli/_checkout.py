"""Commands that need a checkout: a wheel holds the client alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from axia.cli._output import complain


@contextmanager
def needs_checkout() -> Iterator[None]:
    """Ends the command with 1 where the servers of a checkout can't be imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "suite":
            raise
        complain(
            "this axia is installed without its servers, because a wheel holds the client alone: clone the repository, "
            "run `make setup` there, and then `.venv/bin/axia up`"
        )
        raise typer.Exit(1) from error
