"""`axia dataset`: data sets of the field, from local folders."""

from pathlib import Path
from typing import Annotated

import typer

from axia.cli._output import complain, console, print_json, printable

_ROWS = {"manifest": "images"}
"""What the rows of a form are, where its name does not say."""

_USES = {
    "questions": "axia eval choice -T questions={out}",
    "annotations": "axia eval values_detector -T annotations={out}",
    "manifest": "axia index {folder}; with keywords also axia eval value_spectrum -T manifest={out}",
    "personas": "axia agent watch --persona {out}/persona-00001.toml, or axia interest",
}


def list_datasets(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """List the data sets that can be converted.

    Exit code: 0.
    """
    from axia.evals.datasets.catalogue import SETS

    rows = [
        {"name": made.name, "title": made.title, "arxiv": made.arxiv, "form": made.form,
         "needs_columns": made.needs_layout, "fields": list(made.fields)}
        for made in SETS.values()
    ]  # fmt: skip
    if json:
        print_json({"datasets": rows})
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("name", "data set", "arXiv", "becomes", "layout"):
        table.add_column(name)
    for made in SETS.values():
        layout = "name it with --columns" if made.needs_layout else "known" if not made.fields else "yours or --columns"
        table.add_row(made.name, made.title, made.arxiv, made.form, layout)
    console().print(table)


def convert(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `axia dataset list`.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with the data set; nothing is downloaded.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The converted file; for personas, a new folder.")],
    columns: Annotated[
        Path | None,
        typer.Option(metavar="TOML", help="Names of files and columns, if they differ from those of the data set."),
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out rows whose image is missing, and print their number.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a sentence.")] = False,
) -> None:
    """Convert a data set in a local folder into a file that `axia eval` or `axia index` reads.

    The command first reads the whole data set and checks every image. If anything is wrong, it prints the error and
    writes nothing.

    Exit code: 0, 1 if the data set can't be used, 2 for wrong usage.
    """
    from axia.evals.annotations.record import AnnotationError
    from axia.evals.datasets.catalogue import SETS
    from axia.evals.datasets.catalogue import convert as converted
    from axia.evals.datasets.layout import NO_LAYOUT, read_layout

    if name not in SETS:
        raise typer.BadParameter(f"{name!r} is not a data set: use one of {', '.join(SETS)}", param_hint="NAME")
    fields = SETS[name].fields
    try:
        layout = NO_LAYOUT if columns is None else read_layout(columns, fields)
        done = converted(name, folder, out, layout, skip_missing=skip_missing)
    except AnnotationError as error:
        complain(str(error))
        raise typer.Exit(1) from error
    if json:
        print_json({"dataset": name, "out": str(out), "rows": done.rows, "missing": list(done.missing),
                    "notes": list(done.notes)})  # fmt: skip
        return
    form = SETS[name].form
    console().print(f"{printable(str(out))}: {done.rows} {_ROWS.get(form, form)} of {SETS[name].title}", soft_wrap=True)
    if done.missing:
        complain(f"{len(done.missing)} images are missing, and their rows are left out: say so beside any result")
    for note in done.notes:
        complain(note)
    console().print(_USES[form].format(out=printable(str(out)), folder=printable(str(folder))), soft_wrap=True)
