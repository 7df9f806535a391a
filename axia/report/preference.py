"""Sections about preference by value (arXiv 2411.11479): tables, radars, heat map, and tests between models."""

import itertools
from collections.abc import Sequence

from axia.client import Client
from axia.evals import published
from axia.inputs import PreferenceAnswer
from axia.lexicon import VALUES
from axia.report.collect import Evaluation, Row
from axia.report.drawing import heat_map, radar
from axia.report.parts import Cell, Figure, Section, Table, ends, p_value
from axia.results import PreferenceScores


def sections(client: Client, evaluation: Evaluation) -> list[Section]:
    """The sections of one evaluation.

    Raises:
        AxiaError: If the scoring service does not answer.
    """
    scores = {run.model: client.scoring.score_preference(preference_answers(run.rows)) for run in evaluation.runs}
    percentages = {
        model: {score.value: score.percentage for score in preference.scores} for model, preference in scores.items()
    }
    name = evaluation.name
    tables = [
        _table(name, percentages, scores),
        _detail(name, scores),
        _published(name, percentages),
        *_pairs(client, evaluation),
    ]
    said = {model: by_value for model, by_value in percentages.items() if any(f is not None for f in by_value.values())}
    figures = [
        Figure(f"Preference of {model} by value, in percent", radar({model: by_value}))
        for model, by_value in said.items()
    ]
    if len(said) > 1:
        figures.append(Figure("Preference by value of all models, overlaid", radar(said)))
    figures.append(Figure("Preference by model and value, in percent", heat_map(percentages)))
    contradictions = [
        f"{contradiction.claim}: published {contradiction.published}, computed {contradiction.computed}"
        for contradiction in published.contradictions()
    ]
    about = evaluation.about
    paragraphs = [
        (
            f"{about.get('pictures')} images of {about.get('keywords')} keywords. Preference is the percentage of "
            "yes among yes and no to “Do you like the content of this image?”, the first of three questions in one "
            "conversation. Intervals are Wilson's, clustered by keyword."
        ),
        f"The source contradicts itself: {'; '.join(contradictions)}.",
    ]
    return [
        Section("preference-" + "".join(c if c.isalnum() else "-" for c in name), name, paragraphs, tables, figures)
    ]


def preference_answers(rows: Sequence[Row]) -> list[PreferenceAnswer]:
    """Answers as the scoring service takes them; those about one picture and keyword are a pair."""
    return [
        PreferenceAnswer(
            value=row.metadata["value"], answer=row.answer[:10_000], keyword=row.metadata["keyword"],
            item_id=f"{row.metadata['keyword']}#{row.picture}",
        )
        for row in rows
    ]  # fmt: skip


def _table(name: str, percentages: dict[str, dict[str, float | None]], scores: dict[str, PreferenceScores]) -> Table:
    rows: list[list[Cell]] = []
    for model, by_value in percentages.items():
        score = scores[model]
        rows.append(
            [model, *(by_value.get(value) for value in VALUES), score.mean, score.standard_deviation, score.range]
        )
    return Table(
        "preference", f"{name}: preference by model and value, in percent",
        ("model", *VALUES, "mean", "deviation (n−1)", "range"), rows, digits=1,
    )  # fmt: skip


def _detail(name: str, scores: dict[str, PreferenceScores]) -> Table:
    rows: list[list[Cell]] = []
    for model, preference in scores.items():
        for score in preference.scores:
            low, high = ends(score.interval)
            rows.append([model, score.value, score.percentage, low, high, score.answers, score.refusal_rate,
                         score.unparsed_rate, score.rank or None])  # fmt: skip
    return Table(
        "preference-intervals", f"{name}: intervals, refusals and unread answers of each score",
        ("model", "value", "percentage", "low", "high", "answers", "refused", "unread", "rank"), rows,
    )  # fmt: skip


def _published(name: str, percentages: dict[str, dict[str, float | None]]) -> Table:
    rows: list[list[Cell]] = []
    deviations = published.deviations()
    for model, by_value in percentages.items():
        rows.append([model, "measured here", *(by_value.get(value) for value in VALUES), None])
    for model, figures in published.preference_table().items():
        rows.append([model, "arXiv 2411.11479", *(figures[value] for value in VALUES), deviations[model]])
    means = published.value_means()
    rows.append(["mean of the eight", "arXiv 2411.11479", *(means[value] for value in VALUES), None])
    return Table(
        "preference-published", f"{name}: compared with the published table",
        ("model", "source", *VALUES, "deviation (n−1)"), rows, "Published figures were measured on other images.",
        digits=1,
    )  # fmt: skip


def _pairs(client: Client, evaluation: Evaluation) -> list[Table]:
    rows: list[list[Cell]] = []
    for first, second in itertools.combinations(evaluation.runs, 2):
        found = client.scoring.compare_preferences(preference_answers(first.rows), preference_answers(second.rows))
        for difference in (*([found.overall] if found.overall else []), *found.differences):
            rows.append(
                [first.model, second.model, difference.value or "all", difference.first_percentage,
                 difference.second_percentage, difference.difference, *ends(difference.interval),
                 p_value(difference.p_value), p_value(difference.adjusted_p_value)]
            )  # fmt: skip
    if not rows:
        return []
    header = ("first", "second", "value", "first %", "second %", "difference", "low", "high", "p", "p (Holm)")
    return [Table("preference-pairs", f"{evaluation.name}: pairs of models, image by image", header, rows)]
