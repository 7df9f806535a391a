"""What `axia detect`, `replay` and `watch` say of a detection: marks, figures and short texts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from axia.cli._output import console, printable

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


def print_mean_line(mean: "Mean | None", judge: "JudgeFigures | None") -> None:
    """Prints the mean alignment, where it is over several images or a card says how far it can be trusted."""
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
    """Whether the image had a ground truth; a gateway of an earlier release shows it by what came of it alone."""
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
