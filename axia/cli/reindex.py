"""`axia reindex`: indexes every stored image with another encoder."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import EXIT_INTERRUPTED, Address, complain, connect, console, describe, exit_code, printable

if TYPE_CHECKING:
    from axia.client import Client
    from axia.results import Reindex

_PAUSE_S = 1.0


def reindex(
    encoder: Annotated[
        str | None,
        typer.Argument(
            metavar="ENCODER",
            help='An encoder such as ViT-B-32/laion2b_s34b_b79k, or "local-dir:" and a folder on the server.',
            show_default="show the progress of the latest re-index",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the re-index has ended.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    address: Address = None,
) -> None:
    """Index every stored image with another encoder, or show the progress.

    Searches use the current encoder until the re-index is complete. After Ctrl-C the re-index continues on the server.

    Exit code: 0, 1 if it failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            state = client.start_reindex(encoder) if encoder is not None else client.reindex()
            if encoder is not None and wait:
                state = _followed(client, state)
        except KeyboardInterrupt:
            complain("interrupted; the re-index continues on the server: `axia reindex` shows its progress")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    if json:
        print(state.model_dump_json())
    else:
        console().print(_in_words(state), soft_wrap=True)
    if state.state == "failed":
        raise typer.Exit(1)


def _followed(client: "Client", state: "Reindex") -> "Reindex":
    """Waits until it has ended, showing its progress where somebody can see it."""
    errors = console(stderr=True)
    if not errors.is_terminal:
        while state.state == "running":
            time.sleep(_PAUSE_S)
            state = client.reindex(state.id)
        return state
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("re-indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("re-indexing", total=state.total or None)
        while state.state == "running":
            time.sleep(_PAUSE_S)
            state = client.reindex(state.id)
            progress.update(task, completed=state.done, total=state.total or None)
    return state


def _in_words(state: "Reindex") -> str:
    encoder = printable(f"{state.encoder.name} {state.encoder.revision}") if state.encoder else "the new encoder"
    done = f"{state.done:,} of {state.total:,} images"
    match state.state:
        case "succeeded":
            return f"done: searches use {encoder}, {done}"
        case "failed":
            return f"failed after {done}, searches continue with the encoder before: {printable(state.error)}"
        case _:
            return f"running: {done} encoded with {encoder}"
