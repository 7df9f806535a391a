"""What a report is made of: sections with paragraphs, tables and figures, which know no format."""

from collections.abc import Sequence
from typing import NamedTuple

from axia.results.scoring import Interval

Cell = str | int | float | None
"""What stands in a table; None where there is no figure."""


class PValue(float):
    """A probability, which a page shows with three digits, or as below 0.001; files have every digit."""


def p_value(value: float | None) -> PValue | None:
    """A probability as a cell; None where there is none."""
    return None if value is None else PValue(value)


class Table(NamedTuple):
    """A table, the same in HTML, CSV and LaTeX."""

    id: str
    """Name of its files."""
    caption: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    digits: int = 2
    """Digits behind the point that a page and LaTeX show; CSV has all."""


class Figure(NamedTuple):
    """A drawing in SVG, with what it shows in words for readers who can't see it."""

    caption: str
    svg: str


class Section(NamedTuple):
    """A part of the report."""

    id: str
    title: str
    paragraphs: Sequence[str]
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


def shown(cell: Cell, digits: int = 2) -> str:
    """A cell as text: a dash where there is no figure."""
    if cell is None:
        return "—"
    if isinstance(cell, PValue):
        return "< 0.001" if cell < 0.001 else f"{cell:.3f}"  # noqa: PLR2004 - three digits
    return f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell)


def ends(interval: Interval | None, scale: float = 1.0) -> tuple[Cell, Cell]:
    """Both ends of an interval."""
    return (None, None) if interval is None else (interval.low * scale, interval.high * scale)
