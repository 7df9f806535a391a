"""`axia index`: takes the images of a folder in."""

import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia._file_names import written
from axia._pictures import FORMATS
from axia.cli._images.journal import Done, Journal
from axia.cli._images.manifest import NAME as MANIFEST
from axia.cli._images.manifest import NOTHING, Known, read_manifest
from axia.cli._images.near_duplicates import Alike, near_duplicates
from axia.cli._images.paths import pictures_at
from axia.cli._output import (
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Address,
    complain,
    connect,
    console,
    describe,
    exit_code,
    fault_of,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from axia.results import Acknowledgement, ImageMetadata

_SHOWN = 20
_ENVELOPE_BYTES = 2**16
"""What a request needs beside its image."""
_EXIF_IFD, _DATE_TIME_ORIGINAL, _OFFSET_TIME_ORIGINAL = 0x8769, 0x9003, 0x9011


class CaptureTime(StrEnum):
    """Where the capture time is read from."""

    NONE = "none"
    EXIF = "exif"
    MTIME = "mtime"


@dataclass
class _Report:
    """What became of the images."""

    indexed: int = 0
    known: int = 0
    """Were at the server already."""
    skipped: int = 0
    """Acknowledged in a run that was interrupted."""
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, reason and message."""
    ids: dict[str, list[str]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def note(self, path: str, done: Done) -> None:
        path = written(path)
        same = self.ids.setdefault(done.id, [])
        same.append(path)
        if len(same) == 1 and done.perceptual_hash:
            self.hashes[path] = done.perceptual_hash


def index(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with images (with all subfolders).")],
    platform: Annotated[str, typer.Option(help="Platform that the images were taken from, such as tiktok.")] = "",
    source: Annotated[
        str | None, typer.Option(help="Where the images come from.", show_default="each file's path below DIR")
    ] = None,
    capture_time: Annotated[CaptureTime, typer.Option(help="Where the capture time is read from.")] = CaptureTime.NONE,
    no_manifest: Annotated[
        bool, typer.Option("--no-manifest", help="Index every image, even if DIR has a manifest.jsonl.")
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Send all images again, also images that an interrupted run has already sent."),
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Replace the metadata of images that are already stored; sends all images again."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    address: Address = None,
) -> None:
    """Index images for `axia search` and `axia preference`.

    The command uses files whose names end in .jpg, .jpeg, .png or .webp and don't begin with a dot. It skips images of
    other formats, such as GIF, BMP and HEIC, and lists them on standard error.

    If DIR has a manifest.jsonl, only the images of its rows are indexed, with the platform, source and capture_time of
    each row. --platform, --source and --capture-time are the defaults for rows without these fields. Example of a row:
    {"file": "tiktok/a.jpg", "platform": "tiktok"}; "index": false leaves an image out.

    After an interruption, run the same command again to continue. An image that is sent twice is stored only once.

    Exit code: 0, 1 if any image was refused or the run failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is not a folder: give one with images", param_hint="DIR")
    manifest = None if no_manifest else read_manifest(folder)
    given = pictures_at([str(folder)], tell_skipped=manifest is None)
    paths = given.pictures if manifest is None else _of_manifest(given.pictures, manifest, folder)
    if not paths:
        if not given.missing:
            complain(f"{folder}: its manifest.jsonl lists no image to index: add rows, or use --no-manifest")
        raise typer.Exit(1)
    report = _Report()
    with connect(address) as client:
        journal = Journal(folder, client.address)
        if fresh or update:
            journal.forget()
        left = []
        for path in paths:
            if done := journal.find(path):
                report.skipped += 1
                report.note(path, done)
            else:
                left.append(path)

        def described() -> "Iterator[tuple[Path, ImageMetadata]]":
            from axia.results import ImageMetadata

            for path in left:
                if reason := _unsendable(path):
                    report.rejected.append((written(path), *reason))
                    continue
                known = NOTHING if manifest is None else manifest[path]
                where = source if source is not None else written(os.path.relpath(path, folder))
                yield (
                    Path(path),
                    ImageMetadata(
                        platform=platform if known.platform is None else known.platform,
                        source=where if known.source is None else known.source,
                        capture_time=known.capture_time or _captured(path, capture_time),
                    ),
                )

        send = partial(client.index_images, update_metadata=update)
        code = _index(lambda: send(described()), journal, len(left), report)
    if code == 0:
        journal.forget()
    elif code == EXIT_INTERRUPTED:
        complain(f"interrupted; {len(paths) - _count(report)} images are left: run the same command to continue")
    _print(report, json=json)
    refused = [message for _, _, message in report.rejected]
    if any(_is_about_option(message, platform, source) for message in refused):
        raise typer.Exit(EXIT_USAGE)
    raise typer.Exit(code or (1 if refused else 0))


def _is_about_option(message: str, platform: str, source: str | None) -> bool:
    """Whether an image was refused for --platform or --source, and not for what its row of the manifest says."""
    return bool(platform and message.startswith("metadata.platform")) or bool(
        source is not None and message.startswith("metadata.source")
    )


def _unsendable(path: str) -> tuple[str, str] | None:
    """Reason and advice for a file that would end the whole stream."""
    from axia._connection.transport import MAX_MESSAGE_BYTES

    try:
        size = Path(path).stat().st_size
    except OSError:
        return "FILE_GONE", "the file is gone, or a link leads nowhere: restore or remove it"
    if not os.access(path, os.R_OK):
        return "FILE_UNREADABLE", "this user may not read the file: change its permissions"
    if size > MAX_MESSAGE_BYTES - _ENVELOPE_BYTES:
        return "IMAGE_TOO_LARGE", f"the file has {size / 2**20:.1f} MiB: make it smaller"
    return None


def _count(report: _Report) -> int:
    return report.indexed + report.known + report.skipped + len(report.rejected)


def _index(
    send: "Callable[[], Generator[Acknowledgement, None, None]]", journal: Journal, total: int, report: _Report
) -> int:
    """Sends the images and returns the exit code."""
    from axia.errors import AxiaError

    if not total:
        return 0
    try:
        with journal, _progress(total) as advance, closing(send()) as results:
            for result in results:
                _note(result, journal, report)
                advance()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (AxiaError, OSError) as error:
        complain(f"{describe(error)}; what was acknowledged is stored: run the same command to continue")
        return exit_code(error)
    return 0


def _note(result: "Acknowledgement", journal: Journal, report: _Report) -> None:
    from axia.results import Rejected

    path = result.path or ""
    if isinstance(result, Rejected):
        report.rejected.append((written(path), result.reason, result.message))
        return
    if result.duplicate:
        report.known += 1
    else:
        report.indexed += 1
    done = Done(result.id, result.perceptual_hash)
    report.note(path, done)
    journal.add(path, done)


def _of_manifest(paths: list[str], manifest: Mapping[str, Known], folder: Path) -> list[str]:
    """The images to take in by the manifest, and says what it leaves out. A row whose file is gone is among them."""
    wanted = sorted(path for path, known in manifest.items() if known.wanted)
    left_out = len(set(paths) - set(wanted))
    told = f"{folder / MANIFEST} says which images are indexed: {len(wanted):,}"
    complain(
        told + (f"; {left_out:,} others below {folder} are left out (--no-manifest indexes all)" if left_out else "")
    )
    return wanted


def _captured(path: str, how: CaptureTime) -> datetime | None:
    """When an image was captured. EXIF without an offset is taken as this machine's local time."""
    if how is CaptureTime.NONE:
        return None
    if how is CaptureTime.MTIME:
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
    from PIL import Image

    from axia.cli._images.exif_times import captured_at

    warnings.filterwarnings("ignore", module=r"PIL\.")  # about odd EXIF, which is no concern of who indexes pictures
    try:
        with Image.open(path, formats=FORMATS) as picture:
            exif = picture.getexif().get_ifd(_EXIF_IFD)
    except Exception:  # PIL raises many types for odd EXIF
        return None  # the server says what is wrong with the picture; a time is a nicety
    return captured_at(exif.get(_DATE_TIME_ORIGINAL), exif.get(_OFFSET_TIME_ORIGINAL))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar with the rate, where somebody can see it."""
    errors = console(stderr=True)
    if not errors.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:.1f} images/s")

    columns = (BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("indexing", total=total)
        yield lambda: progress.advance(task)


def _print(report: _Report, *, json: bool) -> None:
    exact = [paths for paths in report.ids.values() if len(paths) > 1]
    alike = near_duplicates(report.hashes)
    if json:
        print_json(
            {
                "indexed": report.indexed,
                "known": report.known,
                "skipped": report.skipped,
                "rejected": [dict(zip(("path", "reason", "message"), one, strict=True)) for one in report.rejected],
                "duplicates": exact,
                "near_duplicates": [pair._asdict() for pair in alike],
            }
        )
        return
    out = console()
    parts = [f"{report.indexed} indexed", f"{report.known} {'was' if report.known == 1 else 'were'} already stored"]
    if report.skipped:
        parts.append(f"{report.skipped} acknowledged before")
    parts.append(f"{len(report.rejected)} refused")
    out.print(", ".join(parts), soft_wrap=True)
    for reason, count in Counter(reason for _, reason, _ in report.rejected).most_common():
        complain(f"{count} refused with {reason}:")
        _lines(
            [f"  {path}: {fault_of(message)}" for path, why, message in report.rejected if why == reason], error=True
        )
    if exact:
        out.print(f"copies of the same file: {sum(len(paths) - 1 for paths in exact)}", soft_wrap=True)
        _lines(["  " + " = ".join(paths) for paths in exact])
    if alike:
        out.print(f"pairs that look alike: {len(alike)}", soft_wrap=True)
        _lines([_alike(pair) for pair in alike])


def _alike(pair: Alike) -> str:
    return f"  {pair.first} ~ {pair.second} ({pair.distance} of 64 bits differ)"


def _lines(lines: list[str], *, error: bool = False) -> None:
    """The first lines; --json has all."""
    file = sys.stderr if error else sys.stdout
    for line in lines[:_SHOWN]:
        print(printable(line), file=file)
    if len(lines) > _SHOWN:
        print(f"  and {len(lines) - _SHOWN} more; --json has them all", file=file)
