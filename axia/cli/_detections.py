"""How `axia detect` prints: a table, lines as they come, or JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from axia.cli._output import console, printable

if TYPE_CHECKING:
    from axia.judges.card import JudgeFigures
    from axia.results import Completion, Detection

_ABSTAINS: Mapping[str, str] = {
    "refused": "—  (abstains: the model declines)",
    "no_answer": "—  (abstains: no answer)",
    "none_in_minority": "—  (abstains: some say none, others name something)",
}
"""Stands where a consensus would if there were one, by the reason; the others say no more than the groups beside it."""
_MARKS = {1: "✓", 0: "✗", None: "?"}
"""How a completion's alignment is shown; None where it could not be judged."""
_BULLET = "·"
"""Begins a completion where none is judged."""


class Printer(Protocol):
    """Prints completions and detections."""

    streams: bool
    """Whether it wants each completion when it ends."""
    prints_at_once: bool
    """Whether it prints before `finish`."""
    judge: "JudgeFigures | None"
    """How far the judge agrees with people, to print beside its numbers; None where no card says it."""

    def completion(self, path: str, completion: "Completion") -> None:
        """One completion ended; called only where `streams` is set."""

    def summary(self, path: str, detection: "Detection") -> None:
        """All is known about a picture."""

    def finish(self) -> None:
        """There are no more pictures."""


def printer(*, json: bool, stream: bool, judged: bool) -> Printer:
    """The printer for these options.

    Args:
        json: Prints JSON.
        stream: Prints each completion when it ends.
        judged: Shows which completions name the ground truth; JSON has it where there is one.
    """
    if json:
        return _JsonEvents() if stream else _Json()
    return _Lines(judged) if stream else _Table(judged)


class _Json:
    """One object for each picture."""

    streams = False
    prints_at_once = True
    judge: "JudgeFigures | None" = None

    def completion(self, path: str, completion: "Completion") -> None:
        pass

    def summary(self, path: str, detection: "Detection") -> None:
        if self.judge is None:
            print(detection.model_dump_json(), flush=True)
        else:
            _print_json({**dict(detection), "judge_card": self.judge})

    def finish(self) -> None:
        pass


class _JsonEvents:
    """One object for each completion and each picture, told apart by "event"."""

    streams = True
    prints_at_once = True
    judge: "JudgeFigures | None" = None

    def completion(self, path: str, completion: "Completion") -> None:
        _print_json({"event": "completion", "path": path, "completion": completion})

    def summary(self, path: str, detection: "Detection") -> None:
        card = {} if self.judge is None else {"judge_card": self.judge}
        _print_json({"event": "summary", "path": path, "detection": detection, **card})

    def finish(self) -> None:
        pass


class _Lines:
    """A line for each completion when it ends, and one that sums up."""

    streams = True
    prints_at_once = True
    judge: "JudgeFigures | None" = None

    def __init__(self, judged: bool) -> None:
        self._judged = judged
        self._scores: list[int] = []

    def completion(self, path: str, completion: "Completion") -> None:
        numbers = f"#{completion.index} t={completion.temperature:g} seed={completion.seed}"
        how = f"ended by {completion.finish_reason}"
        print(f"{printable(path)}  {printable(completion.first_sentence)}  ({numbers} {how})", flush=True)

    def summary(self, path: str, detection: "Detection") -> None:
        figures = f"agreement {detection.agreement:.2f}, {_milliseconds(detection)} ms{_how_much(detection)}"
        if self._judged and _is_judged(detection):
            marks = zip(detection.completions, _marks(detection), strict=True)
            each = " ".join(f"#{completion.index} {mark}" for completion, mark in marks)
            figures = f"alignment {figure(detection.alignment)}: {each}, {figures}"
        print(f"{printable(path)}  consensus: {consensus_of(detection)}  ({figures})", flush=True)
        self._scores += _scores(detection)

    def finish(self) -> None:
        if self.judge is not None:
            print(_alignment(self._scores, self.judge), flush=True)


class _Table:
    """A table at the end, one row for each picture."""

    streams = False
    prints_at_once = False
    judge: "JudgeFigures | None" = None

    def __init__(self, judged: bool) -> None:
        self._judged = judged
        self._rows: list[tuple[str, Detection]] = []

    def completion(self, path: str, completion: "Completion") -> None:
        pass

    def summary(self, path: str, detection: "Detection") -> None:
        self._rows.append((path, detection))

    def finish(self) -> None:
        if not self._rows:
            return
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_lines=len(self._rows) > 1)
        names = [Path(path).name for path, _ in self._rows]
        short = len(set(names)) == len(names)  # the folders would only repeat what the caller typed
        table.add_column("picture", overflow="fold")
        table.add_column("completions, = consensus", overflow="fold")
        table.add_column("agreement", justify="right", no_wrap=True)
        if self._judged:
            table.add_column("alignment", justify="right", no_wrap=True)
        table.add_column("ms", justify="right", no_wrap=True)
        for path, detection in self._rows:
            # In a grid of its own the second line of a long completion does not look like the next completion.
            said = Table.grid(padding=(0, 1))
            said.add_column(no_wrap=True)
            said.add_column(overflow="fold")
            beginnings = [" " if self._judged else _BULLET] * len(detection.completions)
            if self._judged and _is_judged(detection):
                beginnings = _marks(detection)
            for beginning, completion in zip(beginnings, detection.completions, strict=True):
                said.add_row(beginning, printable(completion.first_sentence))
            # Below the completions and not beside them, which would halve the width of both.
            said.add_row("=", consensus_of(detection), style="bold")
            agreement = f"{detection.agreement:.2f}{_how_much(detection)}"
            name = Path(path).name if short else path
            alignment = [figure(detection.alignment)] if self._judged else []
            table.add_row(printable(name), said, agreement, *alignment, _milliseconds(detection))
        console().print(table)
        if self.judge is not None:
            scores = [score for _, detection in self._rows for score in _scores(detection)]
            console().print(_alignment(scores, self.judge))


def _print_json(event: dict[str, object]) -> None:
    from pydantic_core import to_json

    print(to_json(event).decode(), flush=True)


def consensus_of(detection: "Detection") -> str:
    """The consensus, or that there is none."""
    if detection.consensus is None:
        return _ABSTAINS.get(detection.abstain_reason or "", "—  (abstains)")
    return printable(detection.consensus)


def mark(score: int | None) -> str:
    """Whether a completion names the ground truth; None where that could not be judged."""
    return _MARKS[score]


def figure(alignment: float | None) -> str:
    """An alignment as it is shown."""
    return "—" if alignment is None else f"{alignment:.2f}"


def _scores(detection: "Detection") -> list[int]:
    """The scores of the completions that could be judged."""
    alignments = [reading.alignment for reading in detection.readings if reading.alignment]
    return [own.score for own in alignments if own.score is not None]


def _alignment(scores: list[int], judge: "JudgeFigures") -> str:
    """The alignment over all pictures, with how far its judge agrees with people."""
    share = sum(scores) / len(scores) if scores else None
    return f"alignment {figure(share)} ({printable(judge.validity())})"


def _is_judged(detection: "Detection") -> bool:
    """Whether the picture had a ground truth; a gateway of an earlier release shows it by what came of it alone."""
    if detection.provenance.ground_truth is not None or "alignment" in detection.missing:
        return True
    return any(reading.alignment for reading in detection.readings)


def _marks(detection: "Detection") -> list[str]:
    """Whether each completion names the ground truth; nothing says so where the scoring service is missing."""
    scores = [reading.alignment.score if reading.alignment else None for reading in detection.readings]
    return [mark(score) for score in scores or [None] * len(detection.completions)]


def _milliseconds(detection: "Detection") -> str:
    return f"{detection.timings_ms['total']:.0f}"


def _how_much(detection: "Detection") -> str:
    """Says where the deadline cut a detection short."""
    if not detection.partial:
        return ""
    return f" ({detection.completions_done} of {detection.completions_requested} done)"
