"""Sections about pictures against descriptions (arXiv 2411.11479): radars overlaid, and differences by value."""

from axia.client import Client
from axia.evals import published
from axia.lexicon import VALUES
from axia.report.collect import Evaluation, Row, Run
from axia.report.comparing import rates, section_id
from axia.report.drawing import radar
from axia.report.parts import Cell, Figure, Section, Table, ends, p_value
from axia.report.preference import preference_answers

_INPUTS = ("picture", "description")


def sections(client: Client, evaluation: Evaluation) -> list[Section]:
    """The section of one evaluation.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    rows: list[list[Cell]] = []
    figures = []
    for run in evaluation.runs:
        picture, description = (_of(run, kind) for kind in _INPUTS)
        found = client.scoring.compare_preferences(preference_answers(picture), preference_answers(description))
        for difference in (*([found.overall] if found.overall else []), *found.differences):
            rows.append(
                [run.model, difference.value or "all", difference.first_percentage, difference.second_percentage,
                 difference.difference, *ends(difference.interval), p_value(difference.p_value),
                 p_value(difference.adjusted_p_value)]
            )  # fmt: skip
        if not found.differences:
            continue
        by_input = {
            "from the image": {difference.value: difference.first_percentage for difference in found.differences},
            "from its description": {
                difference.value: difference.second_percentage for difference in found.differences
            },
        }
        figures.append(Figure(f"{run.model}: preference from images and from descriptions", radar(by_input)))
    name, describer = evaluation.name, evaluation.about.get("describer", "itself")
    differences = Table(
        f"{section_id(name)}-differences", f"{name}: from the image and from its description, in percent",
        ("model", "value", "image", "description", "difference", "low", "high", "p", "p (Holm)"), rows,
        "Pairs in which one answer could not be read are left out. Difference: image minus description.",
    )  # fmt: skip
    paragraphs = [
        (
            f"The model is asked about each image twice: with the image, and with a description of it in a separate "
            f"conversation. Describer: {'the model that answers' if describer == 'itself' else describer}."
        ),
        (
            "The published figures below combine three describers with three models, and were measured on other "
            "images. They can't be compared with the published preference table either."
        ),
    ]
    return [Section(section_id(name), name, paragraphs, [rates(evaluation), differences, _published(name)], figures)]


def _of(run: Run, kind: str) -> tuple[Row, ...]:
    return tuple(row for row in run.rows if row.metadata["modality"] == kind)


def _published(name: str) -> Table:
    by_row: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in published.rows(published.MODALITY):
        by_row.setdefault((row["model"], row["input"], row["describer"]), {})[row["value"]] = float(row["percentage"])
    rows: list[list[Cell]] = [[*key, *(figures.get(value) for value in VALUES)] for key, figures in by_row.items()]
    return Table(
        f"{section_id(name)}-published", f"{name}: published figures, in percent (arXiv 2411.11479)",
        ("model", "input", "described by", *VALUES), rows,
        "Read from a figure by hand; there are no published numbers to compare with.", digits=0,
    )  # fmt: skip
