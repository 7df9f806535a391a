"""Differences of two sets of preference answers, pair by pair: two models, or pictures and their descriptions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from axia.lexicon import VALUES
from services.scoring.protocols.preference import PreferenceAnswer
from services.scoring.reading.labels import Verdict
from services.scoring.reading.schwartz import check_value
from services.scoring.statistics.intervals import (
    DEFAULT_LEVEL,
    Interval,
    check_level,
    clustered_newcombe,
    newcombe_paired,
)
from services.scoring.statistics.mcnemar import clustered_mcnemar_p, holm, mcnemar_p
from services.serving.errors import InvalidArgument


@dataclass(frozen=True)
class PreferenceDifference:
    """The difference of two sets of answers about one value, over the pairs in which both say yes or no."""

    value: str
    """The value; empty for all values together."""
    both_yes: int
    """Pairs in which both say yes."""
    first_only: int
    """Pairs in which the first alone says yes."""
    second_only: int
    """Pairs in which the second alone says yes."""
    both_no: int
    """Pairs in which both say no."""
    first_percentage: float
    """Of the first, 0 to 100."""
    second_percentage: float
    """Of the second, 0 to 100."""
    difference: float
    """First minus second, percentage points."""
    interval: Interval
    """Newcombe's, clustered by keyword where pairs have one; percentage points."""
    p_value: float
    """McNemar's exact test, two-sided; clustered by keyword where pairs have one."""
    adjusted_p_value: float
    """After Holm's correction over values."""
    keywords: int
    """Different keywords of the pairs, each counted for each value; 0 where no pair has one."""


@dataclass(frozen=True)
class PreferenceComparison:
    """Differences between two sets of answers."""

    differences: tuple[PreferenceDifference, ...]
    """Values with a pair in which both say yes or no, in the order of `VALUES`."""
    overall: PreferenceDifference | None
    """All values together; None without a pair."""
    mean_absolute_difference: float | None
    """Mean over values, percentage points; None without a value."""
    unpaired_first: int
    """Answers of the first set without a partner."""
    unpaired_second: int
    """Answers of the second set without a partner."""
    undecided_pairs: int
    """Pairs left out because an answer refuses or can't be read."""


def compare_preferences(
    first: Sequence[PreferenceAnswer],
    second: Sequence[PreferenceAnswer],
    verdicts: tuple[Sequence[Verdict], Sequence[Verdict]],
    level: float = DEFAULT_LEVEL,
) -> PreferenceComparison:
    """Pairs the answers by value and item, and compares the percentages of yes over the pairs that decide.

    Pairs about the pictures of one keyword are a cluster: the keyword of the first set's answer.

    Args:
        first: At least one answer, each value and item once.
        second: Likewise.
        verdicts: What each answer of both sets says.
        level: Confidence level, 0.5 to 0.999.

    Raises:
        InvalidArgument: If a set is empty, a value is unknown, an item is missing or comes twice.
    """
    check_level("confidence_level", level)
    one, other = _by_item("first", first, verdicts[0]), _by_item("second", second, verdicts[1])
    tables: dict[str, dict[_Cluster, Counter[_Pair]]] = {value: {} for value in VALUES}
    pairs = undecided = 0
    for (value, item), judged in one.items():
        partner = other.get((value, item))
        if partner is not None:
            pairs += 1
            if judged.verdict in _DECIDED and partner.verdict in _DECIDED:
                cluster = _Cluster(value, judged.keyword)
                tables[value].setdefault(cluster, Counter())[judged.verdict, partner.verdict] += 1
            else:
                undecided += 1
    found = [_difference(value, by_cluster, level) for value, by_cluster in tables.items() if by_cluster]
    adjusted = holm([difference.p_value for difference in found])
    differences = tuple(replace(d, adjusted_p_value=p) for d, p in zip(found, adjusted, strict=True))
    together = {cluster: table for by_cluster in tables.values() for cluster, table in by_cluster.items()}
    return PreferenceComparison(
        differences=differences,
        overall=_difference("", together, level) if together else None,
        mean_absolute_difference=sum(abs(d.difference) for d in differences) / len(differences)
        if differences
        else None,
        unpaired_first=len(one) - pairs,
        unpaired_second=len(other) - pairs,
        undecided_pairs=undecided,
    )


_Pair = tuple[Verdict, Verdict]


class _Cluster(NamedTuple):
    """Pairs that are more alike than others: those of a keyword. Those without one are alone each."""

    value: str
    keyword: str


class _Said(NamedTuple):
    verdict: Verdict
    keyword: str


_DECIDED = frozenset({Verdict.YES, Verdict.NO})
_PAIRS = (
    (Verdict.YES, Verdict.YES), (Verdict.YES, Verdict.NO), (Verdict.NO, Verdict.YES), (Verdict.NO, Verdict.NO)
)  # fmt: skip


def _by_item(
    field: str, answers: Sequence[PreferenceAnswer], verdicts: Sequence[Verdict]
) -> Mapping[tuple[str, str], _Said]:
    if not answers:
        raise InvalidArgument(field, "must not be empty", reason="EMPTY")
    by_item: dict[tuple[str, str], _Said] = {}
    for index, (answer, verdict) in enumerate(zip(answers, verdicts, strict=True)):
        value = check_value(f"{field}[{index}].value", answer.value)
        if not answer.item_id:
            raise InvalidArgument(f"{field}[{index}].item_id", "must not be empty: it pairs answers", reason="EMPTY")
        key = (value, answer.item_id)
        if key in by_item:
            raise InvalidArgument(
                f"{field}[{index}].item_id", f"came before with the value {value}; send it once", reason="DUPLICATE"
            )
        by_item[key] = _Said(verdict, answer.keyword)
    return by_item


def _difference(value: str, by_cluster: Mapping[_Cluster, Counter[_Pair]], level: float) -> PreferenceDifference:
    rows = {cluster: [table[pair] for pair in _PAIRS] for cluster, table in by_cluster.items()}
    both, first, second, neither = (sum(column) for column in zip(*rows.values(), strict=True))
    pairs = both + first + second + neither
    named = [row for cluster, row in rows.items() if cluster.keyword]
    if named:
        nameless = np.array([row for cluster, row in rows.items() if not cluster.keyword] or [[0] * len(_PAIRS)])
        alone = np.eye(len(_PAIRS), dtype=np.int64).repeat(nameless.sum(axis=0), axis=0)
        clusters = np.concatenate([np.array(named, dtype=np.int64), alone])
        interval = clustered_newcombe(clusters, level, "keyword")
        p_value = clustered_mcnemar_p([(int(row[1]), int(row[2])) for row in clusters])
    else:
        interval = newcombe_paired(both, first, second, neither, level)
        p_value = mcnemar_p(first, second)
    return PreferenceDifference(
        value=value,
        both_yes=both,
        first_only=first,
        second_only=second,
        both_no=neither,
        first_percentage=100 * (both + first) / pairs,
        second_percentage=100 * (both + second) / pairs,
        difference=100 * (first - second) / pairs,
        interval=interval.scaled(100),
        p_value=p_value,
        adjusted_p_value=p_value,
        keywords=len(named),
    )
