"""The command line, one command a file. Clients, tables and servers are imported by the commands that need them."""

from typing import Annotated

import typer

from axia.cli._encoding import degrade_gracefully
from axia.cli.agreement import agreement
from axia.cli.compare import compare
from axia.cli.delete import delete
from axia.cli.detect import detect
from axia.cli.down import down
from axia.cli.index import index
from axia.cli.interest import interest
from axia.cli.judges import audit, table
from axia.cli.list import list_images
from axia.cli.models import models
from axia.cli.preference import preference
from axia.cli.purge import purge
from axia.cli.reindex import reindex
from axia.cli.replay import replay
from axia.cli.search import search
from axia.cli.stats import stats
from axia.cli.up import up
from axia.cli.watch import watch
from axia.version import __version__


def _filled(text: str) -> str:
    """Text whose paragraphs are one line each: help would keep the line breaks of a docstring and add its own."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


app = typer.Typer(
    name="axia",
    help="Detects what people value in an image, with vision-language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback goes into a bug report as it is
)
for _command in (
    detect, watch, replay, index, search, stats, delete, purge, reindex, preference, interest, compare, agreement,
    models, up, down,
):  # fmt: skip
    app.command(help=_filled(_command.__doc__ or ""))(_command)
app.command("list", help=_filled(list_images.__doc__ or ""))(list_images)
judges = typer.Typer(no_args_is_help=True)
for _of_judges in (audit, table):
    judges.command(help=_filled(_of_judges.__doc__ or ""))(_of_judges)
app.add_typer(judges, name="judges", help="How far judges of alignment agree with people, and what they say.")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"axia {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    degrade_gracefully()


def main() -> None:
    """Runs the command line and ends the process with its exit code: 0, 1 after a failure, 2 for wrong usage."""
    degrade_gracefully()  # before the command line is read, for help and for what is wrong with it
    app()
