"""Sections about questions with options: accuracy, the values of what was chosen, and where in the list it stood."""

from axia.client import Client
from axia.report.collect import Evaluation
from axia.report.comparing import by_level, compare, comparison_tables, section_id
from axia.report.parts import Cell, Section, Table


def sections(client: Client, evaluation: Evaluation) -> list[Section]:
    """The section of one evaluation.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    name, first = evaluation.name, evaluation.runs[0].rows
    answered = sum(bool(row.metadata["answers"]) for row in first)
    paragraphs = [
        (
            f"{len({row.sample for row in first})} questions about {len({row.picture for row in first})} images; "
            f"{answered} of {len(first)} answers per model are to questions with a known answer. The letters were read "
            "from the models' replies; this is not the data sets' own scoring."
        )
    ]
    tables = [_rates(evaluation)]
    if answered:
        known = [(run.model, [row for row in run.rows if row.metadata["answers"]]) for run in evaluation.runs]
        if comparison := compare(client, known, paragraphs):
            tables += comparison_tables(name, comparison)
        if any(row.metadata["category"] for row in first):
            tables += by_level(client, evaluation, "category", paragraphs)
    if any(row.metadata["values"] for row in first):
        tables.append(_values(evaluation))
    return [Section(section_id(name), name, paragraphs, [*tables, _places(evaluation)])]


def _rates(evaluation: Evaluation) -> Table:
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        read = [row for row in run.rows if row.reading.get("choice")]
        scored = [row.score for row in run.rows if row.score is not None]
        accuracy = sum(scored) / len(scored) if scored else None
        chance = [
            len(row.metadata["answers"]) / len(row.metadata["options"]) for row in run.rows if row.score is not None
        ]
        guessing = sum(chance) / len(chance) if chance else None
        rows.append([run.model, len(run.rows), 1 - len(read) / len(run.rows), len(scored), accuracy, guessing])
    return Table(
        f"{section_id(evaluation.name)}-accuracy", f"{evaluation.name}: accuracy, and answers that could not be read",
        ("model", "answers", "unread", "scored", "accuracy", "by guessing"), rows,
    )  # fmt: skip


def _values(evaluation: Evaluation) -> Table:
    """How often the option of a value was chosen where it could be."""
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        read = [row for row in run.rows if row.reading.get("choice")]
        for value in sorted({value for row in read for value in row.metadata["values"]}):
            offered = [row for row in read if value in row.metadata["values"]]
            took = sum(row.reading.get("value") == value for row in offered)
            by_chance = sum(row.metadata["values"].count(value) / len(row.metadata["values"]) for row in offered)
            rows.append([run.model, value, took / len(offered), by_chance / len(offered), len(offered)])
    return Table(
        f"{section_id(evaluation.name)}-values", f"{evaluation.name}: how often a value was chosen if it was an option",
        ("model", "value", "chosen", "by chance", "questions that offer it"), rows,
    )  # fmt: skip


def _places(evaluation: Evaluation) -> Table:
    rows: list[list[Cell]] = []
    for run in evaluation.runs:
        read = [row for row in run.rows if row.reading.get("choice")]
        for letter in sorted({row.reading["choice"] for row in read}):
            share = sum(row.reading["choice"] == letter for row in read) / len(read)
            rows.append([run.model, letter, share, len(read)])
    return Table(
        f"{section_id(evaluation.name)}-letters", f"{evaluation.name}: share of each letter among the choices",
        ("model", "letter", "share", "choices"), rows, "If a model prefers a letter, this says little about values.",
    )  # fmt: skip
