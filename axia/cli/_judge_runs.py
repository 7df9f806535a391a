"""Asking several judges about a file of answers, with what could not be asked on standard error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from axia.cli._output import complain, console, describe, printable

if TYPE_CHECKING:
    from axia.client import Client
    from axia.judges.asking import JudgeName, Verdicts
    from axia.judges.labels import Rows

_ENOUGH = 0.5
"""The share of answers that a judge should be able to judge."""


def judge_names(models: Sequence[str] | None, samples: int, structured: bool) -> "list[JudgeName]":
    """Words, meaning, and each model once."""
    from axia.judges.asking import JudgeName

    asked = dict.fromkeys(models or ())
    return [
        JudgeName(judge="lexical"),
        JudgeName(judge="semantic"),
        *(JudgeName(judge="model", model=own, samples=samples, structured=structured) for own in asked),
    ]


def ask_all(
    client: "Client", names: "Sequence[JudgeName]", rows: "Rows", recorded: Sequence[str], timeout: float
) -> "tuple[list[Verdicts], bool]":
    """Asks judges about the rows.

    Args:
        client: Of the gateway.
        names: Who is asked now.
        rows: The answers.
        recorded: Models whose answers the rows have.
        timeout: Seconds for one call.

    Returns:
        The verdicts of those that could be asked, and whether any could not, in part or whole.
    """
    from axia.errors import AxiaError
    from axia.judges.asking import JudgeName, ask

    said, failed = [], False
    everybody = [*names, *(JudgeName(judge="model", model=own, recorded=True) for own in recorded)]
    with _progress(len(everybody) * len(rows.rows)) as advance:
        for name in everybody:
            answers = [row.judge_answers[name.model] for row in rows.rows] if name.recorded else []
            try:
                found = ask(client, name, rows.items, recorded=answers, timeout=timeout, done=advance)
            except AxiaError as error:
                complain(f"{printable(str(name))}: {describe(error)}")
                failed = True
                continue
            if found.failed:
                complain(
                    f"{printable(str(name))}: {found.failed} answers could not be judged: {printable(found.failure)}"
                )
                failed = True
            tell_if_few(name, sum(score is not None for score in found.scores), len(found.scores))
            said.append(found)
    return said, failed


def tell_if_few(name: "JudgeName", judged: int, total: int) -> None:
    """Warns of a model that seldom says yes or no: its figures rest on a few answers."""
    if name.judge != "model" or judged >= _ENOUGH * total:
        return
    advice = "another model" if name.structured or name.recorded else "another model, or add --judge-structured"
    complain(
        f"{printable(str(name))} judged {judged} of {total} answers and said neither yes nor no of the others: its "
        f"figures rest on few answers. Take {advice}"
    )


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
