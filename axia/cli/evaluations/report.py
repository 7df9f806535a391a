"""`axia report`: tables, tests and figures of evaluations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import Address, complain, connect, console, describe, exit_code
from axia.cli.evaluations.requirements import needs_inspect_ai

if TYPE_CHECKING:
    from axia.judges.card import JudgeCard


def report(
    logs: Annotated[Path, typer.Argument(metavar="LOGS", help="The folder that `axia eval` wrote to.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for the report.", show_default="LOGS/report")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Card from `axia judges audit --card FILE`: the judges' agreement with people."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Evaluation",
    address: Address = None,
) -> None:
    """Write a report of evaluations: one HTML page, and its tables as CSV and LaTeX.

    The gateway's scoring service computes the tests. An incomplete log is an error.

    Exit code: 0, 1 if it failed, 2 for wrong usage.
    """
    with needs_inspect_ai():
        from axia.report.collect import ReportError
        from axia.report.write import write_report
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            page = write_report(client, logs, out or logs / "report", title, _card(card))
        except ReportError as error:
            complain(str(error))
            raise typer.Exit(1) from error
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    console().print(f"{page}: open it in a browser; tables are in {page.parent / 'tables'}", soft_wrap=True)


def _card(path: Path | None) -> "JudgeCard | None":
    from axia.judges.card import JudgeCard

    if path is None:
        return None
    try:
        return JudgeCard.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        complain(f"{path} is not a judge card: write one with axia judges audit LABELS --card {path} ({error})")
        raise typer.Exit(1) from None
