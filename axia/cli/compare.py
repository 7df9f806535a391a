"""`axia compare`: two saved assessments of preference, value by value, or models by their saved detections."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._assessment import load_assessment
from axia.cli._output import EXIT_INTERRUPTED, Address, complain, connect, console, describe, print_json, printable

if TYPE_CHECKING:
    from axia.inputs import PreferenceAnswer
    from axia.results import Preference, PreferenceComparison
    from axia.results.scoring import PreferenceScore, PreferenceScores

_SURE = 0.05
_PAIR = 2
_SHORT = {"structured": "struct."}
"""Names as they fit a table of 80 columns."""


class Judging(StrEnum):
    """Who judges answers of detections."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FIRST SECOND...",
            help="What two calls of `axia preference --out` saved, or what `axia detect --json` printed of two models "
            "or more, about the same pictures.",
        ),
    ],
    truths: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Of detections: JSON lines of {"file", "element", "accept"}, file relative to FILE.',
            show_default="the truth in each detection",
        ),
    ] = None,
    judge: Annotated[
        Judging | None, typer.Option(help="Of detections: who judges all answers.", show_default="semantic")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object, instead of a table.")] = False,
    address: Address = None,
) -> None:
    """Compare two assessments of preference, such as free answers with structured ones, or models' alignment.

    Each value has the percentage of both, how many answers refuse, and the difference over the pictures about which
    both say yes or no, with its interval. Where --structured moved the percentages, it changed what is measured.

    Detections of several models are judged anew by one judge, and compared on the pictures that all of them have: mean
    alignment, differences with intervals, and how many pictures would show a difference as large as was found.

    Exit code: 0, 1 if it failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    if not _are_assessments(files):
        _compare_detections(files, truths, judge or Judging.SEMANTIC, json=json, address=address)
        return
    if truths is not None or judge is not None:
        raise typer.BadParameter("--truths and --judge are for detections: assessments of preference need neither")
    if len(files) != _PAIR:
        raise typer.BadParameter(f"give two assessments of preference; {len(files)} were given")
    first, second = files
    assessments = [load_assessment(path)[1] for path in (first, second)]
    for path, assessment in zip((first, second), assessments, strict=True):
        if not any(judgement.error is None for judgement in assessment.judgements):
            raise typer.BadParameter(f"{path} has no answers to compare")
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            # Without the bootstrap over keywords, which nothing here shows.
            scores = [client.scoring.score_preference(_answers(own), resamples=0) for own in assessments]
            comparison = client.scoring.compare_preferences(*(_distinct(_answers(own)) for own in assessments))
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(1) from error
    if json:
        sides = [
            {"path": str(path), "plan": assessment.plan, "scores": own}
            for path, assessment, own in zip((first, second), assessments, scores, strict=True)
        ]
        print_json({"first": sides[0], "second": sides[1], "comparison": comparison})
    else:
        _print_table((first, second), assessments, scores, comparison)
    _tell_unfinished((first, second), assessments)


def _are_assessments(paths: Sequence[Path]) -> bool:
    """Whether files are assessments of preference; files that can't be read are told as such.

    Raises:
        typer.BadParameter: If some are, and others are not.
    """
    from json import loads

    found = []
    for path in paths:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                row = loads(file.readline() or "{}")
        except (OSError, ValueError):
            found.append(True)
            continue
        found.append(isinstance(row, dict) and row.get("event") in ("request", "plan", "judgement"))
    if len(set(found)) > 1:
        raise typer.BadParameter("give assessments of preference alone, or detections alone")
    return found[0]


def _compare_detections(
    paths: Sequence[Path], truths: Path | None, judge: Judging, *, json: bool, address: str | None
) -> None:
    from axia.cli._compare_models import compare_models, load_models

    answers = load_models(paths, truths)
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            compare_models(client, answers, judge.value, json=json)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(1) from error


def _answers(assessment: "Preference") -> "list[PreferenceAnswer]":
    from axia.inputs import PreferenceAnswer

    return [
        PreferenceAnswer(value=own.value, answer=own.replies[0], keyword=own.keyword, item_id=own.image_id)
        for own in assessment.judgements
        if own.error is None
    ]


def _distinct(answers: "Sequence[PreferenceAnswer]") -> "list[PreferenceAnswer]":
    """Each picture of a value once: one that stands for several keywords of it would count as several pairs."""
    return list({(own.value, own.item_id): own for own in reversed(answers)}.values())[::-1]


def _names(assessments: "Sequence[Preference]") -> tuple[str, str]:
    """What the two are called: by their form where that is what differs."""
    forms = ["structured" if own.plan.structured else "free" for own in assessments]
    return ("first", "second") if forms[0] == forms[1] else (forms[0], forms[1])


def _tell_unfinished(paths: Sequence[Path], assessments: "Sequence[Preference]") -> None:
    for path, assessment in zip(paths, assessments, strict=True):
        missing = assessment.plan.pictures - len(assessment.judgements)
        if missing > 0:
            complain(f"{path} is not complete, {missing} pictures are missing: go on with --resume {path}")


def _print_table(
    paths: Sequence[Path],
    assessments: "Sequence[Preference]",
    scores: "Sequence[PreferenceScores]",
    comparison: "PreferenceComparison",
) -> None:
    from rich import box
    from rich.table import Table

    names = _names(assessments)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("value", no_wrap=True)
    for name in names:
        table.add_column(f"{_SHORT.get(name, name)}\n%", justify="right", no_wrap=True)
        table.add_column("\nrefused", justify="right", no_wrap=True)
    for heading in ("differ-\nence", "95%\ninterval", "pairs in\nkeywords"):
        table.add_column(heading, justify="right", no_wrap=True)
    by_value = [{own.value: own for own in side.scores} for side in scores]
    differences = {own.value: own for own in comparison.differences}
    for value in [own for own in by_value[0] if own in by_value[1]]:
        cells = [cell for side in by_value for cell in _side(side[value])]
        table.add_row(printable(value), *cells, *_difference(differences.get(value)))
    if comparison.overall is not None:
        totals = [cell for side in scores for cell in _total(side)]
        table.add_row("all", *totals, *_difference(comparison.overall), style="bold")
    console().print(table)
    for name, path, assessment in zip(names, paths, assessments, strict=True):
        plan = assessment.plan
        form = "structured" if plan.structured else "free"
        about = f"{plan.model.name}, {form} answers, plan {plan.sha256[:8]}"
        console().print(f"{name}: {printable(str(path))} ({printable(about)})", soft_wrap=True)
    console().print(_in_words(names, comparison), soft_wrap=True)


def _side(score: "PreferenceScore") -> tuple[str, str]:
    return "—" if score.percentage is None else f"{score.percentage:.1f}", str(score.refusals)


def _total(scores: "PreferenceScores") -> tuple[str, str]:
    yes = sum(own.yes for own in scores.scores)
    decided = yes + sum(own.no for own in scores.scores)
    refusals = sum(own.refusals for own in scores.scores)
    return f"{100 * yes / decided:.1f}" if decided else "—", str(refusals)


def _difference(found: object) -> tuple[str, str, str]:
    from axia.results.scoring import PreferenceDifference

    if not isinstance(found, PreferenceDifference):
        return "—", "—", "0 in 0"
    difference = 0.0 - found.difference  # second minus first: what the second form does; and never "-0.0"
    interval = "—" if found.interval is None else f"{0 - found.interval.high:+.0f} to {0 - found.interval.low:+.0f}"
    pairs = found.both_yes + found.first_only + found.second_only + found.both_no
    return f"{difference:+.1f}", interval, f"{pairs} in {found.keywords}"


def _in_words(names: tuple[str, str], comparison: "PreferenceComparison") -> str:
    moved = [own.value for own in comparison.differences if own.adjusted_p_value < _SURE]
    said = (
        f"The difference is {names[1]} minus {names[0]}, in percentage points over the pictures about which both say "
        "yes or no; its interval is Newcombe's, clustered by keyword."
    )
    if moved:
        said += f" They differ in {', '.join(map(printable, moved))} (McNemar, Holm, p < {_SURE:g})."
    elif comparison.differences:
        said += " No value differs more than chance explains, which does not show that they agree: see the intervals."
    if comparison.mean_absolute_difference is not None:
        said += f" Mean absolute difference over the values: {comparison.mean_absolute_difference:.1f} points."
    left_out = comparison.undecided_pairs
    if left_out:
        said += f" {left_out} pairs are left out, for an answer refuses or can't be read."
    unpaired = comparison.unpaired_first + comparison.unpaired_second
    if unpaired:
        said += f" {unpaired} pictures are in one file alone."
    return said
