"""`axia purge`: removes what is left of deleted images."""

from typing import Annotated

import typer

from axia.cli._output import Address, complain, connect, console, describe, exit_code, print_json


def purge(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    address: Address = None,
) -> None:
    """Remove all remaining data of deleted images from the server's disk: vectors, texts and bytes.

    The server builds the index again without them. This can take minutes; searches continue to work.

    Exit code: 0, 1 after a failure, 2 for wrong usage.
    """
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            purged = client.purge_images()
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    if json:
        print_json(purged)
        return
    console().print(f"Purged; {purged.orphans:,} files without an image were removed", soft_wrap=True)
    if purged.without_bytes:
        complain(f"{purged.without_bytes:,} images have lost their files; the server's log names them")
