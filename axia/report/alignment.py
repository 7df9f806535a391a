"""Sections about alignment (arXiv 2501.03957): means, Cochran's Q, McNemar, misalignments, factors, ceilings."""

from typing import Any

from axia.client import Client
from axia.evals import published
from axia.inputs import MisalignmentItem
from axia.report.collect import Evaluation, Row, Run
from axia.report.comparing import by_level, compare, comparison_tables, rates, refuses, section_id
from axia.report.parts import Section, Table, ends
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
    if evaluation.about.get("factor") == "variant":
        return [_factor(client, evaluation, run) for run in evaluation.runs]
    scored = [(run.model, list(run.rows)) for run in evaluation.runs]
    tables = [rates(evaluation)]
    paragraphs = [_asked(evaluation)]
    if comparison := compare(client, scored, paragraphs):
        tables += comparison_tables(name, comparison)
    if evaluation.kind == "alignment":
        tables.append(_beside_people(evaluation, comparison))
        tables.append(_misalignments(client, evaluation))
    tables += _by_group(evaluation)
    if factor := evaluation.about.get("factor"):
        tables += by_level(client, evaluation, factor, paragraphs)
        if pairs := evaluation.about.get("pairs"):
            tables += _by_pair(client, evaluation, factor, pairs, paragraphs)
    return [Section(section_id(name), name, paragraphs, tables)]


def _asked(evaluation: Evaluation) -> str:
    study: dict[str, Any] = evaluation.about.get("study") or {}
    rows = evaluation.runs[0].rows
    said = f"{len({row.picture for row in rows})} images, {len(rows)} answers per model."
    if study:
        said += (
            f" Annotations: {study['annotators']} annotators, {study['annotations']}; truth: {study['truth_rule']}. "
            f"Judge: {evaluation.about.get('judge', 'semantic')}."
        )
        if study.get("open_pictures"):
            said += f" {len(study['open_pictures'])} images have no truth and are left out."
        if study.get("gaps"):
            said += f" {study['gaps']}."
    return said


def _beside_people(evaluation: Evaluation, comparison: ModelComparison | None) -> Table:
    rows: list[list[Any]] = []
    for model_alignment in comparison.models if comparison else ():
        rows.append([model_alignment.model, "measured here", model_alignment.mean, *ends(model_alignment.interval)])
    for ceiling in (evaluation.about.get("study") or {}).get("ceilings", ()):
        who = f"annotators, {ceiling['group']}" if ceiling["group"] else "annotators, each against the others"
        low, high = ceiling["interval"] or (None, None)
        rows.append([who, "measured here", ceiling["ceiling"], low, high])
    for row in published.rows(published.VALUES_DETECTORS):
        if row["quantity"].startswith("alignment, "):
            rows.append([row["quantity"].removeprefix("alignment, "), row["source"], float(row["figure"]), None, None])
    return Table(
        f"{section_id(evaluation.name)}-published", f"{evaluation.name}: compared with people and published figures",
        ("who", "source", "alignment", "low", "high"), rows,
        "Published figures were measured on other images: no table by model or image was published.",
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
            notes.append(f"For {run.model}, only the first {_MOST_MISSES} of {len(items)} answers are classified.")
        found = client.scoring.classify_misalignments(items[:_MOST_MISSES])
        rows += [
            [
                run.model,
                (class_share.misalignment_class or "not known").replace("_", " "),
                class_share.count,
                class_share.share,
                *ends(class_share.interval),
            ]
            for class_share in found.shares
        ]
    return Table(
        f"{section_id(evaluation.name)}-misalignments", f"{evaluation.name}: misalignments by type",
        ("model", "type", "answers", "share of misses", "low", "high"), rows,
        " ".join([_PUBLISHED_MISSES, *notes]),
    )  # fmt: skip


def _by_group(evaluation: Evaluation) -> list[Table]:
    rows = []
    for run in evaluation.runs:
        groups = list(dict.fromkeys(g for row in run.rows for g in row.reading.get("by_group", {})))
        for group in groups:
            read = [score for row in run.rows if (score := row.reading.get("by_group", {}).get(group)) is not None]
            rows.append([run.model, group or "all", sum(read) / len(read) if read else None, len(read)])
    if not rows:
        return []
    header = ("model", "annotators", "alignment", "answers")
    return [Table(f"{section_id(evaluation.name)}-groups", f"{evaluation.name}: by group of annotators", header, rows)]


def _by_pair(client: Client, evaluation: Evaluation, factor: str, pairs: str, paragraphs: list[str]) -> list[Table]:
    """Each model's two levels of a factor, compared pair by pair: the pair stands for the picture."""
    tables = []
    for run in evaluation.runs:
        by_kind: dict[str, list[Row]] = {}
        for row in run.rows:
            pair = str(row.metadata[pairs])
            by_kind.setdefault(str(row.metadata[factor]), []).append(row._replace(sample=pair, picture=pair))
        if comparison := compare(client, list(by_kind.items()), paragraphs):
            tables += comparison_tables(f"{evaluation.name}: {run.model}", comparison, factor)
    return tables


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
            f"{section_id(title)}-read", f"{title}: answers that could be read",
            ("variant", "answers", "unread", "refused"),
            [
                [name, len(rows), sum(row.score is None for row in rows) / len(rows),
                 sum(map(refuses, rows)) / len(rows)]
                for name, rows in by_variant.items()
            ],
        )
    ]  # fmt: skip
    if comparison := compare(client, list(by_variant.items()), paragraphs):
        tables += comparison_tables(title, comparison, "variant")
    return Section(section_id(title), title, paragraphs, tables)
