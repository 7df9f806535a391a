"""Tables that several kinds of evaluation share: what could be read, means, and tests between models or variants."""

from collections.abc import Sequence
from typing import Any

from axia.client import Client
from axia.inputs import ModelScores
from axia.report.collect import Evaluation, Row
from axia.report.parts import Cell, Table, ends, p_value
from axia.results import ModelComparison


def section_id(text: str) -> str:
    """A title as the id of a section or the name of a file."""
    return "".join(character if character.isalnum() else "-" for character in text.lower()).strip("-")


def rates(evaluation: Evaluation) -> Table:
    """Shares of unread and refused answers beside each model's mean."""
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        total = len(run.rows)
        read = [row for row in run.rows if row.score is not None]
        refused = sum(refuses(row) for row in run.rows)
        other = sum(bool(row.reading.get("language")) for row in run.rows)
        mean = sum(row.score or 0 for row in read) / len(read) if read else None
        rows.append([run.model, total, mean, 1 - len(read) / total, refused / total, other / total])
    return Table(
        f"{section_id(evaluation.name)}-rates", f"{evaluation.name}: scores, and answers that could not be read",
        ("model", "answers", "mean of read", "unread", "refused", "other language"), rows,
        "A mean says little if many answers could not be read.",
    )  # fmt: skip


def refuses(row: Row) -> bool:
    """Whether the model refused to answer."""
    return row.reading.get("response_type") == "refusal" or row.reading.get("verdict") == "refusal"


def is_unread(row: Row) -> bool:
    """Whether an answer could not be read; one to a question without a known answer has no score, and is read."""
    return row.score is None and not row.reading.get("choice")


def compare(client: Client, scored: Sequence[tuple[str, list[Row]]], paragraphs: list[str]) -> ModelComparison | None:
    """Tests between models on the samples that each has a score for; what is left out is said."""
    if mute := [name for name, rows in scored if all(row.score is None for row in rows)]:
        paragraphs.append(f"No answer of {', '.join(mute)} could be read, so comparisons don't include it.")
    scored = [(name, rows) for name, rows in scored if name not in mute]
    if not scored:
        return None
    common = set.intersection(
        *({(row.sample, row.epoch) for row in rows if row.score is not None} for _, rows in scored)
    )
    every = {(row.sample, row.epoch) for _, rows in scored for row in rows}
    if not common:
        paragraphs.append("No answer has a score from every model, so there is no comparison.")
        return None
    if left := len(every) - len(common):
        paragraphs.append(
            f"{left} of {len(every)} answers don't have a score from every model, so comparisons don't include them."
        )
    models = []
    for name, rows in scored:
        compared = sorted(
            (row for row in rows if (row.sample, row.epoch) in common), key=lambda row: (row.sample, row.epoch)
        )
        scores = tuple(row.score for row in compared if row.score is not None)
        models.append(ModelScores(model=name, picture_ids=tuple(row.picture for row in compared), scores=scores))
    return client.scoring.compare_models(models, target_difference=0.2)


def comparison_tables(name: str, comparison: ModelComparison, what: str = "model") -> list[Table]:
    """Means with clustered intervals, Cochran's Q, and every pair."""
    means = Table(
        f"{section_id(name)}-alignment", f"{name}: mean of scores, with 95% intervals clustered by image",
        (what, "mean", "low", "high", "images by majority", "answers"),
        [[model_alignment.model, model_alignment.mean, *ends(model_alignment.interval),
          model_alignment.majority_share, model_alignment.completions]
         for model_alignment in comparison.models],
    )  # fmt: skip
    tables = [means]
    tests = []
    both = {
        "one value per image (majority)": comparison.majority,
        "one row per completion (replica of arXiv 2501.03957)": comparison.completion_replica,
    }
    for label, test in both.items():
        if test is not None:
            tests.append(
                [label, test.q, test.degrees_of_freedom, p_value(test.p_value), p_value(test.permutation_p_value),
                 test.permutation_method or "—", test.rows, test.informative_rows]
            )  # fmt: skip
    if tests:
        tables.append(
            Table(
                f"{section_id(name)}-cochran", f"{name}: Cochran's Q between {what}s",
                ("rows of the table", "Q", "degrees of freedom", "p (chi-squared)", "p (permutation)", "method",
                 "rows", "informative"),
                tests,
                f"Completion k of one {what} is not matched with completion k of another: rely on the first row.",
            )
        )  # fmt: skip
    if comparison.pairs:
        tables.append(
            Table(
                f"{section_id(name)}-pairs", f"{name}: pairs of {what}s, McNemar's exact test with Holm's correction",
                ("first", "second", "first only", "second only", "difference", "low", "high", "p", "p (Holm)",
                 "power at 0.2", "images needed"),
                [
                    [pair.first, pair.second, pair.first_only, pair.second_only, pair.difference, *ends(pair.interval),
                     p_value(pair.p_value), p_value(pair.adjusted_p_value), pair.power, pair.needed_pictures]
                    for pair in comparison.pairs
                ],
                "Power for a difference of 0.2, and images needed for a power of 80%.",
            )
        )  # fmt: skip
    return tables


def by_level(client: Client, evaluation: Evaluation, factor: str, paragraphs: list[str]) -> list[Table]:
    """Each model's mean for each level of a factor, such as a domain or a platform; nothing where there is none."""
    levels = list(dict.fromkeys(row.metadata.get(factor) for row in evaluation.runs[0].rows))
    if levels == [None]:
        return []
    rows: list[list[Any]] = []
    for run in evaluation.runs:
        for level in levels:
            at_level = [row for row in run.rows if row.metadata.get(factor) == level]
            if comparison := compare(client, [(run.model, at_level)], []):
                mean = comparison.models[0]
                rows.append([run.model, str(level), mean.mean, *ends(mean.interval), len(at_level)])
    return [
        Table(
            f"{section_id(evaluation.name)}-{factor}", f"{evaluation.name}: by {factor}",
            ("model", factor, "mean", "low", "high", "answers"), rows,
        )
    ]  # fmt: skip
