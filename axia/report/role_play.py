"""Sections about role-play (arXiv 2411.11479): agreement with the persona's truth, by platform."""

from collections.abc import Mapping
from typing import Any

from axia.client import Client
from axia.evals import published
from axia.report.collect import Evaluation
from axia.report.comparing import by_level, compare, comparison_tables, rates, section_id
from axia.report.parts import Cell, Section, Table

_NO_I_AVG = (
    "The published figure, I_avg, is the change of the share of yes on a platform whose recommender reacts to the "
    "persona. This evaluation has no shares before and after, so there is no I_avg. The score is the share of images "
    "for which the model's decision, stay or swipe, agrees with the persona's truth."
)


def sections(client: Client, evaluation: Evaluation) -> list[Section]:
    """The section of one evaluation.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    name, about = evaluation.name, evaluation.about
    rows = evaluation.runs[0].rows
    paragraphs = [
        (
            f"{strategy_of(about)}. {len({row.metadata.get('persona') for row in rows})} personas, "
            f"{len({row.picture for row in rows})} images, {len(rows)} answers per model."
        ),
        _NO_I_AVG,
    ]
    tables = [rates(evaluation), _stays(evaluation)]
    if comparison := compare(client, [(run.model, list(run.rows)) for run in evaluation.runs], paragraphs):
        tables += comparison_tables(name, comparison)
    tables += by_level(client, evaluation, "platform", paragraphs)
    return [Section(section_id(name), name, paragraphs, [*tables, published_table(name, about)])]


def strategy_of(about: Mapping[str, Any]) -> str:
    """How a persona was asked, for the beginning of a paragraph."""
    threshold = f"; the model stays if S% is above {about['threshold']:g}" if about["strategy"] == "isq" else ""
    return f"Strategy: {about['strategy']}{threshold}"


def _stays(evaluation: Evaluation) -> Table:
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        for platform in dict.fromkeys(row.metadata.get("platform") or "unknown" for row in run.rows):
            on_platform = [row for row in run.rows if (row.metadata.get("platform") or "unknown") == platform]
            read = [row for row in on_platform if row.reading.get("stays") is not None]
            stays = sum(bool(row.reading["stays"]) for row in read) / len(read) if read else None
            truth = sum(bool(row.metadata["stays"]) for row in on_platform) / len(on_platform)
            rows.append([run.model, platform, stays, truth, len(on_platform), 1 - len(read) / len(on_platform)])
    return Table(
        f"{section_id(evaluation.name)}-stays", f"{evaluation.name}: share of images that the model stays at",
        ("model", "platform", "stays", "stays by the persona's truth", "answers", "unread"), rows,
    )  # fmt: skip


def published_table(name: str, about: Mapping[str, Any]) -> Table:
    """The published I_avg of the strategy."""
    rows: list[list[Cell]] = [
        [row["model"], row["platform"], float(row["i_avg"])]
        for row in published.rows(published.ROLE_PLAY)
        if row["strategy"] == about["strategy"]
    ]
    return Table(
        f"{section_id(name)}-published", f"{name}: published I_avg, in percent (arXiv 2411.11479)",
        ("model", "platform", "I_avg"), rows, "Measured in pixels from a figure; the error is at most 0.2.",
    )  # fmt: skip
