"""Indexes the feed frames of the gallery and finds some of them again by value."""

import time
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

import axia
from axia.contact_sheet import Entry, write_contact_sheet
from axia.inputs import ImageMetadata
from axia.results import Indexed, Rejected
from demo.tour.scenes import GALLERY
from demo.world.manifest import Record, read_manifest

SHOWN = ("universalism", "hedonism", "security")
PER_KEYWORD = 3


def index_gallery(client: axia.Client, out: Console) -> None:
    """Takes the gallery's feed frames in; those that are already stored are left as they are."""
    began = time.monotonic()
    results = list(client.index_images(_frames()))
    for result in results:
        if isinstance(result, Rejected):
            raise SystemExit(f"{result.path}: {result.message}")
    new = sum(isinstance(result, Indexed) and not result.duplicate for result in results)
    taken = time.monotonic() - began
    out.print(f"Indexed {len(results)} feed frames of the gallery, {new} of them new, in {taken:.1f} s.")


def _frames() -> Iterator[tuple[Path, ImageMetadata]]:
    for record in _records():
        yield GALLERY / record["file"], ImageMetadata(platform=record["platform"], source=record["file"])


def _records() -> list[Record]:
    return [record for record in read_manifest(GALLERY) if record["kind"] == "frame"]


def search_values(client: axia.Client, out: Console, folder: Path) -> None:
    """Prints what is found for the keywords of three values, and writes a contact sheet of it."""
    shows = {record["sha256"]: record["keywords"] for record in _records()}
    table = Table("value", "keyword", f"what the {PER_KEYWORD} nearest frames show", box=box.SIMPLE_HEAD)
    entries: list[Entry] = []
    right = total = 0
    for value in SHOWN:
        found = client.search_value(value, k=PER_KEYWORD)
        for row, group in enumerate(found.keywords):
            marks = []
            for hit in group.hits:
                shown = shows.get(hit.id, ["your own image"])
                right, total = right + (group.keyword in shown), total + 1
                colour = "green" if group.keyword in shown else "red"
                marks.append(f"[{colour}]{' + '.join(shown)}[/{colour}]")
            table.add_row("" if row else value, group.keyword, ", ".join(marks))
            if group.hits:
                image = next(client.get_images([group.hits[0].id])).data
                entries.append(Entry(image or b"", (group.keyword, f"{value} {group.hits[0].score:.2f}")))
        table.add_section()
    out.print(table)
    folder.mkdir(parents=True, exist_ok=True)
    sheet = folder / "contact-sheet.png"
    write_contact_sheet(entries, sheet)
    out.print(f"{right} of {total} show the keyword. Contact sheet: {sheet}", soft_wrap=True)
