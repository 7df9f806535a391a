"""`axia eval`: models on the tasks of the two studies."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axia.cli._output import EXIT_INTERRUPTED, Address, complain, describe, exit_code, print_json, quiet_grpc
from axia.cli.evaluations.requirements import needs_inspect_ai

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

    from axia.evals.run import Outcome


def evaluate(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Evaluations, such as values_detector or value_spectrum."),
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            metavar="A,B,C",
            help="Models: names of the gateway's models, or models of other providers, such as openai/gpt-4o.",
        ),
    ] = "",
    paper: Annotated[
        str | None, typer.Option(metavar="ARXIV", help="All evaluations of a paper: 2501.03957 or 2411.11479.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the logs. An interrupted run continues.")
    ] = Path("logs/axia"),
    feed: Annotated[
        str | None,
        typer.Option(
            metavar="demo|DIR",
            help="With role_play: measure I_avg on a feed with a known recommender, with the demo's videos or a "
            "folder's, for both strategies unless -T strategy=NAME is given.",
        ),
    ] = None,
    task_arguments: Annotated[
        list[str] | None,
        typer.Option("-T", metavar="NAME=VALUE", help="An argument of the evaluation, such as annotations=my.csv."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of samples.", show_default="all")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Completions of each sample.", show_default="the evaluation's own")
    ] = None,
    connections: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of concurrent calls to a model.", show_default="32")
    ] = None,
    log_images: Annotated[bool, typer.Option("--log-images", help="Also write the images to the logs.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Let inspect view show samples while they run. Slower on few cores.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    address: Address = None,
) -> None:
    """Evaluate models on the two studies, with inspect_ai.

    The gateway's scoring service reads and judges all answers, also the answers of models of other providers. `axia
    report FOLDER` writes tables, tests and figures from the logs; `inspect view --log-dir FOLDER` shows each answer.

    Exit code: 0, 1 if any sample has no answer or no score, 2 for wrong usage, 130 after Ctrl-C.
    """
    quiet_grpc()
    if address:
        import os

        os.environ["AXIA_ADDRESS"] = address  # scorers and the provider find the gateway by it
    with needs_inspect_ai():
        from axia.evals.run import PAPERS, EvaluationError, run
    from axia.errors import AxiaError
    from axia.evals.annotations.record import AnnotationError

    chosen = [model.strip() for model in models.split(",") if model.strip()]
    if not chosen:
        raise typer.BadParameter("name the models, separated by commas", param_hint="--models")
    if bool(names) == bool(paper):
        raise typer.BadParameter("give names of evaluations, or --paper")
    if paper is not None and paper not in PAPERS:
        raise typer.BadParameter(f"give one of {', '.join(PAPERS)}", param_hint="--paper")
    arguments = dict(_argument(argument) for argument in task_arguments or ())
    wanted: Any = PAPERS[paper] if paper else [(name, {}) for name in names or ()]
    if feed is not None:
        if names != ["role_play"]:
            raise typer.BadParameter("works only with role_play: axia eval role_play --feed demo", param_hint="--feed")
        wanted = [("role_play", {"feed": feed, "strategy": strategy}) for strategy in ("simple", "isq")]
        if "strategy" in arguments:
            wanted = wanted[:1]  # the argument replaces it
    asked = [(name, {**preset, **arguments}) for name, preset in wanted]
    try:
        outcome = run(
            asked, chosen, out, limit=limit, epochs=epochs, connections=connections,
            display="none" if json else "plain", log_images=log_images, live=live,
        )  # fmt: skip
    except (EvaluationError, AnnotationError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    except AxiaError as error:
        complain(describe(error))
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt:
        complain(f"interrupted: run the same command again to continue in {out}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _print(outcome, out, json=json)
    if not outcome.complete:
        raise typer.Exit(1)


def _argument(text: str) -> tuple[str, Any]:
    import json

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} has no =: give NAME=VALUE", param_hint="-T")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _row(log: "EvalLog") -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    if log.results and log.results.scores:
        metrics = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    return {
        "task": log.eval.task.rpartition("/")[2], "model": log.eval.model, "status": log.status,
        "samples": log.results.completed_samples if log.results else 0, "metrics": metrics,
        "log": log.location, "error": log.error.message if log.error else "",
    }  # fmt: skip


def _print(outcome: "Outcome", out: Path, *, json: bool) -> None:
    rows = [_row(log) for log in outcome.logs]
    if json:
        print_json({"complete": outcome.complete, "out": str(out), "logs": rows})
        return
    from rich import box
    from rich.table import Table

    from axia.cli._output import console, printable

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("evaluation", "model", "mean", "interval", "samples", "status"):
        table.add_column(name, justify="right" if name in ("mean", "samples") else "left", overflow="fold")
    for row in rows:
        metrics = row["metrics"]
        mean = metrics.get("mean")
        low, high = metrics.get("lower"), metrics.get("upper")
        interval = "—" if low is None or isnan(low) else f"{low:.2f} to {high:.2f}"
        cells = ("—" if mean is None or isnan(mean) else f"{mean:.3f}", interval)
        table.add_row(printable(str(row["task"])), printable(str(row["model"])), *cells, str(row["samples"]),
                      str(row["status"]))  # fmt: skip
    out_console = console()
    out_console.print(table)
    for row in rows:
        if row["error"]:
            complain(f"{row['task']}, {row['model']}: {row['error']}")
    if outcome.complete:
        out_console.print(f"Next: axia report {out} writes tables, tests and figures.", soft_wrap=True)
    else:
        complain(f"not complete: run the same command again to continue in {out}")
