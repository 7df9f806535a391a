"""`axia stats`: what is indexed."""

from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import Address, complain, connect, console, describe, exit_code, printable

if TYPE_CHECKING:
    from axia.results import IndexStats


def stats(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    address: Address = None,
) -> None:
    """Show the number of indexed images, their platforms, the search method, and the encoder."""
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            found = client.stats()
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    if json:
        print(found.model_dump_json())
    else:
        _print(found)


def _print(found: "IndexStats") -> None:
    out = console()
    out.print(str(found), soft_wrap=True)
    for platform, number in sorted(found.platforms.items(), key=lambda pair: (-pair[1], pair[0])):
        out.print(f"  {printable(platform) or 'without a platform'}: {number:,}", soft_wrap=True)
    if found.encoder is not None:
        encoder = printable(f"{found.encoder.name} {found.encoder.revision}")
        out.print(
            f"Encoder {encoder}, {found.encoder.dimension} numbers an image, in {printable(found.store)}",
            soft_wrap=True,
        )
