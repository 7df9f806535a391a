"""Options that choose among indexed images."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from axia.inputs import SearchFilter

Platforms = Annotated[list[str] | None, typer.Option("--platform", help="Only images of this platform (repeatable).")]
Sources = Annotated[list[str] | None, typer.Option("--source", help="Only images of this source (repeatable).")]
CapturedFrom = Annotated[
    datetime | None,
    typer.Option("--from", metavar="TIME", help="Only images captured at or after this time, in UTC."),
]
CapturedBefore = Annotated[
    datetime | None, typer.Option("--before", metavar="TIME", help="Only images captured before this time, in UTC.")
]


def chosen(
    platforms: list[str] | None, sources: list[str] | None, begin: datetime | None, end: datetime | None
) -> "SearchFilter | None":
    """What the options choose; None if none was given."""
    from axia.inputs import SearchFilter

    if not (platforms or sources or begin or end):
        return None
    return SearchFilter(
        platforms=tuple(platforms or ()), sources=tuple(sources or ()), captured_from=begin, captured_before=end
    )
