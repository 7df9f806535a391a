"""The table of `axia detect`: for each image a line with its figures, and below it what the model said.

Completions stand below their image's name, and not beside it: at 80 columns both have room.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from axia.cli._detections.wording import (
    LEGEND,
    answer_of,
    consensus_of,
    figure,
    how_much,
    is_judged,
    marked,
    milliseconds,
    print_mean_line,
    scores,
)
from axia.cli._output import console, printable, printable_path

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from axia.cli._detections.mean import Mean
    from axia.judges.card import JudgeFigures
    from axia.results import Completion, Detection, Reading

_BULLET = "·"
"""Begins a completion where none is judged."""
_KINDS = {"value_aware": "value-aware", "picture_quality": "image quality"}
"""Kinds of answers for people, where they are not called as in JSON."""
_KIND_WIDTH = 15
_GAP = 2
_LEAST_WEIGHT = 0.05
"""Values below it are not shown."""


class DetectionTable:
    """Prints all when it is finished."""

    streams = False
    prints_at_once = False
    judge: "JudgeFigures | None" = None

    def __init__(self, judged: bool) -> None:
        self._judged = judged
        self._marked = False
        self._rows: list[tuple[str, Detection]] = []

    def completion(self, path: str, completion: "Completion") -> None:
        """Not asked for."""

    def summary(self, path: str, detection: "Detection") -> None:
        """An image is answered."""
        self._rows.append((path, detection))

    def failure(self, path: str, error: Exception) -> None:
        """Has no row: standard error says why."""

    def finish(self, mean: "Mean | None") -> None:
        """Prints the table."""
        if not self._rows:
            return
        out = console()
        kinds = any(detection.readings for _, detection in self._rows)
        names = [Path(path).name for path, _ in self._rows]
        short = len(set(names)) == len(names)  # the folders would only repeat what the caller typed
        heads = ["agreement", *(["alignment"] if self._judged else []), "ms"]
        _print_line(out, "image", heads, "bold")
        _print_below(out, [("", "completions, = consensus", "kind of answer" if kinds else "")], "bold")
        for path, detection in self._rows:
            out.print(_rule(out))
            alignment = [figure(detection.alignment)] if self._judged else []
            figures = [f"{detection.agreement:.2f}", *alignment, milliseconds(detection)]
            _print_line(out, printable_path(Path(path).name if short else path), figures, "")
            self._print_answers(out, detection, kinds=kinds)
        if self._marked:
            out.print(_rule(out))
            out.print(LEGEND, soft_wrap=True)
        print_mean_line(mean, self.judge)

    def _print_answers(self, out: "Console", detection: "Detection", *, kinds: bool) -> None:
        from rich.text import Text

        judged = self._judged and is_judged(detection)
        self._marked = self._marked or judged
        marks = [Text(" " if self._judged else _BULLET)] * len(detection.completions)
        if judged:
            marks = [marked(score) for score in scores(detection)]
        readings: list[Reading | None] = [*detection.readings] or [None] * len(detection.completions)
        said = zip(marks, detection.completions, readings, strict=True)
        rows = [(mark, answer_of(completion), _kind(reading) if kinds else "") for mark, completion, reading in said]
        _print_below(out, rows, "")
        _print_below(out, [("=", consensus_of(detection), "")], "bold")
        further = []
        if values := _values(detection):
            further.append(("", f"values: {values}", ""))
        if detection.partial:
            further.append(("", how_much(detection) + " when the time was over", ""))
        if detection.missing:
            parts = ", ".join(part.replace("_", " ") for part in detection.missing)
            further.append(("", f"missing: {parts}", ""))
        _print_below(out, further, "")


def _print_line(out: "Console", name: str, figures: list[str], style: str) -> None:
    """A name at the left and figures at the right; where there is no room for both, the figures come below."""
    from rich.cells import cell_len
    from rich.text import Text

    widths = [9 + _GAP] * (len(figures) - 1) + [7 + _GAP]
    right = "".join(value.rjust(width) for value, width in zip(figures, widths, strict=True))
    room = out.width - len(right)
    if cell_len(name) > room:
        out.print(Text(name, style), overflow="fold")
        name = ""
    out.print(Text(name + " " * (room - cell_len(name)) + right, style), overflow="fold")


def _print_below(out: "Console", rows: "Sequence[tuple[str | Text, str, str]]", style: str) -> None:
    """Mark, text and kind; a text's next lines begin below its first, so that they don't look like another text."""
    from rich.table import Table

    if not rows:
        return
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=3, justify="right", no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    if any(kind for _, _, kind in rows):
        grid.add_column(width=_KIND_WIDTH, justify="right", no_wrap=True)
    for mark, text, kind in rows:
        grid.add_row(mark, text, *([kind] if len(grid.columns) > 2 else []), style=style)  # noqa: PLR2004 - see above
    out.print(grid)


def _rule(out: "Console") -> "Text":
    from rich.text import Text

    return Text("─" * out.width, style="dim")


def _kind(reading: "Reading | None") -> str:
    """What kind of answer it is."""
    known = reading.response_type if reading else None
    if known is None:
        return ""
    if known.type is None:
        return f"not read ({printable(known.language)})" if known.language else "—"
    return _KINDS.get(known.type, known.type)


def _values(detection: "Detection") -> str:
    """The values that the answers concern, the heaviest first."""
    weights = sorted(detection.values.items(), key=lambda weighted: -weighted[1])
    return ", ".join(f"{printable(name)} {weight:.2f}" for name, weight in weights if weight >= _LEAST_WEIGHT)
