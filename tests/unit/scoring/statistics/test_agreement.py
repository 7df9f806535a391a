import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from services.scoring.statistics.agreement import (
    MAX_ANNOTATORS,
    Rating,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    measure_agreement,
)
from services.scoring.statistics.intervals import Interval
from services.serving.errors import InvalidArgument

# J. L. Fleiss (1971), as in Wikipedia's article on Fleiss' kappa: 10 units, 14 raters, 5 categories, κ = 0.210.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
# K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: nominal α = 0.743.
FOUR_OBSERVERS = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]


def ends(interval: Interval | None) -> tuple[float, float]:
    return (0, 0) if interval is None else (interval.low, interval.high)


units_of_ratings = st.lists(st.lists(st.sampled_from("abc"), min_size=0, max_size=5), min_size=1, max_size=12)


def by_unit(observers: Sequence[str]) -> list[list[str]]:
    return [[given for given in unit if given != "."] for unit in zip(*observers, strict=True)]


def pair(table: list[list[int]]) -> tuple[list[int], list[int]]:
    cells = [(row, column) for row, line in enumerate(table) for column, count in enumerate(line) for _ in range(count)]
    return [row for row, _ in cells], [column for _, column in cells]


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ([[20, 5], [10, 15]], 0.4),  # Wikipedia, Cohen's kappa, simple example
        ([[45, 15], [25, 15]], 0.1304),  # the same article: same percentage, different numbers
        ([[25, 35], [5, 35]], 0.2593),
        ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.6765),  # Fleiss, Levin and Paik, Statistical Methods, table 18.1
    ],
)
def test_cohens_kappa_gives_the_textbook_values(table: list[list[int]], kappa: float) -> None:
    assert cohen_kappa(*pair(table)) == pytest.approx(kappa, abs=5e-5)
    assert cohen_kappa(*pair(table)) == pytest.approx(
        inter_rater.cohens_kappa(np.array(table), return_results=False), abs=1e-9
    )


def test_fleiss_kappa_gives_the_published_value() -> None:
    units = [[category for category, count in enumerate(row) for _ in range(count)] for row in FLEISS]
    assert fleiss_kappa(units) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(units) == pytest.approx(inter_rater.fleiss_kappa(np.array(FLEISS)), abs=1e-9)


def test_krippendorffs_alpha_gives_the_published_values() -> None:
    assert krippendorff_alpha(by_unit(FOUR_OBSERVERS)) == pytest.approx(0.743, abs=5e-4)
    # Section A of the same text: two observers, ten units, α = 0.095.
    assert krippendorff_alpha(by_unit(["0100000010", "1110010000"])) == pytest.approx(0.095, abs=5e-4)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_cohens_kappa_agrees_with_statsmodels_and_is_symmetric(pairs: list[tuple[str, str]]) -> None:
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    kappa = cohen_kappa(first, second)
    assert kappa == cohen_kappa(second, first)
    if kappa is None:
        assert len({*first, *second}) == 1
    else:
        table = np.zeros((3, 3))
        for one, other in pairs:
            table["abc".index(one), "abc".index(other)] += 1
        assert kappa == pytest.approx(inter_rater.cohens_kappa(table, return_results=False), abs=1e-9)
        assert -1 <= kappa <= 1


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=4), min_size=1, max_size=12))
def test_fleiss_kappa_agrees_with_statsmodels(units: list[list[str]]) -> None:
    kappa = fleiss_kappa(units)
    table = np.array([[unit.count(category) for category in "abc"] for unit in units])
    if kappa is not None:
        assert kappa == pytest.approx(inter_rater.fleiss_kappa(table), abs=1e-9)
    else:
        assert len({category for unit in units for category in unit}) == 1


def alpha_by_pairs(units: list[list[str]]) -> float | None:
    """α from its definition: pairs within units against pairs over all values."""
    pairable = [unit for unit in units if len(unit) > 1]
    values = [value for unit in pairable for value in unit]
    within = sum(
        (one != other) / (len(unit) - 1)
        for unit in pairable
        for i, one in enumerate(unit)
        for j, other in enumerate(unit)
        if i != j
    )
    across = sum(one != other for i, one in enumerate(values) for j, other in enumerate(values) if i != j)
    if not across:
        return None
    return 1 - (within / len(values)) / (across / (len(values) * (len(values) - 1)))


@given(units_of_ratings)
def test_krippendorffs_alpha_is_its_definition_and_ignores_order(units: list[list[str]]) -> None:
    alpha = krippendorff_alpha(units)
    expected = alpha_by_pairs(units)
    assert (alpha is None) == (expected is None)
    if alpha is not None and expected is not None:
        assert alpha == pytest.approx(expected, abs=1e-9)
        assert alpha <= 1
        assert krippendorff_alpha([unit[::-1] for unit in units[::-1]]) == pytest.approx(alpha, abs=1e-12)


def ratings(units: dict[str, dict[str, str]]) -> list[Rating]:
    return [Rating(unit, who, category) for unit, given in units.items() for who, category in given.items()]


def test_an_annotator_is_scored_against_the_majority_of_the_others() -> None:
    agreement = measure_agreement(
        ratings(
            {
                "kitchen": {"ann": "stove", "ben": "stove", "cat": "child"},
                "bath": {"ann": "water", "ben": "child", "cat": "razor"},
                "hall": {"ann": "door"},
            }
        )
    )
    scores = {annotator.annotator: annotator for annotator in agreement.annotators}
    # kitchen: against {stove, child}, a tie, ann and ben get 1/2; cat gets 0. bath: nobody names what another does.
    assert scores["ann"].score == pytest.approx(0.25)
    assert scores["ben"].score == pytest.approx(0.25)
    assert scores["cat"].score == 0
    assert scores["ann"].units == 2
    assert agreement.ceiling == pytest.approx(1 / 6)
    assert agreement.units == 3
    assert agreement.pairable_units == 2
    assert agreement.fleiss_kappa is None  # not the same number of ratings everywhere
    assert [(p.first, p.second, p.units) for p in agreement.pairs] == [
        ("ann", "ben", 2),
        ("ann", "cat", 2),
        ("ben", "cat", 2),
    ]


def test_perfect_agreement_is_one_and_a_single_category_is_undefined() -> None:
    perfect = measure_agreement(ratings({str(u): dict.fromkeys("abc", str(u % 2)) for u in range(6)}))
    assert perfect.fleiss_kappa == perfect.krippendorff_alpha == perfect.ceiling == 1
    assert all(p.cohen_kappa == 1 for p in perfect.pairs)
    for interval in (perfect.fleiss_kappa_interval, perfect.krippendorff_alpha_interval):
        assert interval is not None
        assert interval.high == 1
        assert interval.low < 0.4  # six units that agree are no proof
    alike = measure_agreement(ratings({str(u): dict.fromkeys("abc", "x") for u in range(6)}))
    assert alike.fleiss_kappa is None
    assert alike.krippendorff_alpha is None
    assert alike.fleiss_kappa_interval is None
    assert alike.krippendorff_alpha_interval is None
    assert all(p.cohen_kappa is None for p in alike.pairs)
    assert alike.ceiling == 1


def test_one_annotator_alone_has_no_agreement() -> None:
    alone = measure_agreement([Rating("kitchen", "ann", "stove")])
    assert alone.ceiling is None
    assert alone.ceiling_interval is None
    assert alone.annotators[0].score is None
    assert not alone.pairs


@given(units_of_ratings, st.randoms(use_true_random=False))
def test_agreement_does_not_depend_on_the_order_of_ratings(units: list[list[str]], random: object) -> None:
    given_ratings = [
        Rating(str(u), str(a), category) for u, unit in enumerate(units) for a, category in enumerate(unit)
    ]
    if given_ratings:
        one, other = measure_agreement(given_ratings), measure_agreement(given_ratings[::-1])
        for pair, turned in zip(one.pairs, other.pairs, strict=True):
            assert replace(pair, cohen_kappa_interval=None) == replace(turned, cohen_kappa_interval=None)
            low, high = ends(pair.cohen_kappa_interval)
            assert ends(turned.cohen_kappa_interval) == pytest.approx((low, high), abs=1e-9)
        assert [a.annotator for a in one.annotators] == [a.annotator for a in other.annotators]
        for first, second in ((one.ceiling, other.ceiling), (one.krippendorff_alpha, other.krippendorff_alpha)):
            assert (first is None) == (second is None)
            assert math.isclose(first or 0, second or 0, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("given_ratings", "field"),
    [
        ([], "ratings"),
        ([Rating("", "ann", "x")], "ratings[0].unit"),
        ([Rating("k", "ann", "x"), Rating("k", "", "x")], "ratings[1].annotator"),
        ([Rating("k", "ann", "")], "ratings[0].category"),
        ([Rating("k", "ann", "x"), Rating("k", "ann", "y")], "ratings[1]"),
        ([Rating("k", str(a), "x") for a in range(MAX_ANNOTATORS + 1)], "ratings"),
    ],
)
def test_bad_ratings_are_named(given_ratings: list[Rating], field: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        measure_agreement(given_ratings)
    assert raised.value.violations[0].field == field
