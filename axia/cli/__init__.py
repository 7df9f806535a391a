"""The command line, one command a file. Clients, tables and servers are imported by the commands that need them."""

from typing import Annotated

import typer

from axia.cli._encoding import degrade_gracefully
from axia.cli.agreement import agreement
from axia.cli.compare import compare
from axia.cli.delete import delete
from axia.cli.detect import detect
from axia.cli.evaluations.calibrate import calibrate
from axia.cli.evaluations.datasets import convert, list_datasets
from axia.cli.evaluations.evaluate import evaluate
from axia.cli.evaluations.report import report
from axia.cli.feeds.agent import collect
from axia.cli.feeds.agent import replay as replay_agent
from axia.cli.feeds.agent import watch as watch_feed
from axia.cli.feeds.feed import replay as replay_feed
from axia.cli.feeds.feed import role_play, serve, truth
from axia.cli.identity.certs import init, renew
from axia.cli.identity.keys import add, list_keys, revoke
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
from axia.cli.suite.down import down
from axia.cli.suite.up import up
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
    report, calibrate, models, up, down,
):  # fmt: skip
    app.command(help=_filled(_command.__doc__ or ""))(_command)
app.command("list", help=_filled(list_images.__doc__ or ""))(list_images)
app.command("eval", help=_filled(evaluate.__doc__ or ""))(evaluate)
dataset = typer.Typer(no_args_is_help=True)
for _name, _of_datasets in (("list", list_datasets), ("convert", convert)):
    dataset.command(_name, help=_filled(_of_datasets.__doc__ or ""))(_of_datasets)
app.add_typer(dataset, name="dataset", help="Convert public data sets in local folders.")
judges = typer.Typer(no_args_is_help=True)
for _of_judges in (audit, table):
    judges.command(help=_filled(_of_judges.__doc__ or ""))(_of_judges)
app.add_typer(judges, name="judges", help="Measure how well judges of alignment agree with people, and compare judges.")
keys = typer.Typer(no_args_is_help=True)
for _name, _of_keys in (("add", add), ("list", list_keys), ("revoke", revoke)):
    keys.command(_name, help=_filled(_of_keys.__doc__ or ""))(_of_keys)
app.add_typer(keys, name="keys", help="Manage API keys of the gateway.")
certs = typer.Typer(no_args_is_help=True)
for _of_certs in (init, renew):
    certs.command(help=_filled(_of_certs.__doc__ or ""))(_of_certs)
app.add_typer(certs, name="certs", help="Create certificates to test TLS.")
feed = typer.Typer(no_args_is_help=True)
for _name, _of_feed in (("serve", serve), ("truth", truth), ("role-play", role_play), ("replay", replay_feed)):
    feed.command(_name, help=_filled(_of_feed.__doc__ or ""))(_of_feed)
app.add_typer(feed, name="feed", help="Serve a short-video feed with a known recommender, and measure role-play on it.")
agent = typer.Typer(no_args_is_help=True)
for _name, _of_agent in (("collect", collect), ("watch", watch_feed), ("replay", replay_agent)):
    agent.command(_name, help=_filled(_of_agent.__doc__ or ""))(_of_agent)
app.add_typer(
    agent, name="agent", help="Run a browser that watches short-video feeds, within rate limits and robots.txt."
)


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
