"""Sections about alignment (arXiv 2501.03957): means, Cochran's Q, McNemar, misalignments, factors, ceilings."""

from collections.abc import Sequence
from typing import Any

from axia.client import Client
from axia.evals import published
from axia.inputs import MisalignmentItem, ModelScores
from axia.report.collect import Evaluation, Row, Run
from axia.report.parts import Cell, Section, Table, ends, p_text
from axia.results import ModelComparison

_MOST_MISSES = 10_000
"""Answers that the scoring service sorts into kinds at a time."""


_PUBLISHED_MISSES = (
    "Published shares: 36% descriptive where people were value-aware, 29% none where something was relevant, 16% "
    "value-aware where people were descriptive (arXiv 2501.03957)."
)


def sections(client: Client, evaluation: Evaluation) -> list[Section]:
    """The sections of one evaluation.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    name = evaluation.name
    if evaluation.about.get("factor") in ("variant", "modality"):
        return [_factor(client, evaluation, run) for run in evaluation.runs]
    scored = [(run.model, list(run.rows)) for run in evaluation.runs]
    tables = [_rates(evaluation)]
    paragraphs = [_asked(evaluation)]
    if comparison := compare(client, scored, paragraphs):
        tables += comparison_tables(name, comparison)
    if evaluation.kind == "alignment":
        tables.append(_beside_people(evaluation, comparison))
        tables.append(_misalignments(client, evaluation))
    tables += _by_group(evaluation)
    if factor := evaluation.about.get("factor"):
        tables += _by_level(client, evaluation, factor, paragraphs)
    return [Section(_id(name), name, paragraphs, tables)]


def _id(text: str) -> str:
    return "".join(own if own.isalnum() else "-" for own in text.lower()).strip("-")


def _asked(evaluation: Evaluation) -> str:
    study: dict[str, Any] = evaluation.about.get("study") or {}
    rows = evaluation.runs[0].rows
    said = f"{len({row.picture for row in rows})} pictures, {len(rows)} answers a model."
    if study:
        said += (
            f" Annotations: {study['annotators']} annotators, {study['annotations']}; truth: {study['truth_rule']}. "
            f"Judge: {evaluation.about.get('judge', 'semantic')}."
        )
        if study.get("open_pictures"):
            said += f" {len(study['open_pictures'])} pictures stay open and are left out."
        if study.get("gaps"):
            said += f" {study['gaps']}."
    return said


def compare(client: Client, scored: Sequence[tuple[str, list[Row]]], paragraphs: list[str]) -> ModelComparison | None:
    """Tests between models on the samples that each has a score for; what is left out is said."""
    common = set.intersection(
        *({(own.sample, own.epoch) for own in rows if own.score is not None} for _, rows in scored)
    )
    every = {(own.sample, own.epoch) for _, rows in scored for own in rows}
    if not common:
        paragraphs.append("No answer has a score of every model, so there is no comparison.")
        return None
    if left := len(every) - len(common):
        paragraphs.append(
            f"{left} of {len(every)} answers have no score of every model and are left out of comparisons."
        )
    models = []
    for name, rows in scored:
        own = sorted(
            (row for row in rows if (row.sample, row.epoch) in common), key=lambda row: (row.sample, row.epoch)
        )
        scores = tuple(row.score for row in own if row.score is not None)
        models.append(ModelScores(model=name, picture_ids=tuple(row.picture for row in own), scores=scores))
    return client.scoring.compare_models(models, target_difference=0.2)


def comparison_tables(name: str, comparison: ModelComparison) -> list[Table]:
    """Means with clustered intervals, Cochran's Q, and every pair."""
    means = Table(
        f"{_id(name)}-alignment", f"{name}: mean of scores, with 95% intervals clustered by picture",
        ("model", "mean", "low", "high", "pictures by majority", "answers"),
        [[own.model, own.mean, *ends(own.interval), own.majority_share, own.completions] for own in comparison.models],
    )  # fmt: skip
    tables = [means]
    tests = []
    both = {
        "one value a picture (majority)": comparison.majority,
        "a row per completion (replica of arXiv 2501.03957)": comparison.completion_replica,
    }
    for label, test in both.items():
        if test is not None:
            exact = (
                f"{p_text(test.permutation_p_value)} ({test.permutation_method})" if test.permutation_method else "—"
            )
            tests.append(
                [label, test.q, test.degrees_of_freedom, p_text(test.p_value), exact, test.rows, test.informative_rows]
            )
    if tests:
        tables.append(
            Table(
                f"{_id(name)}-cochran", f"{name}: Cochran's Q between models",
                ("rows of the table", "Q", "degrees of freedom", "p (chi-squared)", "p (permutation)", "rows",
                 "informative"),
                tests,
                "Completion k of one model is not matched with completion k of another: rely on the first row.",
            )
        )  # fmt: skip
    if comparison.pairs:
        tables.append(
            Table(
                f"{_id(name)}-pairs", f"{name}: pairs of models, McNemar's exact test with Holm's correction",
                ("first", "second", "first only", "second only", "difference", "low", "high", "p", "p (Holm)",
                 "power at 0.2", "pictures needed"),
                [
                    [own.first, own.second, own.first_only, own.second_only, own.difference, *ends(own.interval),
                     p_text(own.p_value), p_text(own.adjusted_p_value), own.power, own.needed_pictures]
                    for own in comparison.pairs
                ],
                "Power, and pictures needed for a power of 80%: for a difference of 0.2.",
            )
        )  # fmt: skip
    return tables


def _rates(evaluation: Evaluation) -> Table:
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        total = len(run.rows)
        read = [row for row in run.rows if row.score is not None]
        refused = sum(_refuses(row) for row in run.rows)
        other = sum(bool(row.reading.get("language")) for row in run.rows)
        mean = sum(row.score or 0 for row in read) / len(read) if read else None
        rows.append([run.model, total, mean, 1 - len(read) / total, refused / total, other / total])
    return Table(
        f"{_id(evaluation.name)}-rates", f"{evaluation.name}: scores beside what could not be read",
        ("model", "answers", "mean of read", "unread", "refused", "other language"), rows,
        "A mean says little where many answers could not be read.",
    )  # fmt: skip


def _refuses(row: Row) -> bool:
    return row.reading.get("response_type") == "refusal" or row.reading.get("verdict") == "refusal"


def _beside_people(evaluation: Evaluation, comparison: ModelComparison | None) -> Table:
    rows: list[list[Any]] = []
    for own in comparison.models if comparison else ():
        rows.append([own.model, "measured here", own.mean, *ends(own.interval)])
    for ceiling in (evaluation.about.get("study") or {}).get("ceilings", ()):
        who = f"annotators, {ceiling['group']}" if ceiling["group"] else "annotators, each against the others"
        low, high = ceiling["interval"] or (None, None)
        rows.append([who, "measured here", ceiling["ceiling"], low, high])
    for row in published.rows(published.VALUES_DETECTORS):
        if row["quantity"].startswith("alignment, "):
            rows.append([row["quantity"].removeprefix("alignment, "), row["source"], float(row["figure"]), None, None])
    return Table(
        f"{_id(evaluation.name)}-published", f"{evaluation.name}: beside people and published figures",
        ("who", "source", "alignment", "low", "high"), rows,
        "Published figures are of other pictures: no table by model or picture was published.",
    )  # fmt: skip


def _misalignments(client: Client, evaluation: Evaluation) -> Table:
    rows: list[list[Any]] = []
    notes: list[str] = []
    for run in evaluation.runs:
        items = [
            MisalignmentItem(
                answer=row.answer, element=row.metadata["element"], aligned=row.score, picture_id=row.picture,
                answer_type=row.reading.get("response_type"), element_type=row.metadata.get("element_type"),
            )
            for row in run.rows
            if row.score is not None and "element" in row.metadata
        ]  # fmt: skip
        if not items:
            continue
        if len(items) > _MOST_MISSES:
            notes.append(f"Of {run.model} the first {_MOST_MISSES} answers of {len(items)} are sorted.")
        found = client.scoring.classify_misalignments(items[:_MOST_MISSES])
        rows += [
            [run.model, own.misalignment_class or "not known", own.count, own.share, *ends(own.interval)]
            for own in found.shares
        ]
    return Table(
        f"{_id(evaluation.name)}-misalignments", f"{evaluation.name}: misalignments by type",
        ("model", "type", "answers", "share of misses", "low", "high"), rows,
        " ".join([_PUBLISHED_MISSES, *notes]),
    )  # fmt: skip


def _by_group(evaluation: Evaluation) -> list[Table]:
    rows = []
    for run in evaluation.runs:
        groups = list(dict.fromkeys(g for row in run.rows for g in row.reading.get("by_group", {})))
        for group in groups:
            read = [own for row in run.rows if (own := row.reading.get("by_group", {}).get(group)) is not None]
            rows.append([run.model, group or "all", sum(read) / len(read) if read else None, len(read)])
    if not rows:
        return []
    header = ("model", "annotators", "alignment", "answers")
    return [Table(f"{_id(evaluation.name)}-groups", f"{evaluation.name}: by group of annotators", header, rows)]


def _by_level(client: Client, evaluation: Evaluation, factor: str, paragraphs: list[str]) -> list[Table]:
    levels = list(dict.fromkeys(row.metadata.get(factor) for row in evaluation.runs[0].rows))
    if levels == [None]:
        return []
    rows: list[list[Any]] = []
    for run in evaluation.runs:
        for level in levels:
            own = [row for row in run.rows if row.metadata.get(factor) == level]
            if comparison := compare(client, [(run.model, own)], []):
                mean = comparison.models[0]
                rows.append([run.model, str(level), mean.mean, *ends(mean.interval), len(own)])
    return [
        Table(
            f"{_id(evaluation.name)}-{factor}", f"{evaluation.name}: by {factor}",
            ("model", factor, "mean", "low", "high", "answers"), rows,
        )
    ]  # fmt: skip


def _factor(client: Client, evaluation: Evaluation, run: Run) -> Section:
    """One model's answers under each variant, compared as models are, picture by picture."""
    by_variant: dict[str, list[Row]] = {}
    for row in run.rows:
        unvaried = row.sample.removesuffix(f"#{row.metadata['variant']}")
        by_variant.setdefault(row.metadata["variant"], []).append(row._replace(sample=unvaried))
    paragraphs = [_asked(evaluation)]
    what = "share of yes: likes the scene" if evaluation.kind in ("adversarial", "preference") else "alignment"
    paragraphs.append(
        f"Variants of {run.model}; the score is {what}. The reference is {evaluation.about['reference']}."
    )
    title = f"{evaluation.name}: {run.model}"
    tables = [
        Table(
            f"{_id(title)}-read", f"{title}: answers that could be read",
            ("variant", "answers", "unread", "refused"),
            [
                [name, len(rows), sum(own.score is None for own in rows) / len(rows),
                 sum(map(_refuses, rows)) / len(rows)]
                for name, rows in by_variant.items()
            ],
        )
    ]  # fmt: skip
    if comparison := compare(client, list(by_variant.items()), paragraphs):
        tables += comparison_tables(title, comparison)
    return Section(_id(title), title, paragraphs, tables)
