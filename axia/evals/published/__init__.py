"""Published figures of both studies as data, each row with its source and how it was read.

Claims of the text are kept apart from figures (``claims.csv``): where a paper's own table says otherwise,
`contradictions` says so.
"""

import csv
import statistics
from importlib import resources
from typing import NamedTuple

from axia.lexicon import VALUES

PREFERENCE = "preference.csv"
"""Eight models by ten values, percentages (arXiv 2411.11479)."""
MODALITY = "modality.csv"
"""Picture against description by describer; not comparable with the preference table."""
ROLE_PLAY = "role_play.csv"
"""I_avg by strategy, model and platform, in percent."""
VALUES_DETECTORS = "values_detectors.csv"
"""What is known of the detectors' study (arXiv 2501.03957)."""
CLAIMS = "claims.csv"
"""What the text claims, where a table or formula can check it."""

ISQ_EXAMPLE = (7, 8, 6, 9, 0, 0)
"""The worked example of the questionnaire: its first four items; the last two don't apply in it."""


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one file, as texts by column."""
    text = (resources.files(__name__) / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def preference_table() -> dict[str, dict[str, float]]:
    """Percentages by model and value."""
    table: dict[str, dict[str, float]] = {}
    for row in rows(PREFERENCE):
        table.setdefault(row["model"], {})[row["value"]] = float(row["percentage"])
    return table


def role_play_figures(strategy: str, platform: str) -> dict[str, float]:
    """I_avg by model, in percent; empty for a strategy or platform that was not published."""
    return {
        row["model"]: float(row["i_avg"])
        for row in rows(ROLE_PLAY)
        if (row["strategy"], row["platform"]) == (strategy, platform)
    }


def value_means() -> dict[str, float]:
    """Mean over the models of each value, in the order of the ten."""
    table = preference_table()
    return {value: statistics.fmean(figures[value] for figures in table.values()) for value in VALUES}


def deviations() -> dict[str, float]:
    """Sample standard deviation (divisor n - 1) over the values of each model, in percentage points."""
    return {model: statistics.stdev(figures.values()) for model, figures in preference_table().items()}


def largest_distances() -> dict[str, float]:
    """How far each model's farthest value is from the model's mean, in percentage points."""
    found = {}
    for model, figures in preference_table().items():
        mean = statistics.fmean(figures.values())
        found[model] = max(abs(figure - mean) for figure in figures.values())
    return found


class Contradiction(NamedTuple):
    """A claim that the same source's figures don't bear out."""

    claim: str
    published: str
    computed: str


def contradictions() -> list[Contradiction]:
    """Where the source contradicts itself, computed from its figures."""
    claims = {row["quantity"]: row for row in rows(CLAIMS)}
    found = []
    deviation = deviations()["CogVLM2"]
    claim = claims["standard_deviation:CogVLM2"]
    if round(deviation, 2) != float(claim["published"]):
        found.append(Contradiction(claim["claim"], claim["published"], f"{deviation:.2f}"))
    claim = claims["largest_distance"]
    beyond = {model: far for model, far in largest_distances().items() if far > float(claim["published"])}
    if beyond:
        farthest = max(beyond, key=lambda model: beyond[model])
        said = f"{len(beyond)} of {len(preference_table())} don't; {farthest} is {beyond[farthest]:.1f} from its mean"
        found.append(Contradiction(claim["claim"], f"within {claim['published']}", said))
    claim = claims["second_lowest_mean"]
    means = value_means()
    second = sorted(means, key=lambda value: means[value])[1]
    if second != claim["published"]:
        said = f"{second}, with {means[second]:.1f}; {claim['published']} has {means[claim['published']]:.1f}"
        found.append(Contradiction(claim["claim"], f"second lowest: {claim['published']}", said))
    claim = claims["isq_example"]
    visual, curious, emotional, expected, aligned, desire = ISQ_EXAMPLE
    percent = (visual + curious + emotional + expected + 10 * aligned + 10 * desire) / 60 * 100
    if round(percent, 2) != round(float(claim["published"]), 2):
        found.append(Contradiction(claim["claim"], claim["published"], f"{percent:.1f} by the printed formula"))
    return found
