"""The table of `axia compare` of two assessments of preference."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from axia.cli._output import console, printable

if TYPE_CHECKING:
    from axia.inputs import PreferenceAnswer
    from axia.results import Preference, PreferenceComparison
    from axia.results.scoring import PreferenceScore, PreferenceScores

_SURE = 0.05
_SHORT = {"structured": "struct."}
"""Names as they fit a table of 80 columns."""
_TEST = "McNemar's exact test, clustered by keyword"
_FEWEST_KEYWORDS = 6
"""Of fewer, even keywords that all differ in one direction have a p-value above 0.05."""
_COUNTS = {"yes": "yes", "no": "no", "refusals": "refused", "unparsed": "unread"}


def overall(answers: "Sequence[PreferenceAnswer]", scores: "PreferenceScores") -> dict[str, Any]:
    """What one assessment comes to over all values: counts, and the mean of the percentages of yes of each keyword.

    Args:
        answers: As they were scored.
        scores: Their scores, with a verdict for each.
    """
    by_keyword: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for answer, verdict in zip(answers, scores.verdicts, strict=True):
        if verdict in ("yes", "no"):
            by_keyword[answer.value, answer.keyword].append(verdict == "yes")
    counts = {name: scores.verdicts.count(name) for name in ("yes", "no", "refusal", "unparsed")}
    return {
        "mean_over_keywords": fmean(100 * fmean(said) for said in by_keyword.values()) if by_keyword else None,
        "keywords": len(by_keyword),
        "answers": len(answers),
        "yes": counts["yes"],
        "no": counts["no"],
        "refusals": counts["refusal"],
        "unparsed": counts["unparsed"],
    }


def names_of(assessments: "Sequence[Preference]") -> tuple[str, str]:
    """What the two are called: by their form where that is what differs."""
    forms = ["structured" if assessment.plan.structured else "free" for assessment in assessments]
    return ("first", "second") if forms[0] == forms[1] else (forms[0], forms[1])


def print_comparison(
    paths: Sequence[Path],
    assessments: "Sequence[Preference]",
    scores: "Sequence[PreferenceScores]",
    comparison: "PreferenceComparison",
    totals: "Sequence[dict[str, Any]]",
) -> None:
    """Prints a row for each value, one for all, and what it means in words.

    Args:
        paths: The files.
        assessments: What they have.
        scores: The scores of each.
        comparison: First and second, pair by pair.
        totals: What `overall` says of each.
    """
    from rich import box
    from rich.table import Table

    names = names_of(assessments)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("value", no_wrap=True)
    for name in names:
        table.add_column(f"{_SHORT.get(name, name)}\n%", justify="right", no_wrap=True)
        table.add_column("\nrefused", justify="right", no_wrap=True)
    for heading in ("differ-\nence", "95%\ninterval", "pairs in\nkeywords"):
        table.add_column(heading, justify="right", no_wrap=True)
    by_value = [{score.value: score for score in side.scores} for side in scores]
    differences = {difference.value: difference for difference in comparison.differences}
    for value in [name for name in by_value[0] if name in by_value[1]]:
        cells = [cell for side in by_value for cell in _side(side[value])]
        table.add_row(printable(value), *cells, *_difference(differences.get(value)))
    if comparison.overall is not None:
        cells = [cell for side in totals for cell in _total(side)]
        table.add_row("all", *cells, *_difference(comparison.overall), style="bold")
    console().print(table)
    for name, path, assessment in zip(names, paths, assessments, strict=True):
        plan = assessment.plan
        form = "structured" if plan.structured else "free"
        about = f"{plan.model.name}, {form} answers, plan {plan.sha256[:8]}"
        console().print(f"{name}: {printable(str(path))} ({printable(about)})", soft_wrap=True)
    for name, side in zip(names, totals, strict=True):
        console().print(_overall_in_words(name, side), soft_wrap=True)
    console().print(_in_words(names, comparison), soft_wrap=True)


def _side(score: "PreferenceScore") -> tuple[str, str]:
    return "—" if score.percentage is None else f"{score.percentage:.1f}", str(score.refusals)


def _total(side: "dict[str, Any]") -> tuple[str, str]:
    decided = side["yes"] + side["no"]
    return f"{100 * side['yes'] / decided:.1f}" if decided else "—", str(side["refusals"])


def _difference(found: object) -> tuple[str, str, str]:
    from axia.results.scoring import PreferenceDifference

    if not isinstance(found, PreferenceDifference):
        return "—", "—", "0 in 0"
    difference = 0.0 - found.difference  # second minus first: what the second form does; and never "-0.0"
    interval = "—" if found.interval is None else f"{0 - found.interval.high:+.0f} to {0 - found.interval.low:+.0f}"
    pairs = found.both_yes + found.first_only + found.second_only + found.both_no
    return f"{difference:+.1f}", interval, f"{pairs} in {found.keywords}"


def _overall_in_words(name: str, side: "dict[str, Any]") -> str:
    mean = "—" if side["mean_over_keywords"] is None else f"{side['mean_over_keywords']:.1f}%"
    counts = ", ".join(f"{side[kind]} {word}" for kind, word in _COUNTS.items())
    return f"{name}, over all: mean of {side['keywords']} keywords {mean}; {side['answers']} answers, {counts}"


def _in_words(names: tuple[str, str], comparison: "PreferenceComparison") -> str:
    moved = [difference.value for difference in comparison.differences if difference.adjusted_p_value < _SURE]
    said = (
        f"The difference is {names[1]} minus {names[0]}, in percentage points over the images about which both say "
        "yes or no; its interval is Newcombe's, clustered by keyword."
    )
    if moved:
        said += f" They differ in {', '.join(map(printable, moved))} ({_TEST}, Holm, p < {_SURE:g})."
    elif comparison.differences:
        said += " No value differs more than chance explains, which does not show that they agree: see the intervals."
    if any(0 < difference.keywords < _FEWEST_KEYWORDS for difference in comparison.differences):
        said += f" In a value of fewer than {_FEWEST_KEYWORDS} keywords the test can't find a difference."
    if (whole := comparison.overall) is not None:
        said += f" Over all values: {0.0 - whole.difference:+.1f} points, p {whole.p_value:.2g} ({_TEST})."
    if comparison.mean_absolute_difference is not None:
        said += f" Mean absolute difference over the values: {comparison.mean_absolute_difference:.1f} points."
    left_out = comparison.undecided_pairs
    if left_out:
        said += f" {left_out} pairs are left out because an answer refuses or can't be read."
    unpaired = comparison.unpaired_first + comparison.unpaired_second
    if unpaired:
        said += f" {unpaired} images are in only one of the files."
    return said
