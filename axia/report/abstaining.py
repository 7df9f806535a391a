"""Sections about abstaining: risk and coverage by a threshold on agreement."""

from axia.client import Client
from axia.evals.calibration import Answered, curve
from axia.report import alignment
from axia.report.collect import Evaluation, Row
from axia.report.drawing import risk_coverage
from axia.report.parts import Cell, Figure, Section, Table


def sections(client: Client, evaluation: Evaluation) -> list[Section]:
    """The sections of one evaluation, the figures of alignment first.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    (section,) = alignment.sections(client, evaluation)
    rows: list[list[Cell]] = []
    curves = {}
    for run in evaluation.runs:
        found = curve(answered_of(run.rows))
        curves[run.model] = [(point.coverage, point.risk) for point in found if point.risk is not None]
        rows += [
            [run.model, point.threshold, point.answered, point.coverage, point.errors, point.risk] for point in found
        ]
    table = Table(
        "risk-coverage", f"{evaluation.name}: errors among answered images, by the minimum agreement for an answer",
        ("model", "agreement from", "answered", "share answered", "errors", "errors among answered"), rows,
    )  # fmt: skip
    figure = Figure("Errors among answered images against the share of answered images", risk_coverage(curves))
    return [section._replace(tables=[*section.tables, table], figures=[figure])]


def answered_of(rows: tuple[Row, ...]) -> list[Answered]:
    """What calibration needs of each picture; those that the judge could not read count as errors."""
    return [
        Answered(row.picture, float(row.reading["agreement"]), row.reading.get("abstain_reason"), row.score == 1)
        for row in rows
        if "agreement" in row.reading
    ]
