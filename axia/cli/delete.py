"""`axia delete`: deletes images from the index."""

import hashlib
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from axia.cli._filters import CapturedBefore, CapturedFrom, Platforms, Sources, chosen
from axia.cli._output import Address, complain, connect, console, describe, exit_code, print_json

_PER_CALL = 500
_ID = re.compile(r"[0-9a-f]{64}")


def delete(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID|PATH...]",
            help="Ids as `axia search --json` prints them, or files that were indexed.",
            show_default=False,
        ),
    ] = None,
    platform: Platforms = None,
    source: Sources = None,
    captured_from: CapturedFrom = None,
    captured_before: CapturedBefore = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    address: Address = None,
) -> None:
    """Delete images from the index and from the image store. Your own files are not changed.

    If you name a file, the stored image with the same bytes is deleted. The output has the number of images that were
    not stored. Instead of ids and files, options can choose all images of a platform, a source or a time. Afterwards,
    `axia purge` removes the remaining data from the server's files.

    Exit code: 0, 1 if it failed, 2 for wrong usage.
    """
    wanted = chosen(platform, source, captured_from, captured_before)
    if bool(pictures) == (wanted is not None):
        raise typer.BadParameter("give images, or options that choose them, not both")
    ids = list(dict.fromkeys(_id_of(picture) for picture in pictures or ()))
    if not yes and sys.stdin.isatty():
        what = _count(len(ids)) if ids else "all images that the options choose"
        typer.confirm(f"Delete {what} from the index?", abort=True, err=True)
    deleted = not_found = 0
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            if wanted is not None:
                deleted = client.delete_images(filter=wanted).deleted
            for begin in range(0, len(ids), _PER_CALL):
                done = client.delete_images(ids[begin : begin + _PER_CALL])
                deleted, not_found = deleted + done.deleted, not_found + done.not_found
        except AxiaError as error:
            complain(f"{describe(error)}; {_count(deleted)} were deleted before" if deleted else describe(error))
            raise typer.Exit(exit_code(error)) from error
    if json:
        print_json({"deleted": deleted, "not_found": not_found})
        return
    missing = f"; {not_found} not stored" if not_found else ""
    console().print(f"{_count(deleted)} deleted{missing}", soft_wrap=True)


def _id_of(picture: str) -> str:
    """The id of a stored image: as given, or the hash of a file's bytes.

    Raises:
        typer.BadParameter: If it is neither an id nor a file that can be read.
    """
    if _ID.fullmatch(picture):
        return picture
    try:
        return hashlib.sha256(Path(picture).read_bytes()).hexdigest()
    except OSError as error:
        raise typer.BadParameter(
            f"{picture!r} is neither an id of 64 hexadecimal digits, as `axia search --json` prints it, nor a file "
            f"that can be read: {error.strerror}",
            param_hint="ID|PATH",
        ) from error


def _count(number: int) -> str:
    return "1 image" if number == 1 else f"{number:,} images"
