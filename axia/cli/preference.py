"""`axia preference`: how much a model likes images of each value."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axia.cli._output import (
    EXIT_INTERRUPTED,
    Address,
    complain,
    connect,
    console,
    describe,
    exit_code,
    print_json,
)
from axia.cli._personas import Persona, Traits, traits_of
from axia.cli._preferences.assessment import as_arguments, assessment_file, load_assessment
from axia.cli._preferences.notices import tell_missing_descriptions, tell_shared_pictures, tell_short_keywords
from axia.cli._preferences.tables import print_scores

if TYPE_CHECKING:
    from axia.client import Client
    from axia.results import Preference, PreferenceEvent, PreferenceSummary


class Modality(StrEnum):
    """What the model is asked about."""

    PICTURE = "picture"
    DESCRIPTION = "description"


def preference(
    model: Annotated[
        str | None, typer.Option(help="A model that `axia models` lists.", show_default="the gateway's first")
    ] = None,
    values: Annotated[
        list[str] | None, typer.Option("--values", "--value", help="Value (repeatable).", show_default="all ten")
    ] = None,
    keywords: Annotated[
        list[str] | None, typer.Option("--keywords", "--keyword", help="Keyword (repeatable).", show_default="all")
    ] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Images per keyword.", show_default="5")] = None,
    platform: Annotated[list[str] | None, typer.Option(help="Only images of this platform (repeatable).")] = None,
    score_threshold: Annotated[
        float | None,
        typer.Option(
            "--score-threshold",
            min=-1,
            max=1,
            help="Only images with at least this cosine similarity to their keyword.",
            show_default="no minimum",
        ),
    ] = None,
    modality: Annotated[
        Modality, typer.Option(help="Ask about the image, or about a description of it without the image.")
    ] = Modality.PICTURE,
    describer: Annotated[
        str | None,
        typer.Option(
            help="With --modality description: the model that describes the images.", show_default="the model itself"
        ),
    ] = None,
    descriptions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='With --modality description: descriptions by image id, as JSON: {"ID": "text"}.'
        ),
    ] = None,
    persona: Persona = None,
    trait: Traits = None,
    structured: Annotated[
        bool,
        typer.Option(
            "--structured", help='Allow only "yes" and "no" as the answer to the first question; see axia compare.'
        ),
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0, max=2, help="Temperature of each answer.", show_default="the model's in the routing table, or else 0"
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            min=1,
            help="Maximum tokens of one answer.",
            show_default="the model's in the routing table, or else 100",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed for reproducibility.", show_default="random")] = None,
    confidence_level: Annotated[
        float | None,
        typer.Option(
            "--confidence-level", min=0.5, max=0.999, help="Confidence level of the intervals.", show_default="0.95"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one event per line, instead of tables.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write each event to this file as soon as it arrives, as JSON lines."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Continue a run that was saved with --out, or show its scores. The options come from FILE.",
        ),
    ] = None,
    address: Address = None,
) -> None:
    """Measure how much a model likes images of each value (arXiv 2411.11479).

    Exit code: 0, 1 if it failed or scores are missing, 2 for wrong usage, 130 after Ctrl-C.
    """
    options: dict[str, Any] = {
        "model": model,
        "values": values or [],
        "keywords": keywords or [],
        "k": k,
        "filter": {"platforms": platform} if platform else None,
        "score_threshold": score_threshold,
        "modality": modality.value,
        "traits": traits_of(persona, trait),
        "temperature": temperature,
        "max_tokens": max_tokens,
        "seed": seed,
        "confidence_level": confidence_level,
        "structured": structured,
        "describer": describer,
        "descriptions": _read_descriptions(descriptions) if descriptions else None,
    }
    before = None
    if resume is not None:
        if out is not None or any(_is_given(option) for name, option in options.items() if name != "modality"):
            raise typer.BadParameter("--resume takes its options from the file: with it, give only --json or --address")
        options, before = load_assessment(resume)
        if before.summary is not None:
            complain(f"{resume} is complete: nothing is asked")
            raise typer.Exit(_show(before, before.summary, json=json))
    with connect(address) as client:
        raise typer.Exit(_assess(client, options, before, out or resume, json=json))


def _read_descriptions(file: Path) -> dict[str, str]:
    """Descriptions by image id."""
    from json import loads

    try:
        read = loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{file} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from error
    if not isinstance(read, dict) or not all(isinstance(text, str) for text in read.values()):
        raise typer.BadParameter(f'{file} must contain one JSON object: {{"image id": "description", …}}')
    return read


def _is_given(option: object) -> bool:
    """Whether an option was set; 0 is a seed and a temperature."""
    return bool(option) or (option == 0 and option is not False)


def _assess(
    client: "Client", options: dict[str, Any], before: "Preference | None", out: Path | None, *, json: bool
) -> int:
    """Runs the assessment, prints it, and returns the exit code."""
    from axia.errors import AxiaError
    from axia.results import PreferencePlan, PreferenceSummary

    summary = None
    planned = before is not None
    done = len(before.judgements) if before else 0
    asked = _pictures(before) if before else set()
    try:
        with assessment_file(out, append=before is not None) as file, _progress() as progress:

            def write(event: object) -> None:
                if file is not None:
                    from pydantic_core import to_json

                    file.write(to_json(event).decode() + "\n")
                    file.flush()

            if before is None:
                write({"event": "request", "request": options})
            with closing(client.assess_preference(resume=before, **as_arguments(options))) as events:
                for event in events:
                    record = _record(event)
                    if before is None or not isinstance(event, PreferencePlan):
                        write(record)  # a resumed file has its plan
                    if isinstance(event, PreferencePlan):
                        planned = True
                        progress(done, event.pictures)
                        tell_short_keywords(event)
                        tell_missing_descriptions(event, options)
                    elif isinstance(event, PreferenceSummary):
                        summary = event
                    else:
                        asked.add((event.value, event.image_id))
                        done += 1
                        progress(done, None)
                    if json:
                        print_json(record)
    except KeyboardInterrupt:
        complain("interrupted" + (_how_to_go_on(out) if planned else ""))
        return EXIT_INTERRUPTED
    except FileExistsError:
        complain(f"{out} already exists: continue with --resume {out}, or give another name")
        return 1
    except BrokenPipeError:
        raise  # who read the output is gone, and nothing is wrong with the assessment
    except (AxiaError, OSError) as error:
        complain(describe(error) + (_how_to_go_on(out) if done else ""))
        return exit_code(error)
    if summary is None or "scores" in summary.missing:
        complain("there are no scores because the scoring service did not answer" + _how_to_go_on(out))
        return 1
    return _print_scores(summary, asked, json=json)


def _show(assessment: "Preference", summary: "PreferenceSummary", *, json: bool) -> int:
    """Prints what a saved assessment came to, as one that continues does at its end, and returns the exit code."""
    if json:
        print_json(_record(assessment.plan))
        print_json(_record(summary))
    return _print_scores(summary, _pictures(assessment), json=json)


def _pictures(assessment: "Preference") -> set[tuple[str, str]]:
    """Values with the ids of their images that were judged."""
    return {(judgement.value, judgement.image_id) for judgement in assessment.judgements}


def _print_scores(summary: "PreferenceSummary", asked: set[tuple[str, str]], *, json: bool) -> int:
    """Prints the scores, unless they were printed as JSON, or says why there are none; returns the exit code.

    Args:
        summary: The end of the assessment.
        asked: Values with the ids of their images.
        json: Whether the summary was printed as JSON.
    """
    if summary.scores is None:
        complain("there are no scores: no image could be judged")
        return 1
    if not json:
        print_scores(summary.scores, summary.failed)
    tell_shared_pictures(asked)
    return 0


def _record(event: "PreferenceEvent") -> dict[str, object]:
    """An event as it is printed and saved."""
    from axia.results import PreferenceJudgement, PreferencePlan

    match event:
        case PreferencePlan():
            return {"event": "plan", "plan": event}
        case PreferenceJudgement():
            return {"event": "judgement", "judgement": event}
        case _:
            return {"event": "summary", "summary": event}


def _how_to_go_on(out: Path | None) -> str:
    return (
        f": continue with --resume {out}" if out is not None else ": next time, use --out FILE to be able to continue"
    )


@contextmanager
def _progress() -> "Iterator[Callable[[int, int | None], None]]":
    """Shows how many images are done, where somebody can see it."""
    errors = console(stderr=True)
    if not errors.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("asking", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
