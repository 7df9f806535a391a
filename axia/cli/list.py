"""`axia list`: what is known of the indexed images."""

from typing import Annotated

import typer

from axia.cli._filters import CapturedBefore, CapturedFrom, Platforms, Sources, chosen
from axia.cli._output import Address, complain, connect, console, describe, exit_code, printable


def list_images(
    platform: Platforms = None,
    source: Sources = None,
    captured_from: CapturedFrom = None,
    captured_before: CapturedBefore = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line instead of a table.")] = False,
    address: Address = None,
) -> None:
    """List indexed images with id, platform, time and source. Options filter the list.

    Exit code: 0, even if there are none, 1 after a failure, 2 for wrong usage.
    """
    wanted = chosen(platform, source, captured_from, captured_before)
    count = 0
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            for image in client.list_images(wanted):
                count += 1
                if json:
                    print(image.model_dump_json())
                    continue
                time = image.metadata.capture_time
                cells = [image.id[:12], image.metadata.platform or "-", time.isoformat() if time else "-"]
                console().print("  ".join(map(printable, [*cells, image.metadata.source])), soft_wrap=True)
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    if not json:
        console(stderr=True).print("1 image" if count == 1 else f"{count:,} images", soft_wrap=True)
