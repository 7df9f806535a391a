"""Tables of `axia feed`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from axia.cli._output import console, printable

if TYPE_CHECKING:
    from feed.truth import Effect


def print_effects(effects: "Sequence[Effect]") -> None:
    """The truth, a row a persona and platform, and the mean of each platform."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("platform", "persona"):
        table.add_column(name, overflow="fold")
    for name in ("before", "after", "I %", "95% of the mean", "95% of a session"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in effects:
        table.add_row(
            one.platform,
            printable(one.persona),
            f"{one.before:.2f}",
            f"{one.after:.2f}",
            f"{one.change:.0f}",
            f"{one.interval.low:.0f} to {one.interval.high:.0f}",
            f"{one.prediction.low:.0f} to {one.prediction.high:.0f}",
        )
    console().print(table)
    for platform in dict.fromkeys(one.platform for one in effects):
        changes = [one.change for one in effects if one.platform == platform]
        console().print(f"{platform}: true I_avg {sum(changes) / len(changes):.0f}% over {len(changes)} personas")
    if undefined := sum(one.undefined for one in effects):
        total = sum(one.sessions for one in effects)
        console().print(
            f"I is not defined for {undefined} of {total} sessions, because nothing was liked in the first phase"
        )
