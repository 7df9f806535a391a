"""`axia models`: which models and prompts there are."""

from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import Address, complain, connect, console, describe, exit_code, print_json, printable

if TYPE_CHECKING:
    from axia.results import ModelList

_FIRST_CHARACTERS = 60


def models(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    address: Address = None,
) -> None:
    """List the gateway's models and prompts."""
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            listed = client.models()
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    if json:
        print_json(listed)
    else:
        _print_tables(listed)


def _print_tables(listed: "ModelList") -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", overflow="fold", ratio=1)
    table.add_column("revision", overflow="ellipsis", no_wrap=True, max_width=10)
    table.add_column("engine", min_width=6)
    table.add_column("context", justify="right", min_width=7)
    table.add_column("address", overflow="fold", min_width=15)
    table.add_column("answers", min_width=7)
    for status in listed.models:
        model = status.model
        cells = (
            (model.name, model.revision, f"{model.engine} {model.engine_version}", f"{model.max_context_tokens:,}")
            if model
            else ("(not known yet)", "", "", "")
        )
        table.add_row(*(printable(cell) for cell in (*cells, status.address)), "yes" if status.available else "no")
    console().print(table)

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("prompt", no_wrap=True)
    table.add_column("role", no_wrap=True)
    table.add_column("text")
    for prompt in listed.prompts:
        text = printable(prompt.text)
        short = text if len(text) <= _FIRST_CHARACTERS else f"{text[: _FIRST_CHARACTERS - 1].rstrip()}…"
        table.add_row(printable(prompt.id), printable(prompt.role), short)
    console().print(table)
    console().print("`axia models --json` has whole texts, their sources and hashes, and what a model's server takes.")
