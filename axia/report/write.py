"""Makes a report: reads logs, has them tested, writes page and tables."""

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from axia.client import Client
from axia.judges.card import JudgeCard
from axia.report import (
    abstaining,
    alignment,
    choosing,
    feed_sessions,
    methods,
    modality,
    preference,
    role_play,
    summary,
)
from axia.report.collect import Evaluation, load
from axia.report.files import as_csv, as_latex
from axia.report.gallery import gallery
from axia.report.page import page
from axia.report.parts import Section, Table


def write_report(
    client: Client, logs: Path, out: Path, title: str = "Evaluation", card: JudgeCard | None = None
) -> Path:
    """Writes ``report.html``, ``tables/*.csv``, ``tables/*.tex`` and ``answers.csv``; returns the page's path.

    Nothing is written before everything is computed, so that no part of a report looks whole.

    Args:
        client: Its gateway's scoring service computes the tests.
        logs: Folder of logs, those in its folders among them.
        out: Folder that is written to.
        title: Title of the page.
        card: How far judges of alignment agree with people, as `axia judges audit` writes it.

    Raises:
        ReportError: If the logs are not complete, or no evaluation of axia's.
        AxiaError: If the scoring service does not answer.
    """
    evaluations = load(logs)
    sections: list[Section] = []
    for evaluation in evaluations:
        sections += _sections(client, evaluation)
    sections = _distinct([summary.section(evaluations), *sections, methods.section(evaluations, card)])
    models = list(dict.fromkeys(run.model for evaluation in evaluations for run in evaluation.runs))
    intro = f"Evaluations: {', '.join(evaluation.name for evaluation in evaluations)}. Models: {', '.join(models)}."
    tables = [table for section in sections for table in section.tables]
    files = {"report.html": page(title, intro, sections, gallery(evaluations)), "answers.csv": _answers(evaluations)}
    for table in tables:
        files[f"tables/{table.id}.csv"] = as_csv(table)
        files[f"tables/{table.id}.tex"] = as_latex(table)
    (out / "tables").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with tempfile.NamedTemporaryFile("w", dir=out, delete=False, encoding="utf-8", newline="") as part:
            part.write(text)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(out / name)
    return out / "report.html"


def _sections(client: Client, evaluation: Evaluation) -> list[Section]:
    if evaluation.kind == "preference" and not evaluation.about.get("factor"):
        return preference.sections(client, evaluation)
    if evaluation.about.get("factor") == "modality":
        return modality.sections(client, evaluation)
    if evaluation.kind == "role_play":
        return role_play.sections(client, evaluation)
    if evaluation.kind == "role_play_feed":
        return feed_sessions.sections(client, evaluation)
    if evaluation.kind == "choice":
        return choosing.sections(client, evaluation)
    if evaluation.kind == "abstention":
        return abstaining.sections(client, evaluation)
    return alignment.sections(client, evaluation)


def _distinct(sections: Sequence[Section]) -> list[Section]:
    """Sections whose tables all have names of their own, for their files and for links."""
    seen: dict[str, int] = {}

    def named(table: Table) -> Table:
        seen[table.id] = seen.get(table.id, 0) + 1
        return table if seen[table.id] == 1 else table._replace(id=f"{table.id}-{seen[table.id]}")

    return [section._replace(tables=[named(table) for table in section.tables]) for section in sections]


def _answers(evaluations: Sequence[Evaluation]) -> str:
    """Every answer with its score, so that the statistics can be computed by other means."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("evaluation", "model", "sample", "epoch", "picture", "score", "answer", "variant", "value", "keyword")
    )
    for evaluation in evaluations:
        for run in evaluation.runs:
            for row in run.rows:
                score = "" if row.score is None else row.score
                about = [row.metadata.get(name, "") for name in ("variant", "value", "keyword")]
                writer.writerow(
                    [evaluation.name, run.model, row.sample, row.epoch, row.picture, score, row.answer, *about]
                )
    return out.getvalue()
