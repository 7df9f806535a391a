"""`axia agreement`: how far annotators agree."""

import csv
import json as _json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axia.cli._output import Address, complain, connect, console, describe, exit_code, print_json, printable

if TYPE_CHECKING:
    from axia.inputs import Rating
    from axia.results import Agreement

_FIELDS = ("unit", "annotator", "category")


def agreement(
    ratings: Annotated[
        Path,
        typer.Argument(
            metavar="RATINGS",
            help='JSON lines of {"unit", "annotator", "category"}, or a .csv file with these columns.',
        ),
    ],
    confidence_level: Annotated[
        float | None,
        typer.Option(
            "--confidence-level", min=0.5, max=0.999, help="Confidence level of the intervals.", show_default="0.95"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    address: Address = None,
) -> None:
    """Measure the agreement of annotators, and the best score that you can expect of a model.

    A unit is the rated item, such as an image. A category is the annotator's answer, such as an element. Absent ratings
    count as missing data. Other fields are ignored.

    Exit code: 0, 1 if it failed, 2 for wrong usage.
    """
    rows = _load(ratings)
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            found = client.scoring.measure_agreement(rows, confidence_level=confidence_level)
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    if json:
        print_json(found)
    else:
        _print(found)


def _load(path: Path) -> "list[Rating]":
    """The ratings of a file.

    Raises:
        typer.BadParameter: If it can't be read or a row breaks a rule, naming file, line and rule.
    """
    from axia.inputs import Rating

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(f"{path} can't be read: give a file of JSON lines or a .csv file") from error
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(path, text)
    found: list[Rating] = []
    for number, row in rows:
        values = {name: row.get(name) for name in _FIELDS}
        values = {name: str(value) if isinstance(value, int) else value for name, value in values.items()}
        for name, value in values.items():
            if not isinstance(value, str) or not value.strip():
                raise _bad(f"{path}, line {number}: {name} is missing or not a text; a row has {', '.join(_FIELDS)}")
        found.append(Rating.model_validate(values))
    if not found:
        raise _bad(f"{path} has no ratings: give rows with {', '.join(_FIELDS)}")
    return found


def _csv_rows(text: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines())
    return [(reader.line_num, row) for row in reader]


def _json_rows(path: Path, text: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row: Any = _json.loads(line)
        except (ValueError, RecursionError):
            raise _bad(f"{path}, line {number}: is not JSON: give one object on each line") from None
        if not isinstance(row, dict):
            raise _bad(f"{path}, line {number}: is not a JSON object: give {', '.join(_FIELDS)}")
        yield number, row


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="RATINGS")


def _print(found: "Agreement") -> None:
    from rich import box
    from rich.table import Table

    out = console()
    out.print(f"{found.units:,} units, {found.pairable_units:,} of them with two ratings or more", soft_wrap=True)
    out.print(f"Krippendorff's alpha {_figure(found.krippendorff_alpha)}, Fleiss' kappa {_figure(found.fleiss_kappa)}")
    if found.ceiling is not None:
        interval = found.ceiling_interval
        between = f", {interval.level:.0%} interval {interval.low:.2f} to {interval.high:.2f}" if interval else ""
        out.print(f"Human ceiling {found.ceiling:.2f}{between}: what an annotator scores against the others' majority")
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("annotator", "score against the others", "units"):
        table.add_column(name, justify="left" if name == "annotator" else "right")
    for annotator in found.annotators:
        table.add_row(printable(annotator.annotator), _figure(annotator.score), str(annotator.units))
    out.print(table)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("first", "second", "Cohen's kappa", "equal", "units"):
        table.add_column(name, justify="left" if name in ("first", "second") else "right")
    for pair in found.pairs:
        cells = (_figure(pair.cohen_kappa), f"{pair.observed:.0%}", str(pair.units))
        table.add_row(printable(pair.first), printable(pair.second), *cells)
    out.print(table)


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
