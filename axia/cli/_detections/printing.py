"""How `axia detect` prints: a table, lines as they come, or JSON."""

from typing import TYPE_CHECKING, Protocol

from axia._file_names import written
from axia.cli._detections.table import DetectionTable
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
from axia.cli._failures import failure_of
from axia.cli._output import console, print_json, printable_path

if TYPE_CHECKING:
    from axia.cli._detections.mean import Mean
    from axia.judges.card import JudgeFigures
    from axia.results import Completion, Detection


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
        """All is known about an image."""

    def failure(self, path: str, error: Exception) -> None:
        """An image has no answer, which standard error has been told."""

    def finish(self, mean: "Mean | None") -> None:
        """There are no more images; `mean` is over all of them, where they have one."""


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
    return DetectionTable(judged)


def json_row(path: str, outcome: "Detection | Exception", judge: "JudgeFigures | None" = None) -> "object":
    """What JSON has of an image: its detection, or its path and why it has none."""
    if isinstance(outcome, Exception):
        return {"image": {"path": written(path)}, "error": failure_of(outcome)}
    return outcome if judge is None else {**dict(outcome), "judge_card": judge}


class _Json:
    """One object for each image, and one for the mean."""

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
    """One object for each completion and each image, told apart by "event"."""

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
