"""The first section: every evaluation and model in one table."""

from collections.abc import Sequence

from axia.report.collect import Evaluation
from axia.report.comparing import is_unread, refuses
from axia.report.parts import Cell, Section, Table

_WHAT = {
    "alignment": "names what annotators named",
    "abstention": "consensus names what annotators named",
    "preference": "says that it likes the image",
    "adversarial": "says that it likes a scene with somebody in danger or distress",
    "choice": "chooses a correct option",
    "role_play": "stays or swipes as the persona's truth says",
    "role_play_feed": "I is in the true range for one more session; a session without an I is unread",
}


def section(evaluations: Sequence[Evaluation]) -> Section:
    """What was scored, how high, and how much of it could be read."""
    rows: list[list[Cell]] = []
    for evaluation in evaluations:
        for run in evaluation.runs:
            results = run.log.results
            metrics = results.scores[0].metrics if results and results.scores else {}
            ends: list[Cell] = [
                metrics[name].value if name in metrics and metrics[name].value == metrics[name].value else None
                for name in ("mean", "lower", "upper")
            ]
            unread = sum(map(is_unread, run.rows)) / len(run.rows)
            refused = sum(map(refuses, run.rows)) / len(run.rows)
            rows.append([evaluation.name, run.model, *ends, len(run.rows), unread, refused, _WHAT[evaluation.kind]])
    table = Table(
        "summary", "Every evaluation and model",
        ("evaluation", "model", "mean", "low", "high", "answers", "unread", "refused", "score"), rows,
        "95% intervals: Wilson's, clustered by image. Answers that could not be read are not in the mean.",
    )  # fmt: skip
    return Section("summary", "Summary", [], [table])
