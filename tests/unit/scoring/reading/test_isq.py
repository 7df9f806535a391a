import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.reading.isq.score import ITEM_MAXIMA, IsqItems, check_threshold, score_isq
from services.serving.errors import InvalidArgument

NAN = float("nan")


@pytest.mark.parametrize(
    ("items", "percent"),
    [
        ((10, 10, 10, 10, 1, 1), 100.0),
        ((0, 0, 0, 0, 0, 0), 0.0),
        ((8, 7, 6, 5, 1, 0), 60.0),  # 36 of 60 points
        ((6, 6, 6, 6, 0.6, 0.6), 60.0),
        ((8, 7, 6, 5, 0, 0), 26 / 60 * 100),
    ],
)
def test_the_percentage_is_the_papers_formula(items: tuple[float, ...], percent: float) -> None:
    assert score_isq(IsqItems(*items)).percent == pytest.approx(percent, abs=1e-12)


def test_the_threshold_itself_is_no_match() -> None:
    assert score_isq(IsqItems(8, 7, 6, 5, 1, 0), 60.0).match is False
    assert score_isq(IsqItems(8, 7, 6, 5, 1, 0), 59.999).match is True
    assert score_isq(IsqItems(6, 6, 6, 6, 0.6, 0.6), 60.0).match is False


def test_a_missing_item_leaves_the_score_open() -> None:
    score = score_isq(IsqItems(8, None, 6, 5, 1, None))
    assert score.percent is None
    assert score.match is None
    assert score.missing == ("curiosity_stimulation", "action_desire")


@pytest.mark.parametrize("item", list(ITEM_MAXIMA))
@pytest.mark.parametrize("off", [-0.001, 1.001, NAN, float("inf")])
def test_a_number_out_of_range_is_named(item: str, off: float) -> None:
    items = IsqItems(1, 1, 1, 1, 1, 1)._replace(**{item: off * ITEM_MAXIMA[item]})
    with pytest.raises(InvalidArgument) as raised:
        score_isq(items, field="answers[4].items")
    assert raised.value.violations[0].field == f"answers[4].items.{item}"


@given(st.tuples(*[st.floats(0, high) for high in ITEM_MAXIMA.values()]), st.floats(0, 100))
def test_the_percentage_stays_in_range_and_decides_the_match(items: tuple[float, ...], threshold: float) -> None:
    score = score_isq(IsqItems(*items), threshold)
    assert score.percent is not None
    assert 0 <= score.percent <= 100
    assert score.match == (score.percent > threshold)


@pytest.mark.parametrize("threshold", [-1, 100.1, NAN])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidArgument, match="threshold"):
        check_threshold("threshold", threshold)
