"""`axia search`: finds images by words, by value or by another image."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from axia.cli._images.saved import SavedPictures
from axia.cli._output import Address, complain, connect, console, describe, exit_code, print_json, printable

if TYPE_CHECKING:
    from rich.console import Console

    from axia.client import Client
    from axia.results import SearchHit, SearchResult, ValueSearchResult

_PER_CALL = 50


class _Found(NamedTuple):
    keyword: str
    hit: "SearchHit"


def search(
    query: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="Words to search for.", show_default=False)
    ] = None,
    value: Annotated[str | None, typer.Option(help="A value, such as universalism, instead of words.")] = None,
    image: Annotated[Path | None, typer.Option(metavar="PATH", help="An image instead of words.")] = None,
    k: Annotated[
        int | None, typer.Option("-k", min=1, help="Number of images; with --value, per keyword.", show_default="5")
    ] = None,
    platform: Annotated[list[str] | None, typer.Option(help="Only images of this platform (repeatable).")] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Save the images here, named by rank and source, with a contact-sheet.png. Other files are kept.",
        ),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="With --save: first remove the images of earlier searches from DIR.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    address: Address = None,
) -> None:
    """Find indexed images.

    Exit code: 0, even if nothing was found, 1 after a failure, 2 for wrong usage.
    """
    if sum(given is not None for given in (query, value, image)) != 1:
        raise typer.BadParameter("give TEXT, --value or --image, one of them")
    if clear and save is None:
        raise typer.BadParameter("--clear goes with --save")
    with connect(address) as client:
        from axia.errors import AxiaError
        from axia.inputs import SearchFilter

        wanted = SearchFilter(platforms=tuple(platform)) if platform else None
        try:
            result: SearchResult | ValueSearchResult
            if value is not None:
                result = client.search_value(value, k=k, filter=wanted)
                found = [_Found(group.keyword, hit) for group in result.keywords for hit in group.hits]
            else:
                result = (
                    client.search_image(image, k=k, filter=wanted)
                    if image is not None
                    else client.search_text(query or "", k=k, filter=wanted)
                )
                found = [_Found("", hit) for hit in result.hits]
            saved = _save(client, found, save, clear=clear) if save is not None and found else None
        except (AxiaError, OSError) as error:
            told = describe(error)
            about_picture = image is not None and getattr(error, "reason", "").startswith("IMAGE_")
            complain(f"{image}: {told}" if about_picture else told)
            raise typer.Exit(exit_code(error)) from error
    if json:
        print_json(result)
    elif found:
        _print_table(found, by_keyword=value is not None)
    else:
        where = f" of platform {printable(' or '.join(platform))}" if platform else ""
        console().print(f"Nothing was found{where}. `axia index` indexes images.", soft_wrap=True)
    if saved is not None and saved.saved:
        _tell_saved(saved, console(stderr=json))


def _print_table(found: list[_Found], *, by_keyword: bool) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    if by_keyword:
        table.add_column("keyword", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True, min_width=12)
    table.add_column("platform", overflow="fold")
    table.add_column("source", overflow="fold")
    for keyword, hit in found:
        cells = [f"{hit.score:.3f}", hit.id[:12], hit.metadata.platform, hit.metadata.source]
        table.add_row(*([printable(keyword)] if by_keyword else []), *map(printable, cells))
    console().print(table)


def _tell_saved(saved: SavedPictures, out: "Console") -> None:
    """Says where the images are and what else is there."""
    *pictures, sheet = saved.saved
    files = "1 image" if len(pictures) == 1 else f"{len(pictures)} images"
    out.print(f"Saved {files} and {sheet}", soft_wrap=True)
    if saved.earlier:
        files = "1 file" if len(saved.earlier) == 1 else f"{len(saved.earlier)} files"
        complain(f"{sheet.parent} has {files} of an earlier search: --clear removes them first")
    if saved.others:
        files = "1 file" if len(saved.others) == 1 else f"{len(saved.others)} files"
        complain(f"{sheet.parent} has {files} that no search saved; they are kept")


def _save(client: "Client", found: list[_Found], folder: Path, *, clear: bool) -> SavedPictures:
    """Saves the images and a sheet of them."""
    from axia.contact_sheet import Entry, contact_sheet

    saved = SavedPictures(folder)
    if clear and (gone := saved.clear()):
        complain(f"removed {'1 file' if gone == 1 else f'{gone} files'} of an earlier search from {folder}")
    entries = []
    for rank, (one, data) in enumerate(_with_data(client, found), start=1):
        if data is None:
            complain(f"{one.hit.id[:12]} was deleted in the meantime and is not saved")
            continue
        saved.add(rank, one.hit.metadata.source, one.hit.id, one.hit.info.format, data)
        about = "  ".join(filter(None, (f"{one.hit.score:.3f}", one.keyword, one.hit.metadata.platform)))
        entries.append(Entry(data, (printable(about), printable(one.hit.metadata.source or one.hit.id[:12]))))
    if entries:
        saved.add_sheet(contact_sheet(entries))
    return saved


def _with_data(client: "Client", found: list[_Found]) -> Iterator[tuple[_Found, bytes | None]]:
    for begin in range(0, len(found), _PER_CALL):
        some = found[begin : begin + _PER_CALL]
        for one, image in zip(some, client.get_images([one.hit.id for one in some]), strict=True):
            yield one, image.data
