"""Commands that need a checkout: the wheel contains only the client."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from axia.cli._output import complain

_OF_CHECKOUT = ("suite", "feed", "agent", "demo")


@contextmanager
def needs_checkout(extra: str = "") -> Iterator[None]:
    """Ends the command with 1 where what a checkout has can't be imported.

    Args:
        extra: Of axia, which brings the libraries that are needed beside the servers'.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        top = (error.name or "").split(".")[0]
        if top in _OF_CHECKOUT:
            complain(
                "this command needs a checkout of axia, because the wheel contains only the client: clone the "
                "repository, run `make setup` there, and use `.venv/bin/axia`"
            )
        elif extra and top != "axia":
            complain(f"the library {top} is missing: pip install 'axia-vlm[{extra}]', or in a checkout `make setup`")
        else:
            raise
        raise typer.Exit(1) from error
