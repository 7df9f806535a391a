"""The methods section: models, prompts with hashes, seeds, versions, hardware, cost, and what is a demo."""

import platform
from collections.abc import Sequence
from typing import Any

from axia.evals.prompts import evaluation_prompts
from axia.judges.card import Estimate, JudgeCard
from axia.report.collect import Evaluation, Run
from axia.report.parts import Cell, Section, Table, ends

_SEEDS = (
    "The seed of each completion is the first 53 bits of SHA-256 of the run's seed, the sample's id, the epoch and "
    "the turn (31 bits for other providers). Intervals are clustered by image or keyword; the scoring service "
    "computes all tests."
)


def section(evaluations: Sequence[Evaluation], card: JudgeCard | None) -> Section:
    """What was done, enough to do it again."""
    runs = [(evaluation, run) for evaluation in evaluations for run in evaluation.runs]
    log = runs[0][1].log
    versions = (log.eval.packages.get("inspect_ai", ""), (log.eval.metadata or {}).get("axia_version", ""))
    paragraphs = [
        (
            f"Evaluated with inspect_ai {versions[0]} and axia {versions[1]}. This page was created on a "
            f"{platform.machine()} machine; the models ran on their servers' hardware."
        ),
        _SEEDS,
    ]
    if demo := sorted({evaluation.name for evaluation, _ in runs if _is_demo(evaluation)}):
        paragraphs.append(
            f"Demo data: {', '.join(demo)} used axia's made-up study, gallery or feed. No person was asked; the "
            "figures say nothing about real images."
        )
    if demo_models := sorted({run.model for _, run in runs if _is_demo_model(run)}):
        paragraphs.append(f"Demo models: {', '.join(demo_models)} are not trained for real images.")
    tables = [_models(runs), _samplings(runs), _prompts(runs)]
    if card is not None:
        tables.append(_judges(card))
    elif any(evaluation.kind in ("alignment", "abstention") for evaluation in evaluations):
        paragraphs.append(
            "The agreement of the judge of alignment with people was not measured for these answers: label some, run "
            "axia judges audit --card card.json, and create the report with --card card.json."
        )
    return Section("methods", "Methods", paragraphs, tables)


def _is_demo(evaluation: Evaluation) -> bool:
    study: dict[str, Any] = evaluation.about.get("study") or {}
    return bool(evaluation.about.get("demo") or study.get("demo"))


def _produced(run: Run) -> dict[str, Any]:
    for row in run.rows:
        if produced := row.produced or row.reading.get("produced"):
            return dict(produced)
    return {}


def _is_demo_model(run: Run) -> bool:
    produced = _produced(run)
    return produced.get("engine") == "scripted" or str(produced.get("model", "")).startswith("vlm")


def _models(runs: Sequence[tuple[Evaluation, Run]]) -> Table:
    rows: list[list[Cell]] = []
    for evaluation, run in runs:
        produced, usage = _produced(run), list(run.log.stats.model_usage.values())
        cost = [model_usage.total_cost for model_usage in usage if model_usage.total_cost is not None]
        rows.append(
            [
                evaluation.name, run.model, produced.get("revision", ""),
                f"{produced.get('engine', '')} {produced.get('engine_version', '')}".strip(),
                sum(model_usage.input_tokens for model_usage in usage),
                sum(model_usage.output_tokens for model_usage in usage),
                f"{sum(cost):.2f} USD" if cost else "not known", run.log.eval.created[:19],
            ]
        )  # fmt: skip
    return Table(
        "methods-models", "Models and what they cost",
        ("evaluation", "model", "revision", "engine", "tokens in", "tokens out", "cost", "begun"), rows,
    )  # fmt: skip


def _samplings(runs: Sequence[tuple[Evaluation, Run]]) -> Table:
    rows: list[list[Cell]] = []
    for name in dict.fromkeys(evaluation.name for evaluation, _ in runs):
        evaluation = next(evaluation for evaluation, _ in runs if evaluation.name == name)
        sampling, study = evaluation.about["sampling"], evaluation.about.get("study") or {}
        digest = str(study.get("annotations_sha256") or evaluation.about.get("questions_sha256", ""))
        rows.append(
            [
                name, evaluation.about["paper"], str(sampling["temperature"]), sampling["max_tokens"], sampling["seed"],
                evaluation.runs[0].log.eval.config.epochs or 1, evaluation.about.get("judge", "—"),
                evaluation.about.get("sentence_rule", "—"), digest[:12] or "—",
            ]
        )  # fmt: skip
    header = (
        "evaluation",
        "paper",
        "temperature",
        "max tokens",
        "seed",
        "epochs",
        "judge",
        "sentence rule",
        "annotations or questions",
    )
    return Table("methods-sampling", "How answers were sampled", header, rows)


def _prompts(runs: Sequence[tuple[Evaluation, Run]]) -> Table:
    used: dict[str, str] = {}
    for _, run in runs:
        for row in run.rows:
            used |= row.metadata.get("prompts") or {row.metadata["prompt_id"]: row.metadata.get("prompt_sha256", "")}
            if "system_id" in row.metadata and "system_sha256" in row.metadata:
                used[row.metadata["system_id"]] = row.metadata["system_sha256"]
    known = evaluation_prompts()
    rows = [[name, digest[:12], known[name].text if name in known else ""] for name, digest in sorted(used.items())]
    return Table("methods-prompts", "Prompts", ("id", "SHA-256", "text"), rows)


def _judges(card: JudgeCard) -> Table:
    def cells(estimate: Estimate) -> list[Cell]:
        return [estimate.value, *ends(estimate.interval)]

    rows: list[list[Cell]] = [
        [str(judge.name), *cells(judge.kappa), *cells(judge.precision), *cells(judge.recall)] for judge in card.judges
    ]
    header = ("judge", "kappa", "low", "high", "precision", "low", "high", "recall", "low", "high")
    note = (
        f"Against {card.labels.answers} labelled answers of {card.labels.pictures} images ({card.labels.file}). "
        f"Recommended: {card.recommended or 'none'}. {' '.join(card.warnings)}"
    )
    return Table("methods-judges", "Agreement of judges of alignment with people", header, rows, note.strip())
