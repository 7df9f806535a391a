"""`axia compare` of saved detections: models' alignment on the same images."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from axia.cli._judges.answers import load_answers, tell_without_truth
from axia.cli._output import complain, console, print_json, printable

if TYPE_CHECKING:
    from axia.client import Client
    from axia.inputs import AlignmentItem, Judge
    from axia.results import ModelComparison

_PER_CALL = 1000
_FEWEST = 2


class _Answers(NamedTuple):
    """What one model said, entry by entry."""

    model: str
    items: "list[AlignmentItem]"
    pictures: list[str]


def load_models(paths: Sequence[Path], truths: Path | None) -> list[_Answers]:
    """The answers of each model of each file; a model of two files is named with the file's number.

    Raises:
        typer.BadParameter: If a file can't be read, or there are no two models to compare.
    """
    found: list[tuple[str, int, _Answers]] = []
    for number, path in enumerate(paths, start=1):
        saved = load_answers(path, truths)
        tell_without_truth(saved)
        for model in dict.fromkeys(saved.asked):
            rows = [row for row, asked in zip(saved.rows.rows, saved.asked, strict=True) if asked == model]
            found.append((model, number, _Answers(model, [row.item for row in rows], [row.picture for row in rows])))
    times = Counter(model for model, _, _ in found)
    answers = [
        answers._replace(model=f"{model}, file {number}") if times[model] > 1 else answers
        for model, number, answers in found
    ]
    if len(answers) < _FEWEST:
        raise typer.BadParameter("there is only one model: give files of detections by two models or more")
    return answers


def compare_models(client: "Client", answers: Sequence[_Answers], judge: "Judge", *, json: bool) -> None:
    """Judges all answers by one judge, compares the models on the images that all have, and prints it.

    Raises:
        AxiaError: If the scoring service fails.
        typer.BadParameter: If the models have no image in common.
    """
    from axia.inputs import ModelScores

    judged = [_judged(client, of_model, judge) for of_model in answers]
    common = set.intersection(*(set(scored) for scored in judged))
    if not common:
        raise typer.BadParameter("the files have no image in common whose answers can be judged")
    for of_model, scored in zip(answers, judged, strict=True):
        if left_out := len(set(of_model.pictures) - common):
            complain(f"{of_model.model}: {left_out} images are left out because another model has no answer to judge")
        if unread := len(of_model.pictures) - sum(map(len, scored.values())):
            complain(f"{of_model.model}: {unread} answers could not be judged and are left out")
    scores = [
        ModelScores(
            model=of_model.model,
            picture_ids=tuple(picture for picture in sorted(common) for _ in scored[picture]),
            scores=tuple(score for picture in sorted(common) for score in scored[picture]),
        )
        for of_model, scored in zip(answers, judged, strict=True)
    ]
    comparison = client.scoring.compare_models(scores)
    if json:
        print_json({"judge": judge, "comparison": comparison})
    else:
        _print(comparison, judge)


def _judged(client: "Client", answers: _Answers, judge: "Judge") -> dict[str, list[int]]:
    """The scores that are set, by image."""
    found: dict[str, list[int]] = {}
    for begin in range(0, len(answers.items), _PER_CALL):
        part = slice(begin, begin + _PER_CALL)
        scores = client.scoring.score_alignment(answers.items[part], judge=judge).scores
        for picture, score in zip(answers.pictures[part], scores, strict=True):
            if score.score is not None:
                found.setdefault(picture, []).append(score.score)
    return found


def _print(comparison: "ModelComparison", judge: str) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", overflow="fold")
    for name in ("alignment", "interval", "completions"):
        table.add_column(name, justify="right", no_wrap=True)
    for model in comparison.models:
        interval = f"{model.interval.low:.2f}–{model.interval.high:.2f}" if model.interval else "—"
        table.add_row(printable(model.model), f"{model.mean:.2f}", interval, str(model.completions))
    out.print(table)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("first", overflow="fold")
    table.add_column("second", overflow="fold")
    for name in ("difference", "interval", "p (Holm)", "needed\nimages"):
        table.add_column(name, justify="right", no_wrap=True)
    for pair in comparison.pairs:
        interval = f"{pair.interval.low:+.2f} to {pair.interval.high:+.2f}" if pair.interval else "—"
        needed = "—" if pair.needed_pictures is None else f"{pair.needed_pictures:,}"
        cells = (f"{pair.difference:+.2f}", interval, f"{pair.adjusted_p_value:.3f}", needed)
        table.add_row(printable(pair.first), printable(pair.second), *cells)
    out.print(table)
    said = f"{comparison.pictures} images, judged by {judge}. Alignment is the mean over completions. "
    if (test := comparison.majority) is not None:
        q = "—" if test.q is None else f"{test.q:.2f}"
        p = test.p_value if test.permutation_p_value is None else test.permutation_p_value
        said += f"Cochran's Q {q}, p {p:.3f}. "
    said += "Pairs are compared on one value an image, the majority of its completions (McNemar)."
    out.print(said, soft_wrap=True)
