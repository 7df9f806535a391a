import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.isq import ITEM_MAXIMA, IsqItems, check_threshold, parse_isq, score_isq
from services.serving.errors import InvalidArgument

NAN = float("nan")

LINES = """1. Visual attractiveness: 8/10
2. Curiosity stimulation: 7/10
3. Emotional engagement: 6.5/10
4. Value expectation: 5/10
5. Preference alignment: 1
6. Action desire: 0"""
JSON = (
    '{"visual_attractiveness": 8, "curiosity_stimulation": 7, "emotional_engagement": 6.5, "value_expectation": 5, '
    '"preference_alignment": 1, "action_desire": 0}'
)
TABLE = """| item | score |
|---|---|
| Visual Attractiveness (0-10) | 8 |
| Curiosity Stimulation (0–10) | 7 |
| Emotional Engagement (0 to 10) | 6.5 |
| Value Expectation [0-10] | 5 |
| Preference Alignment (0 or 1) | yes |
| Action Desire (0/1) | 0 |"""
SYMBOLS = "v_a = 8, c_s = 7, e_e = 6.5, v_e = 5, p_a = 1, a_d = 0"
MARKDOWN = """**Visual Attractiveness (v_a):** 8 out of 10. The colours are warm.
**Curiosity Stimulation (c_s):** 7. It makes me wonder about 3 things.
- Emotional Engagement - 6.5
- Value Expectation:
  5
- **Preference Alignment**: Yes
- **Action Desire**: No, I would swipe on."""
PROSE = (
    "I would rate the visual attractiveness as 8, the curiosity stimulation is an 7, I give emotional engagement a 6.5 "
    "and value expectation gets 5; preference alignment is 1 and action desire is 0."
)


@pytest.mark.parametrize(
    "text", [LINES, JSON, TABLE, SYMBOLS, MARKDOWN, PROSE, "8, 7, 6.5, 5, 1, 0", "[8 7 6.5 5 1 0]"]
)
def test_the_six_items_are_read_from_many_forms(text: str) -> None:
    assert parse_isq(text) == IsqItems(8, 7, 6.5, 5, 1, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I like it.",
        "Visual attractiveness is high.",
        "Visual attractiveness: 8 or 9",
        "Visual attractiveness: 7-8",
        "Visual attractiveness: 80%",
        "Visual attractiveness: eight",
        "Visual attractiveness and curiosity stimulation are 8 and 7",
        "Visual attractiveness: 8. Later: visual attractiveness: 3",
        "Visual attractiveness\n2. Curiosity",
        "Visual attractiveness: 8,5",
        "Visual attractiveness in 10 words",
        "视觉吸引力：8",
        "8, 7, 6",
    ],
)
def test_what_is_not_said_clearly_stays_open(text: str) -> None:
    assert parse_isq(text).visual_attractiveness is None


def test_what_follows_a_pair_of_names_is_not_taken_for_the_second() -> None:
    assert parse_isq("Visual attractiveness and curiosity stimulation are 8 and 7") == IsqItems(*[None] * 6)


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("Visual attractiveness: 11", "visual_attractiveness"),
        ("Curiosity stimulation: -1", "curiosity_stimulation"),
        ("Emotional engagement: 85/100", "emotional_engagement"),
        ("preference_alignment = 7", "preference_alignment"),
        ("Action desire: 7/10", "action_desire"),
        ("8, 7, 6, 5, 4, 3", "preference_alignment"),
    ],
)
def test_an_item_out_of_range_is_named(text: str, item: str) -> None:
    with pytest.raises(InvalidArgument, match=item) as raised:
        parse_isq(text, "answers[2].text")
    assert raised.value.violations[0].field == "answers[2].text"


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


@pytest.mark.parametrize("text", ["p_a: ½", "preference alignment: 1/2", "v_a: 8½", "v_a: 5/" + "9" * 9000])
def test_a_fraction_or_another_scale_is_refused_in_few_words(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_isq(text)
    assert len(str(caught.value)) < 300


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


@given(st.tuples(*[st.integers(0, 100).map(lambda n, h=high: n * h / 100) for high in ITEM_MAXIMA.values()]))
def test_numbers_written_as_text_come_back(items: tuple[float, ...]) -> None:
    text = "\n".join(
        f"{name.replace('_', ' ').title()}: {value:g}" for name, value in zip(ITEM_MAXIMA, items, strict=True)
    )
    assert parse_isq(text) == pytest.approx(items)


@given(st.text())
def test_any_text_has_a_defined_result(text: str) -> None:
    items = parse_isq(text)
    highest = ITEM_MAXIMA.values()
    assert all(item is None or 0 <= item <= most for item, most in zip(items, highest, strict=True))


@pytest.mark.parametrize("threshold", [-1, 100.1, NAN])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidArgument, match="threshold"):
        check_threshold("threshold", threshold)
