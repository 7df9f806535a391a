"""`axia calibrate`: the agreement from which on a model may answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import complain, console, print_json, printable
from axia.cli.evaluations.requirements import needs_inspect_ai

if TYPE_CHECKING:
    from axia.evals.calibration import Calibration
    from axia.report.collect import Run


_TEMPERATURE = 1.0
"""Of detections, where neither a request nor the routing table says another."""


def calibrate(
    logs: Annotated[
        Path, typer.Argument(metavar="LOGS", help="Logs of `axia eval abstention --epochs 1` on labelled images.")
    ],
    bound: Annotated[float, typer.Option(min=0.001, max=0.999, help="Maximum error rate among answered images.")] = 0.1,
    delta: Annotated[
        float,
        typer.Option(min=0.001, max=0.5, help="Maximum probability that the bound doesn't hold (1 - confidence)."),
    ] = 0.05,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the thresholds to this TOML file too.")
    ] = None,
    routes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The gateway's routing table (AXIA_GATEWAY_MODELS). Thresholds are written to it, with the number "
            "of completions and the share of answered images.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Find an agreement threshold for each model, so that only few of its answers are wrong.

    With confidence 1 - delta, the error rate among answered images is at most the bound, for new images of the same
    kind as the labelled ones (Learn then Test). Use the threshold as `abstain_threshold` of detections with the same
    number of completions.

    Exit code: 0, 1 if no threshold keeps the bound for a model or the logs can't be used, 2 for wrong usage.
    """
    with needs_inspect_ai():
        from axia.evals.calibration import calibrate as find
        from axia.report.abstaining import answered_of
        from axia.report.collect import ReportError, load
    try:
        runs = [run for evaluation in load(logs) if evaluation.kind == "abstention" for run in evaluation.runs]
        if not runs:
            raise ReportError(f"{logs} has no logs of abstention: run axia eval abstention on labelled images")
        found = [(run, find(answered_of(run.rows), bound, delta)) for run in runs]
    except ValueError as error:  # ReportError is one
        complain(str(error))
        raise typer.Exit(1) from error
    if json:
        rows = [{"model": run.model, "calibration": calibration._asdict(),
                 "points": [p._asdict() for p in calibration.points]}
                for run, calibration in found]  # fmt: skip
        print_json({"calibrations": rows})
    else:
        _print(found)
    if out is not None:
        out.write_text(_toml(found), encoding="utf-8")
    if routes is not None:
        _route(routes, found)
    if any(calibration.threshold is None for _, calibration in found):
        raise typer.Exit(1)


def _print(found: "list[tuple[Run, Calibration]]") -> None:
    from rich import box
    from rich.table import Table

    out = console()
    for run, calibration in found:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("agreement from", "answered", "share", "errors", "share of errors", "p"):
            table.add_column(name, justify="right")
        for point in calibration.points:
            risk = "—" if point.risk is None else f"{point.risk:.3f}"
            p_value = "—" if point.p_value is None else f"{point.p_value:.4f}"
            table.add_row(f"{point.threshold:.2f}", str(point.answered), f"{point.coverage:.2f}", str(point.errors),
                          risk, p_value)  # fmt: skip
        out.print(table)
        name = printable(run.model)
        if calibration.threshold is None:
            out.print(
                f"{name}: no threshold keeps errors at {calibration.bound:.0%} with confidence "
                f"{1 - calibration.delta:.0%} on {calibration.pictures} images: label more, or allow more errors",
                soft_wrap=True,
            )
        else:
            out.print(
                f"{name}: answer from an agreement of {calibration.threshold:.2f} on; that is "
                f"{calibration.coverage:.0%} of {calibration.pictures} images, and at most {calibration.bound:.0%} "
                f"errors with confidence {1 - calibration.delta:.0%}",
                soft_wrap=True,
            )


def _toml(found: "list[tuple[Run, Calibration]]") -> str:
    """The thresholds, with the share that should be answered: far less or more of it means that images have changed."""
    import json

    parts = ["# Written by axia calibrate (Learn then Test).\n"]
    for run, calibration in found:
        about = run.log.eval.metadata or {}
        lines = [
            "[[calibration]]",
            f"model = {json.dumps(run.model)}",
            f"bound = {calibration.bound}",
            f"delta = {calibration.delta}",
            f"pictures = {calibration.pictures}",
            f"completions = {int(about.get('samples', 0))}",
            f"coverage = {calibration.coverage:.4f}",
        ]
        if calibration.threshold is not None:
            lines.append(f"abstain_threshold = {calibration.threshold}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _route(path: Path, found: "list[tuple[Run, Calibration]]") -> None:
    from axia.evals.routing_table import RoutingTableError, set_defaults

    try:
        text = path.read_text(encoding="utf-8")
        for run, calibration in found:
            if calibration.threshold is not None:
                samples = int((run.log.eval.metadata or {})["samples"])
                values = {
                    "abstain_threshold": calibration.threshold,
                    "n": samples,
                    "calibrated_coverage": round(calibration.coverage, 4),
                    "calibrated_images": calibration.pictures,
                }
                text = set_defaults(text, run.model.removeprefix("axia/"), values)
                temperature = (run.log.eval.metadata or {}).get("sampling", {}).get("temperature", _TEMPERATURE)
                if temperature != _TEMPERATURE:
                    complain(
                        f"{run.model} was calibrated at temperature {temperature}: the threshold is valid only if "
                        f"requests, or `temperature` in its defaults, set {temperature} too"
                    )
    except (OSError, UnicodeDecodeError, RoutingTableError) as error:
        complain(f"{path}: {error}")
        raise typer.Exit(1) from error
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    console().print(
        f"{path}: written. If AXIA_GATEWAY_MODELS names this file, the gateway applies it without a restart",
        soft_wrap=True,
    )
