"""`axia compare`: two saved assessments of preference, value by value, or models by their saved detections."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia._file_names import written
from axia.cli._judges.answers import READ_CHARS
from axia.cli._output import (
    EXIT_INTERRUPTED,
    Address,
    complain,
    connect,
    describe,
    exit_code,
    print_json,
)
from axia.cli._preferences.assessment import load_assessment

if TYPE_CHECKING:
    from axia.inputs import PreferenceAnswer
    from axia.results import Preference

_PAIR = 2


class Judging(StrEnum):
    """Who judges answers of detections."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FIRST SECOND...",
            help="Two files of `axia preference --out`, or the output of `axia detect --json` for two or more models "
            "on the same images.",
        ),
    ],
    truths: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='For detections: JSON lines of {"file", "element", "accept"}, file relative to FILE.',
            show_default="the truth in each detection",
        ),
    ] = None,
    judge: Annotated[
        Judging | None, typer.Option(help="For detections: the judge of all answers.", show_default="semantic")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object, instead of a table.")] = False,
    address: Address = None,
) -> None:
    """Compare two assessments of preference (such as free and structured answers), or the alignment of several models.

    For each value, the table has both percentages, the number of refusals, and the difference with its interval,
    clustered by keyword. The difference is over images with a yes or no in both assessments. Below are the same figures
    over all values, the mean of the percentages of the keywords, and the counts of answers. If --structured changes the
    percentages, structured answers measure something different from free answers.

    Detections of several models are judged again by the same judge, and compared on the images that all models have.
    The output has the mean alignment, differences with intervals, and the number of images needed to show a difference
    of the observed size.

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
            answers = [_answers(assessment) for assessment in assessments]
            scores = [client.scoring.score_preference(given, resamples=0) for given in answers]
            comparison = client.scoring.compare_preferences(*map(_distinct, answers))
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error
    from axia.cli._preferences.comparison import overall, print_comparison

    totals = [overall(given, score) for given, score in zip(answers, scores, strict=True)]
    if json:
        sides = [
            {"path": written(str(path)), "plan": assessment.plan, "scores": score, "overall": total}
            for path, assessment, score, total in zip((first, second), assessments, scores, totals, strict=True)
        ]
        print_json({"first": sides[0], "second": sides[1], "comparison": comparison})
    else:
        print_comparison((first, second), assessments, scores, comparison, totals)
    _tell_unfinished((first, second), assessments)


def _are_assessments(paths: Sequence[Path]) -> bool:
    """Whether files are assessments of preference; files that can't be read are reported.

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
        found.append(_is_of_assessment(row))
    if len(set(found)) > 1:
        raise typer.BadParameter("give only assessments of preference, or only detections")
    return found[0]


def _is_of_assessment(row: object) -> bool:
    """Whether a file begins as an assessment does; `axia detect --out` saves its request first as well."""
    if not isinstance(row, dict):
        return False
    request = row.get("request")
    of_detect = isinstance(request, dict) and "paths" in request
    return row.get("event") in ("request", "plan", "judgement") and not of_detect


def _compare_detections(
    paths: Sequence[Path], truths: Path | None, judge: Judging, *, json: bool, address: str | None
) -> None:
    from axia.cli._judges.comparison import compare_models, load_models

    answers = load_models(paths, truths)
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            compare_models(client, answers, judge.value, json=json)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except AxiaError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from error


def _answers(assessment: "Preference") -> "list[PreferenceAnswer]":
    from axia.inputs import PreferenceAnswer

    return [
        PreferenceAnswer(
            value=judgement.value,
            answer=judgement.replies[0][:READ_CHARS],
            keyword=judgement.keyword,
            item_id=judgement.image_id,
        )
        for judgement in assessment.judgements
        if judgement.error is None
    ]


def _distinct(answers: "Sequence[PreferenceAnswer]") -> "list[PreferenceAnswer]":
    """Each image of a value once: one that stands for several keywords of it would count as several pairs."""
    return list({(answer.value, answer.item_id): answer for answer in reversed(answers)}.values())[::-1]


def _tell_unfinished(paths: Sequence[Path], assessments: "Sequence[Preference]") -> None:
    for path, assessment in zip(paths, assessments, strict=True):
        missing = assessment.plan.pictures - len(assessment.judgements)
        if missing > 0:
            complain(f"{path} is not complete, {missing} images are missing: continue with --resume {path}")
