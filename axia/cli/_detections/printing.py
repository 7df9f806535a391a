"""How `axia detect` prints: a table, lines as they come, or JSON."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from axia._file_names import written
from axia.cli._failures import failure_of
from axia.cli._output import console, print_json, printable, printable_path

if TYPE_CHECKING:
    from rich.text import Text

    from axia.cli._detections.mean import Mean
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
_STYLES = {1: "green", 0: "red", None: "yellow"}
LEGEND = "✓ names what annotators named, ✗ does not, ? could not be judged"
"""Explains the marks."""


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

    def failure(self, path: str, error: Exception) -> None:
        """A picture has no answer, which standard error has been told."""

    def finish(self, mean: "Mean | None") -> None:
        """There are no more pictures; `mean` is over all of them, where they have one."""


def printer(*, json: bool, stream: bool, judged: bool) -> Printer:
    """The printer for these options.

    Args:
        json: Prints JSON.
        stream: Prints each completion when it ends.
        judged: Shows which completions name the ground truth; JSON has it where there is one.
    """
    if json:
        return _JsonEvents() if stream else _Json()
    if stream:
        return _Lines(judged)
    from axia.cli._detections.table import DetectionTable

    return DetectionTable(judged)


def json_row(path: str, outcome: "Detection | Exception", judge: "JudgeFigures | None" = None) -> "object":
    """What JSON has of a picture: its detection, or its path and why it has none."""
    if isinstance(outcome, Exception):
        return {"image": {"path": written(path)}, "error": failure_of(outcome)}
    return outcome if judge is None else {**dict(outcome), "judge_card": judge}


class _Json:
    """One object for each picture, and one for the mean."""

    streams = False
    prints_at_once = True
    judge: "JudgeFigures | None" = None

    def completion(self, path: str, completion: "Completion") -> None:
        pass

    def summary(self, path: str, detection: "Detection") -> None:
        print_json(json_row(path, detection, self.judge))

    def failure(self, path: str, error: Exception) -> None:
        print_json(json_row(path, error))

    def finish(self, mean: "Mean | None") -> None:
        _print_mean(mean, self.judge)


class _JsonEvents:
    """One object for each completion and each picture, told apart by "event"."""

    streams = True
    prints_at_once = True
    judge: "JudgeFigures | None" = None

    def completion(self, path: str, completion: "Completion") -> None:
        print_json({"event": "completion", "path": written(path), "completion": completion})

    def summary(self, path: str, detection: "Detection") -> None:
        card = {} if self.judge is None else {"judge_card": self.judge}
        print_json({"event": "summary", "path": written(path), "detection": detection, **card})

    def failure(self, path: str, error: Exception) -> None:
        print_json({"event": "error", "path": written(path), "error": failure_of(error)})

    def finish(self, mean: "Mean | None") -> None:
        _print_mean(mean, self.judge)


def _print_mean(mean: "Mean | None", judge: "JudgeFigures | None") -> None:
    if mean is not None and mean.several:
        print_json(mean.as_row() if judge is None else {**mean.as_row(), "judge_card": judge})


class _Lines:
    """A line for each completion when it ends, and one that sums up."""

    streams = True
    prints_at_once = True
    judge: "JudgeFigures | None" = None

    def __init__(self, judged: bool) -> None:
        self._judged = judged
        self._marked = False

    def completion(self, path: str, completion: "Completion") -> None:
        numbers = f"#{completion.index} t={completion.temperature:g} seed={completion.seed}"
        how = f"ended by {completion.finish_reason}"
        print(f"{printable_path(path)}  {answer_of(completion)}  ({numbers} {how})", flush=True)

    def summary(self, path: str, detection: "Detection") -> None:
        from rich.text import Text

        figures = f"agreement {detection.agreement:.2f}, {milliseconds(detection)} ms"
        if detection.partial:
            figures += f" ({how_much(detection)})"
        line = Text(f"{printable_path(path)}  consensus: {consensus_of(detection)}  (")
        if self._judged and is_judged(detection):
            self._marked = True
            line.append(f"alignment {figure(detection.alignment)}:")
            for completion, score in zip(detection.completions, scores(detection), strict=True):
                line.append(f" #{completion.index} ").append(marked(score))
            line.append(", ")
        console().print(line.append(f"{figures})"), soft_wrap=True)

    def failure(self, path: str, error: Exception) -> None:
        pass

    def finish(self, mean: "Mean | None") -> None:
        if self._marked:
            console().print(LEGEND, soft_wrap=True)
        print_mean_line(mean, self.judge)


def print_mean_line(mean: "Mean | None", judge: "JudgeFigures | None") -> None:
    """Prints the mean alignment, where it is over several pictures or a card says how far it can be trusted."""
    if mean is None or not (mean.several or judge):
        return
    trust = f" ({printable(judge.validity())})" if judge else ""
    console().print(f"mean {mean.figures()}{trust}", style="bold", soft_wrap=True)
    console().print(mean.counts(), soft_wrap=True)


def answer_of(completion: "Completion") -> str:
    """What a completion says, or why it says nothing."""
    if completion.first_sentence.strip():
        return printable(completion.first_sentence)
    if completion.finish_reason == "reasoning":
        return "(no answer: its tokens went into reasoning; give more with --max-tokens)"
    if completion.reasoning:
        return "(no answer: the model only reasoned)"
    return "(no answer)"


def consensus_of(detection: "Detection") -> str:
    """The consensus, or that there is none."""
    if detection.consensus is None:
        return _ABSTAINS.get(detection.abstain_reason or "", "—  (abstains)")
    return printable(detection.consensus)


def mark(score: int | None) -> str:
    """Whether a completion names the ground truth; None where that could not be judged."""
    return _MARKS[score]


def marked(score: int | None) -> "Text":
    """The same in colour."""
    from rich.text import Text

    return Text(mark(score), style=_STYLES[score])


def figure(alignment: float | None) -> str:
    """An alignment as it is shown."""
    return "—" if alignment is None else f"{alignment:.2f}"


def is_judged(detection: "Detection") -> bool:
    """Whether the picture had a ground truth; a gateway of an earlier release shows it by what came of it alone."""
    if detection.provenance.ground_truth is not None or "alignment" in detection.missing:
        return True
    return any(reading.alignment for reading in detection.readings)


def scores(detection: "Detection") -> list[int | None]:
    """Whether each completion names the ground truth; nothing says so where the scoring service is missing."""
    found = [reading.alignment.score if reading.alignment else None for reading in detection.readings]
    return found or [None] * len(detection.completions)


def milliseconds(detection: "Detection") -> str:
    """The time that it took."""
    return f"{detection.timings_ms['total']:.0f}"


def how_much(detection: "Detection") -> str:
    """How far a detection came that the deadline cut short."""
    return f"{detection.completions_done} of {detection.completions_requested} done"
