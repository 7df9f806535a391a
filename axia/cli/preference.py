"""`axia preference`: how much a model likes pictures of each value."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axia.cli._assessment import as_arguments, assessment_file, load_assessment
from axia.cli._output import EXIT_INTERRUPTED, Address, complain, connect, console, describe, print_json, printable
from axia.cli._personas import Persona, Traits, traits_of

if TYPE_CHECKING:
    from axia.client import Client
    from axia.results import Preference, PreferenceEvent, PreferencePlan, PreferenceSummary
    from axia.results.scoring import PreferenceScores


class Modality(StrEnum):
    """What the model is asked about."""

    PICTURE = "picture"
    DESCRIPTION = "description"


def preference(
    model: Annotated[
        str | None, typer.Option(help="A model that `axia models` lists.", show_default="the gateway's first")
    ] = None,
    values: Annotated[
        list[str] | None, typer.Option("--values", "--value", help="A value. Once for each.", show_default="all ten")
    ] = None,
    keywords: Annotated[
        list[str] | None, typer.Option("--keywords", "--keyword", help="A keyword. Once for each.", show_default="all")
    ] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Pictures a keyword.", show_default="5")] = None,
    platform: Annotated[list[str] | None, typer.Option(help="Only pictures of this platform. Once for each.")] = None,
    score_threshold: Annotated[
        float | None,
        typer.Option(
            "--score-threshold",
            min=-1,
            max=1,
            help="Only pictures with at least this cosine similarity to their keyword.",
            show_default="the nearest, however far",
        ),
    ] = None,
    modality: Annotated[
        Modality, typer.Option(help="Ask about the picture, or about a description of it without the picture.")
    ] = Modality.PICTURE,
    describer: Annotated[
        str | None,
        typer.Option(
            help="With --modality description: the model that describes the pictures.", show_default="the model itself"
        ),
    ] = None,
    descriptions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='With --modality description: descriptions by picture id, as JSON: {"ID": "text"}.'
        ),
    ] = None,
    persona: Persona = None,
    trait: Traits = None,
    structured: Annotated[
        bool,
        typer.Option("--structured", help='Hold the answer to the first question to "yes" and "no"; see axia compare.'),
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, max=2, help="Of each answer.", show_default="the model's in the routing table, or else 0"),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            min=1,
            help="Tokens of one answer at most.",
            show_default="the model's in the routing table, or else 100",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed gives the same questions.", show_default="drawn")
    ] = None,
    confidence_level: Annotated[
        float | None,
        typer.Option("--confidence-level", min=0.5, max=0.999, help="Of the intervals.", show_default="0.95"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one event a line, instead of tables.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save every event here, as JSON lines, when it comes.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Go on with what --out saved, or show its scores; options come from there."),
    ] = None,
    address: Address = None,
) -> None:
    """Measure how much a model likes pictures of each value (arXiv 2411.11479).

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
        if out is not None or any(_is_given(own) for name, own in options.items() if name != "modality"):
            raise typer.BadParameter("--resume takes its options from the file: give it alone")
        options, before = load_assessment(resume)
        if before.summary is not None:
            complain(f"{resume} is complete: nothing is asked")
            raise typer.Exit(_show(before, before.summary, json=json))
    with connect(address) as client:
        raise typer.Exit(_assess(client, options, before, out or resume, json=json))


def _read_descriptions(file: Path) -> dict[str, str]:
    """Descriptions by picture id."""
    from json import loads

    try:
        read = loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{file} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise typer.BadParameter(f"{file} holds no JSON: {error}") from error
    if not isinstance(read, dict) or not all(isinstance(text, str) for text in read.values()):
        raise typer.BadParameter(f'{file} must hold one JSON object: {{"picture id": "description", …}}')
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
                        _tell_short_keywords(event)
                        _tell_missing_descriptions(event, options)
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
        complain(f"{out} is there already: go on with it by --resume {out}, or give another name")
        return 1
    except BrokenPipeError:
        raise  # who read the output is gone, and nothing is wrong with the assessment
    except (AxiaError, OSError) as error:
        complain(describe(error) + (_how_to_go_on(out) if done else ""))
        return 1
    if summary is None or "scores" in summary.missing:
        complain("there are no scores, for the scoring service did not answer" + _how_to_go_on(out))
        return 1
    return _print_scores(summary, asked, json=json)


def _show(assessment: "Preference", summary: "PreferenceSummary", *, json: bool) -> int:
    """Prints what a saved assessment came to, as one that goes on does at its end, and returns the exit code."""
    if json:
        print_json(_record(assessment.plan))
        print_json(_record(summary))
    return _print_scores(summary, _pictures(assessment), json=json)


def _pictures(assessment: "Preference") -> set[tuple[str, str]]:
    """Values with the ids of their pictures that were judged."""
    return {(judgement.value, judgement.image_id) for judgement in assessment.judgements}


def _print_scores(summary: "PreferenceSummary", asked: set[tuple[str, str]], *, json: bool) -> int:
    """Prints the scores, unless they were printed as JSON, or says why there are none; returns the exit code.

    Args:
        summary: The end of the assessment.
        asked: Values with the ids of their pictures.
        json: Whether the summary was printed as JSON.
    """
    if summary.scores is None:
        complain("there are no scores: no picture could be judged")
        return 1
    if not json:
        _print_tables(summary.scores, summary.failed)
    _tell_shared_pictures(asked)
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


def _tell_short_keywords(plan: "PreferencePlan") -> None:
    if plan.short_keywords:
        few = ", ".join(map(printable, plan.short_keywords))
        complain(f"fewer pictures than asked for were found for: {few}")


def _tell_missing_descriptions(plan: "PreferencePlan", options: dict[str, Any]) -> None:
    if options.get("descriptions") and plan.given_descriptions < plan.pictures:
        complain(
            f"{plan.given_descriptions} of {plan.pictures} pictures have a description in the file; a model describes "
            "the others. Its keys must be picture ids, as axia search prints them"
        )


def _tell_shared_pictures(asked: set[tuple[str, str]]) -> None:
    """Warns where the index is too small to tell values apart.

    Args:
        asked: Values with the ids of their pictures.
    """
    pictures = len({image_id for _, image_id in asked})
    if 2 * pictures < len(asked):
        complain(
            f"most of the {pictures} pictures stand for several values, whose figures are alike for that: index more "
            "pictures, or take fewer a keyword with -k"
        )


def _how_to_go_on(out: Path | None) -> str:
    return f": go on with --resume {out}" if out is not None else ": with --out FILE it could have gone on from there"


@contextmanager
def _progress() -> "Iterator[Callable[[int, int | None], None]]":
    """Shows how many pictures are done, where somebody can see it."""
    errors = console(stderr=True)
    if not errors.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("asking", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _level(scores: "PreferenceScores") -> str:
    """The confidence level of the intervals."""
    level = next((own.interval.level for own in scores.scores if own.interval), 0.95)
    return f"{100 * level:g}%"


def _print_tables(scores: "PreferenceScores", failed: int) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column("\nvalue", no_wrap=True)
    for name in ("% of\nyes/no", f"{_level(scores)}\ninterval", "\nrank", "% of\nall", "\nrank", "answers/\nkeywords"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("yes", "no", "refused", "unread"):
        table.add_column(f"\n{name}", justify="right", no_wrap=True)
    for score in scores.scores:
        interval = f"{score.interval.low:.0f}–{score.interval.high:.0f}" if score.interval else "—"
        percentage = "—" if score.percentage is None else f"{score.percentage:.1f}"
        counts = (score.yes, score.no, score.refusals, score.unparsed)
        table.add_row(
            printable(score.value), percentage, interval, str(score.rank or "—"), f"{score.percentage_of_all:.1f}",
            str(score.rank_of_all or "—"), f"{score.answers}/{score.keywords}", *map(str, counts),
        )  # fmt: skip
    console().print(table)
    if scores.groups:
        groups = ", ".join(f"{printable(group.group)} {group.mean:.1f}%" for group in scores.groups)
        console().print(f"Groups of values: {groups}")
    if scores.mean is not None:
        spread = _spread(scores.mean, scores.standard_deviation, scores.range)
        console().print(f"Over the values, of the answers that say yes or no: {spread}.")
    if scores.of_all is not None:
        spread = _spread(scores.of_all.mean, scores.of_all.standard_deviation, scores.of_all.range)
        console().print(f"Over the values, of all answers: {spread}.")
    console().print(
        "The interval is of the answers that say yes or no, and clustered by keyword where answers have one. The study "
        "divides by all answers."
    )
    if failed:
        complain(f"{failed} pictures could not be judged and count in no score")


def _spread(mean: float, deviation: float | None, distance: float | None) -> str:
    said = f"mean {mean:.1f}%"
    if deviation is not None:
        said += f", standard deviation (n - 1) {deviation:.1f} points"
    return said if distance is None else f"{said}, range {distance:.1f} points"
