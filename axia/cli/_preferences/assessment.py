"""What `axia preference --out` saves: the request and every event, one JSON line each, from which --resume
continues."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from axia.results import Preference


@contextmanager
def assessment_file(path: Path | None, *, append: bool) -> Iterator[IO[str] | None]:
    """The file to write to; a new one that has no more than the request when all ends is removed again."""
    if append and path is not None:
        _cut_half_a_line(path)
    with nullcontext() if path is None else path.open("a" if append else "x", encoding="utf-8") as file:
        try:
            yield file
        finally:
            if path is not None and not append and path.read_text(encoding="utf-8").count("\n") <= 1:
                path.unlink()


def as_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Options as the client takes them; in a saved file a filter is an object of JSON."""
    from axia.inputs import SearchFilter

    wanted = options.get("filter")
    return {**options, "filter": SearchFilter.model_validate(wanted) if wanted else None}


def load_assessment(path: Path) -> "tuple[dict[str, Any], Preference]":
    """The options and events that --out saved; no summary where its scores are still to be asked for.

    Raises:
        typer.BadParameter: If they can't be gone on with.
    """
    from axia.results import Preference, PreferenceJudgement, PreferencePlan, PreferenceSummary

    options: dict[str, Any] = {}
    plan, summary, judgements = None, None, []
    try:
        for line in path.read_bytes().split(b"\n"):  # replies may have line breaks of other kinds
            try:
                record = json.loads(line)
            except ValueError:
                break  # half a line, from a run that was killed: that picture is asked about again
            match record["event"]:
                case "request":
                    options = record["request"]
                case "plan":
                    plan = PreferencePlan.model_validate(record["plan"])
                case "judgement":
                    judgements.append(PreferenceJudgement.model_validate(record["judgement"]))
                case "summary":
                    summary = PreferenceSummary.model_validate(record["summary"])
    except (OSError, ValueError, KeyError, TypeError):
        raise typer.BadParameter(f"{path} can't be read: give a file that --out wrote") from None
    if plan is None:
        raise typer.BadParameter(f"{path} was interrupted before it had a plan: start again without --resume")
    ordered = sorted({judgement.position: judgement for judgement in judgements}.items())
    unbroken = [judgement for number, (position, judgement) in enumerate(ordered) if number == position]
    whole = summary is not None and "scores" not in summary.missing
    return options, Preference(plan=plan, judgements=tuple(unbroken), summary=summary if whole else None)


def _cut_half_a_line(path: Path) -> None:
    """Removes what a killed run left behind the last line's end."""
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])
