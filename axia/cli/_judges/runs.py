"""Asking several judges about a file of answers, with what could not be asked on standard error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from axia.cli._output import complain, console, describe, exit_code, printable

if TYPE_CHECKING:
    from axia.client import Client
    from axia.judges.asking import JudgeName, Verdicts
    from axia.judges.labels import Rows
    from axia.results import Detection

_ENOUGH = 0.5
"""The share of answers that a judge should be able to judge."""


def judge_names(models: Sequence[str] | None, samples: int, structured: bool) -> "list[JudgeName]":
    """Words, meaning, and each model once."""
    from axia.judges.asking import JudgeName

    asked = dict.fromkeys(models or ())
    return [
        JudgeName(judge="lexical"),
        JudgeName(judge="semantic"),
        *(JudgeName(judge="model", model=model, samples=samples, structured=structured) for model in asked),
    ]


def ask_all(
    client: "Client", names: "Sequence[JudgeName]", rows: "Rows", recorded: Sequence[str], timeout: float
) -> "tuple[list[Verdicts], int]":
    """Asks judges about the rows.

    Args:
        client: Of the gateway.
        names: Who is asked now.
        rows: The answers.
        recorded: Models whose answers the rows have.
        timeout: Time limit for one call, in seconds.

    Returns:
        The verdicts of those that could be asked, and the exit code: 0, 1 if any could not, in part or whole, 2 if an
        option was refused.
    """
    from axia.errors import AxiaError
    from axia.judges.asking import JudgeName, ask

    said, code = [], 0
    everybody = [*names, *(JudgeName(judge="model", model=model, recorded=True) for model in recorded)]
    with _progress(len(everybody) * len(rows.rows)) as advance:
        for name in everybody:
            answers = [row.judge_answers[name.model] for row in rows.rows] if name.recorded else []
            try:
                found = ask(client, name, rows.items, recorded=answers, timeout=timeout, done=advance)
            except AxiaError as error:
                complain(f"{printable(str(name))}: {describe(error)}")
                code = max(code, exit_code(error))
                continue
            if found.failed:
                complain(
                    f"{printable(str(name))}: {found.failed} answers could not be judged: {printable(found.failure)}"
                )
                code = max(code, 1)
            if name.judge == "model":
                judged = sum(score is not None for score in found.scores)
                tell_if_few(str(name), judged, len(found.scores), held=name.structured or name.recorded)
            said.append(found)
    return said, code


def tell_if_few(name: str, judged: int, total: int, *, held: bool) -> None:
    """Warns of a model that seldom says yes or no: its figures rest on a few answers.

    Args:
        name: The model's.
        judged: Answers of which it says yes or no.
        total: Answers that it was asked about.
        held: Whether it can't be held to "yes" and "no", or is already.
    """
    if judged >= _ENOUGH * total:
        return
    advice = "another model" if held else "another model, or add --judge-structured"
    complain(
        f"{printable(name)} judged {judged} of {total} answers and gave no verdict on the others, so its results are "
        f"based on few answers. Use {advice}"
    )


class JudgeModels:
    """Counts what judge models of detections said, to warn of those that seldom say yes or no."""

    def __init__(self) -> None:
        self._judged: dict[tuple[str, bool], list[int]] = {}

    def add(self, detection: "Detection") -> None:
        """An image was answered, judged or not."""
        truth = detection.provenance.ground_truth
        if truth is None or truth.judge != "model":
            return
        known = [reading.alignment.score is not None for reading in detection.readings if reading.alignment]
        counts = self._judged.setdefault((truth.judge_model or detection.model, truth.judge_structured), [0, 0])
        counts[0] += sum(known)
        counts[1] += len(known)

    def tell(self, *, can_hold: bool = True) -> None:
        """Warns on standard error.

        Args:
            can_hold: Whether the command can hold a judge to "yes" and "no".
        """
        for (model, structured), (judged, total) in self._judged.items():
            tell_if_few(model, judged, total, held=structured or not can_hold)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar where somebody can see it."""
    errors = console(stderr=True)
    if not errors.is_terminal:
        yield lambda count: None
        return
    from rich.progress import Progress

    with Progress(console=errors, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("judging", total=total)
        yield lambda count: progress.advance(task, count)
