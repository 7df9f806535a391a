import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.reading.isq.score import ITEM_MAXIMA, IsqItems
from services.scoring.reading.isq.text import read_isq, score_isq_text
from tests.support.isq_layouts import HOSTILE, LINES, SIX, laid_out
from training.reading.corpus import rows
from training.reading.evaluate_isq import measure

FOLDER = Path(__file__).parents[3] / "data" / "reading"
LAYOUTS, ANSWERS = (
    [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]
    for name in ("isq_layouts.jsonl", "isq_answers.jsonl")
)


@pytest.mark.parametrize("line", LINES)
def test_six_lines_of_a_layout_are_read(line: str) -> None:
    assert read_isq(laid_out(line)).items == SIX


@pytest.mark.parametrize("line", [line for line in LINES if not {"\n", "\t", "|", "#"} & set(line)])
def test_the_same_layout_is_read_in_one_line(line: str) -> None:
    assert read_isq(laid_out(line, "; ")).items == SIX


@pytest.mark.parametrize("answer", LAYOUTS)
def test_data_prose_and_other_languages_are_read_and_nothing_is_guessed(answer: dict[str, Any]) -> None:
    items = read_isq(answer["answer"]).items
    assert None in items if answer["scores"] is None else items == IsqItems(*answer["scores"])


@pytest.mark.parametrize("answers", [ANSWERS, rows(5, "isq")], ids=["tests/data/reading/isq_answers.jsonl", "author 5"])
def test_answers_of_others_are_read(answers: Sequence[Mapping[str, Any]]) -> None:
    figures = measure(answers)
    assert figures.whole >= 0.95, figures.odd
    assert figures.wrong == 0, figures.odd


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("8/10", 0.8), ("80%", 0.8), ("80 percent", 0.8), ("eight out of ten", 0.8), ("0.8/1", 0.8), ("½", 0.5),
        ("1/2", 0.5), ("yes", 1), ("No, I would swipe on.", 0), ("Yes (1)", 1), ("yes, 0.9", 0.9), ("0.7-0.8", 0.75),
        ("zero point four", 0.4), ("0,65", 0.65), (".4", 0.4), ("~1", 1), ("0/1", 0), ("1", 1), ("8 (on 0-10)", 0.8),
    ],
)  # fmt: skip
def test_an_item_up_to_one_is_read_on_the_scale_that_is_stated(given: str, number: float) -> None:
    assert read_isq(f"Preference alignment: {given}").items.preference_alignment == pytest.approx(number)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("8", 8), ("8,5", 8.5), ("8½", 8.5), ("85/100", 8.5), ("80%", 8), ("7-8", 7.5), ("between 7 and 8", 7.5),
        ("7 to 8", 7.5), ("eight", 8), ("seven and a half", 7.5), ("★★★★☆", 8), ("★★★★★★★☆☆☆ (7)", 7), ("4/5", 8),
        ("8️⃣", 8), ("8 - 2 dogs playing", 8), ("The 3 dogs make me smile. 8", 8), ("2 dogs, 3 cats, so I give it 7.", 7),
        ("8 (would be 9 without the blur)", 8), ("no more than 3, to be honest", 3), ("I'd say around 6", 6),
        ("\\frac{8}{10}", 8), ("八分", 8), ("٨", 8),
    ],
)  # fmt: skip
def test_an_item_up_to_ten_is_read(given: str, number: float) -> None:
    assert read_isq(f"Visual attractiveness: {given}").items.visual_attractiveness == pytest.approx(number)


@pytest.mark.parametrize(
    "given",
    [
        "", "N/A", "high", "?", "8 or 9", "2-9", ">8", "6+", "more than 6", "8, no, make it 7", "8 or rather 3",
        "eight (7)", "3 dogs", "in 10 words", "door no. 7", "yes", "top 3", "8, later 3 or 8, I can't decide",
    ],
)  # fmt: skip
def test_what_is_not_said_clearly_stays_open(given: str) -> None:
    read = read_isq(f"Visual attractiveness: {given}\nCuriosity stimulation: 7")
    assert (read.items.visual_attractiveness, read.error) == (None, "")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Visual attractiveness: 11", "visual_attractiveness must be from 0 to 10, and is 11"),
        ("Curiosity stimulation: -1", "curiosity_stimulation must be from 0 to 10, and is -1"),
        ("preference_alignment = 7", "preference_alignment must be from 0 to 1, and is 7"),
        ("Action desire: 0.4 out of 7", "action_desire is given out of 7, and its scale is 0 to 1"),
        ("8, 7, 6, 5, 4, 0.3", "preference_alignment must be from 0 to 1, and is 4"),
        ('{"action_desire": 1e999}', "action_desire must be from 0 to 1, and is 1e+09"),
        ("v_a: 5/" + "9" * 9000, "visual_attractiveness is given out of inf, and its scale is 0 to 10"),
    ],
)
def test_an_item_out_of_range_spoils_the_answer_and_is_named(text: str, error: str) -> None:
    read = read_isq(text)
    assert (read.error, set(read.items)) == (error, {None})
    score = score_isq_text(text)
    assert (score.error, score.percent, score.match, score.missing) == (error, None, None, ())


def test_a_readable_answer_is_scored() -> None:
    score = score_isq_text("8, 7, 6, 5, 1, 0", threshold=59)
    assert (score.percent, score.match, score.error) == (60, True, "")
    assert score_isq_text("Visual attractiveness: 8").missing == tuple(ITEM_MAXIMA)[1:]


def test_what_belongs_to_another_item_is_not_taken() -> None:
    read = read_isq("Emotional engagement:\nValue expectation: 7/10\nAction desire:\n\nI'd give the picture 6/10.")
    assert read.items == IsqItems(None, None, None, 7, None, None)


@given(st.tuples(*[st.integers(0, 100).map(lambda n, h=high: n * h / 100) for high in ITEM_MAXIMA.values()]))
def test_numbers_written_as_text_come_back(items: tuple[float, ...]) -> None:
    text = "\n".join(
        f"{name.replace('_', ' ').title()}: {value:g}" for name, value in zip(ITEM_MAXIMA, items, strict=True)
    )
    assert read_isq(text).items == pytest.approx(items)


@given(st.text())
def test_any_text_has_a_defined_result(text: str) -> None:
    for answer in (text, f"visual attractiveness: {text}", f'{{"v_a": {text}}}'):
        pairs = zip(read_isq(answer).items, ITEM_MAXIMA.values(), strict=True)
        assert all(item is None or 0 <= item <= most for item, most in pairs)


@pytest.mark.parametrize("part", HOSTILE)
@pytest.mark.parametrize("lead", ["", "visual attractiveness: ", '{"visual attractiveness": "'])
def test_a_long_text_takes_no_longer_than_its_length_says(lead: str, part: str) -> None:
    text = (lead + part * 16_384)[:16_384]

    def cost(length: int) -> float:
        started = time.process_time()
        read_isq(text[:length])
        return time.process_time() - started

    # Quadratic time would be 64 times as long on the whole as on an eighth; what takes no time says nothing. Other
    # work on the machine can slow one measurement, not each of five.
    assert any(cost(16_384) < max(1.0, 24 * cost(2_048)) for _ in range(5))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 8_000 + "]" * 8_000,
        '{"visual attractiveness":' * 600 + "1" + "}" * 600,
        '{"visual attractiveness":' + '{"score":' * 1_500 + "1" + "}" * 1_501,
        "<a>" * 2_000 + "</a>" * 2_000,
        "a: &a [1, 2]\n" + "".join(f"b{n}: &b{n} [*{'a' if not n else f'b{n - 1}'}, *a]\n" for n in range(40)),
        "\n".join(" " * n + "a:" for n in range(170)),
    ],
)
def test_deep_data_is_no_answer(text: str) -> None:
    assert None in read_isq(text).items
