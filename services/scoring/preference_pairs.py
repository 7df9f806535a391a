"""Differences of two sets of preference answers, pair by pair: two models, or pictures and their descriptions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.scoring.intervals import DEFAULT_LEVEL, Interval, check_level, newcombe_paired
from services.scoring.mcnemar import holm, mcnemar_p
from services.scoring.preference import PreferenceAnswer
from services.scoring.reader_labels import Verdict
from services.scoring.schwartz import VALUES, check_value
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
    """Newcombe's, percentage points."""
    p_value: float
    """McNemar's exact test, two-sided."""
    adjusted_p_value: float
    """After Holm's correction over values."""


@dataclass(frozen=True)
class PreferenceComparison:
    """Differences between two sets of answers."""

    differences: tuple[PreferenceDifference, ...]
    """Values with a pair in which both say yes or no, in the order of `VALUES`."""
    overall: PreferenceDifference | None
    """All values together, pairs taken as independent; None without a pair."""
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
    tables: dict[str, Counter[tuple[Verdict, Verdict]]] = {value: Counter() for value in VALUES}
    pairs = undecided = 0
    for key, verdict in one.items():
        partner = other.get(key)
        if partner is not None:
            pairs += 1
            if verdict in _DECIDED and partner in _DECIDED:
                tables[key[0]][verdict, partner] += 1
            else:
                undecided += 1
    found = [_difference(value, table, level) for value, table in tables.items() if table]
    adjusted = holm([difference.p_value for difference in found])
    differences = tuple(replace(d, adjusted_p_value=p) for d, p in zip(found, adjusted, strict=True))
    total = sum(tables.values(), Counter[tuple[Verdict, Verdict]]())
    return PreferenceComparison(
        differences=differences,
        overall=_difference("", total, level) if total else None,
        mean_absolute_difference=sum(abs(d.difference) for d in differences) / len(differences)
        if differences
        else None,
        unpaired_first=len(one) - pairs,
        unpaired_second=len(other) - pairs,
        undecided_pairs=undecided,
    )


_DECIDED = frozenset({Verdict.YES, Verdict.NO})


def _by_item(
    field: str, answers: Sequence[PreferenceAnswer], verdicts: Sequence[Verdict]
) -> Mapping[tuple[str, str], Verdict]:
    if not answers:
        raise InvalidArgument(field, "must not be empty", reason="EMPTY")
    by_item: dict[tuple[str, str], Verdict] = {}
    for index, (answer, verdict) in enumerate(zip(answers, verdicts, strict=True)):
        value = check_value(f"{field}[{index}].value", answer.value)
        if not answer.item_id:
            raise InvalidArgument(f"{field}[{index}].item_id", "must not be empty: it pairs answers", reason="EMPTY")
        key = (value, answer.item_id)
        if key in by_item:
            raise InvalidArgument(
                f"{field}[{index}].item_id", f"came before with the value {value}; send it once", reason="DUPLICATE"
            )
        by_item[key] = verdict
    return by_item


def _difference(value: str, table: Counter[tuple[Verdict, Verdict]], level: float) -> PreferenceDifference:
    both, first = table[Verdict.YES, Verdict.YES], table[Verdict.YES, Verdict.NO]
    second, neither = table[Verdict.NO, Verdict.YES], table[Verdict.NO, Verdict.NO]
    pairs = table.total()
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
        interval=newcombe_paired(both, first, second, neither, level).scaled(100),
        p_value=p_value,
        adjusted_p_value=p_value,
    )
