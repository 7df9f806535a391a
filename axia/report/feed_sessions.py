"""Sections about role-play on a feed with a known recommender (arXiv 2411.11479): I_avg beside the truth."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from axia.client import Client
from axia.evals import published
from axia.inputs import PersonaOutcome
from axia.report.collect import Evaluation, Row, Run
from axia.report.comparing import compare, comparison_tables, section_id
from axia.report.parts import Cell, Section, Table, ends
from axia.report.role_play import published_table, strategy_of

AGREES = 0.9
"""Least agreement with the persona's truth at which the measured I should be the recommender's."""
_HOW = (
    "A session has three phases: in the baseline every video is watched in the same way; in the persona phase and the "
    "after-phase the model's answers decide, and the recommender learns from them. I = 100 (after - before) / before, "
    "where before and after are the shares of yes in the first and the last phase; I_avg is its mean over personas. "
    "The true I is what a viewer gets who decides by the persona's truth, over many simulated sessions. A session in "
    "which the model always gives the same answer, or a phase has no answer that can be read, isn't measurable."
)


def sections(client: Client, evaluation: Evaluation) -> list[Section]:
    """The section of one evaluation.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    name, about = evaluation.name, evaluation.about
    rows = evaluation.runs[0].rows
    personas = {row.metadata["persona"] for row in rows}
    paragraphs = [
        (
            f"{strategy_of(about)}. {len(personas)} personas, {len(rows)} sessions a model, "
            f"{about['phase']} videos a phase, {about['videos']} videos in the feed."
        ),
        _HOW,
    ]
    tables = [_averages(client, evaluation), _agreeing(evaluation)]
    if len(evaluation.runs) > 1 and (
        comparison := compare(client, [(run.model, list(run.rows)) for run in evaluation.runs], paragraphs)
    ):
        tables += comparison_tables(name, comparison)
    return [Section(section_id(name), name, paragraphs, [*tables, _sessions(evaluation), published_table(name, about)])]


def _averages(client: Client, evaluation: Evaluation) -> Table:
    strategy, rows = evaluation.about["strategy"], list[list[Cell]]()
    for run in evaluation.runs:
        for platform in _platforms(run):
            on_platform = [row for row in run.rows if row.metadata["platform"] == platform]
            measured = [row for row in on_platform if not row.reading["not_measurable"]]
            shown: list[Cell] = [None] * 5
            if measured:
                score = client.scoring.score_persona(_outcomes(measured)).platforms[0]
                shown = [score.i_avg, *ends(score.interval), score.points, score.undefined]
            with_i = [row.reading for row in measured if row.reading["i"] is not None]
            known = [found["truth"]["i"] for found in with_i if found["truth"]]
            figures = published.role_play_figures(strategy, platform).values()
            rows.append(
                [
                    run.model, platform, *shown, fmean(known) if known else None,
                    min(figures, default=None), max(figures, default=None), len(on_platform),
                    len(on_platform) - len(measured),
                ]
            )  # fmt: skip
    return Table(
        f"{section_id(evaluation.name)}-i-avg", f"{evaluation.name}: I_avg by platform, in percent",
        ("model", "platform", "I_avg", "low", "high", "points", "without an I", "true I_avg", "published, lowest",
         "published, highest", "sessions", "not measurable"),
        rows,
        "95% intervals over personas; several sessions of a persona count as their mean. Points: percentage points. "
        "True I_avg: of the personas that have an I. Published: the models of arXiv 2411.11479 on the real platform.",
        digits=1,
    )  # fmt: skip


def _outcomes(rows: Sequence[Row]) -> list[PersonaOutcome]:
    """One for each persona of a platform: several sessions of it count as their mean."""
    by_persona: dict[str, list[Row]] = {}
    for row in rows:
        by_persona.setdefault(row.metadata["persona"], []).append(row)
    return [
        PersonaOutcome(
            persona=persona,
            platform=found[0].metadata["platform"],
            before=fmean(row.reading["before"] for row in found),
            after=fmean(row.reading["after"] for row in found),
        )
        for persona, found in by_persona.items()
    ]


def _agreeing(evaluation: Evaluation) -> Table:
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        for platform in _platforms(run):
            on_platform = [row for row in run.rows if row.metadata["platform"] == platform]
            known = [row for row in on_platform if row.reading["agreement"] is not None]
            agreeing = [row for row in known if row.reading["agreement"] >= AGREES]
            scored = [row for row in agreeing if row.score is not None]
            videos = sum(row.reading["videos"] for row in on_platform)
            rows.append(
                [
                    run.model, platform, len(on_platform),
                    fmean(row.reading["agreement"] for row in known) if known else None,
                    len(agreeing), sum(row.score or 0 for row in scored), len(scored),
                    sum(row.reading["undecided"] for row in on_platform) / videos,
                ]
            )  # fmt: skip
    return Table(
        f"{section_id(evaluation.name)}-agreement",
        f"{evaluation.name}: answers that are the truth's, and sessions whose I is where the truth's are",
        ("model", "platform", "sessions", "agreement", f"agree in {AGREES:.0%} or more", "of those in the range",
         "of those with an I", "unread answers"),
        rows,
        "The range: the 95% prediction interval of the true I.",
    )  # fmt: skip


def _sessions(evaluation: Evaluation) -> Table:
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        for row in run.rows:
            found: dict[str, Any] = row.reading
            truth: dict[str, Any] = found["truth"] or {}
            expected: list[Cell] = [truth.get("i"), *truth.get("prediction", (None, None))]
            inside = {1: "yes", 0: "no", None: "—"}[row.score]
            why = found["not_measurable"] or ("" if found["i"] is not None else "nothing was liked before")
            rows.append(
                [
                    run.model, row.metadata["platform"], row.metadata["persona"], row.epoch, found["before"],
                    found["after"], found["i"], *expected, inside, found["agreement"], why or found["no_truth"],
                ]
            )  # fmt: skip
    return Table(
        f"{section_id(evaluation.name)}-sessions", f"{evaluation.name}: every session",
        ("model", "platform", "persona", "epoch", "before", "after", "I", "true I", "low", "high", "in the range",
         "agreement", "note"),
        rows,
        "Low and high: the 95% prediction interval of the true I.",
    )  # fmt: skip


def _platforms(run: Run) -> list[str]:
    return list(dict.fromkeys(row.metadata["platform"] for row in run.rows))
