"""The table of `axia preference`."""

from typing import TYPE_CHECKING

from axia.cli._output import complain, console, printable

if TYPE_CHECKING:
    from axia.results.scoring import PreferenceScores


def _level(scores: "PreferenceScores") -> str:
    """The confidence level of the intervals."""
    level = next((score.interval.level for score in scores.scores if score.interval), 0.95)
    return f"{100 * level:g}%"


def print_scores(scores: "PreferenceScores", failed: int) -> None:
    """Prints a row for each value, and what they come to together.

    Args:
        scores: The scores.
        failed: Images that could not be judged, which standard error is told.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column("\nvalue", no_wrap=True)
    for name in ("% of\nyes/no", f"{_level(scores)}\ninterval", "\nrank", "% of\nall", "\nrank", "answers/\nkeywords"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("yes", "no", "refused", "unread"):
        table.add_column(f"\n{name}", justify="right", no_wrap=True)
    for score in scores.scores:
        interval = f"{score.interval.low:.0f}–{score.interval.high:.0f}" if score.interval else "—"
        percentage = "—" if score.percentage is None else f"{score.percentage:.1f}"
        counts = (score.yes, score.no, score.refusals, score.unparsed)
        table.add_row(
            printable(score.value), percentage, interval, str(score.rank or "—"), f"{score.percentage_of_all:.1f}",
            str(score.rank_of_all or "—"), f"{score.answers}/{score.keywords}", *map(str, counts),
        )  # fmt: skip
    console().print(table)
    if scores.groups:
        groups = ", ".join(f"{printable(group.group)} {group.mean:.1f}%" for group in scores.groups)
        console().print(f"Groups of values: {groups}")
    if scores.mean is not None:
        spread = _spread(scores.mean, scores.standard_deviation, scores.range)
        console().print(f"Over the values, counting only the answers yes and no: {spread}.")
    if scores.of_all is not None:
        spread = _spread(scores.of_all.mean, scores.of_all.standard_deviation, scores.of_all.range)
        console().print(f"Over the values, counting all answers: {spread}.")
    console().print(
        "The interval counts only the answers yes and no, and is clustered by keyword where answers have one. The "
        "study divides by all answers."
    )
    if failed:
        complain(f"{failed} images could not be judged and count in no score")


def _spread(mean: float, deviation: float | None, distance: float | None) -> str:
    said = f"mean {mean:.1f}%"
    if deviation is not None:
        said += f", standard deviation (n - 1) {deviation:.1f} points"
    return said if distance is None else f"{said}, range {distance:.1f} points"
