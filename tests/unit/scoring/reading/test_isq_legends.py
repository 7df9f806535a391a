"""Answers to the questionnaire that say which answers are possible, correct themselves or compute from the scores."""

from collections.abc import Sequence

import pytest

from services.scoring.reading.isq.text import read_isq

NAMES = (
    "Visual attractiveness",
    "Curiosity stimulation",
    "Emotional engagement",
    "Value expectation",
    "Preference alignment",
    "Action desire",
)
SYMBOLS = ("V_a", "C_s", "E_e", "V_e", "P_a", "A_d")
SCORES = (8, 7, 6, 5, 0.7, 0.4)
MAXIMA = (10, 10, 10, 10, 1, 1)


OTHER_SCALES = (
    "On a scale of 1 to 5:",
    "On a 1-5 scale:",
    "Ratings (1-5):",
    "Rating scale: **1–5**",
    "I rate these on a 5-point scale:",
    "Scale: 1 (low) to 5 (high)",
    "(All scores /5)",
)


def answer(scores: Sequence[object] = SCORES, legend: str = "") -> str:
    """One line an item; the legend stands behind the names of the last two."""
    legends = ("", "", "", "", legend, legend)
    return "\n".join(f"{name}{legend}: {score}" for name, legend, score in zip(NAMES, legends, scores, strict=True))


def with_line(place: int, score: str) -> str:
    lines = answer().split("\n")
    lines[place] = f"{NAMES[place]}: {score}"
    return "\n".join(lines)


def table(*columns: tuple[str, Sequence[object]]) -> str:
    rows = ["| " + " | ".join(str(cells[row]) for _, cells in columns) + " |" for row in range(len(NAMES))]
    return "\n".join(["| " + " | ".join(name for name, _ in columns) + " |", "|---" * len(columns) + "|", *rows])


def read(text: str) -> tuple[float | None, ...]:
    return tuple(read_isq(text).items)


@pytest.mark.parametrize(
    ("legend", "scores"),
    [
        (" (Yes/No)", ("No", "Yes")),
        (" (no/yes)", ("no", "yes")),
        (" (yes or no)", ("No", "Yes")),
        (" (0/1)", (0, 1)),
        (" (0 or 1)", (0, 1)),
        (" (1 for yes, 0 for no)", (0, 1)),
        (" (1 = yes, 0 = no)", (0, 1)),
        (" [0;1]", (0, 1)),
        (" (10%)", (0, 1)),
        ("", ("[ ] Yes [x] No", "☑ Yes ☐ No")),
    ],
)
def test_possible_answers_are_no_scores(legend: str, scores: tuple[object, object]) -> None:
    assert read(answer((8, 7, 6, 5, *scores), legend)) == (8, 7, 6, 5, 0, 1)


def test_a_repeated_template_gives_no_score() -> None:
    assert read(answer((8, 7, 6, 5, "Yes/No", "Yes/No"))) == (8, 7, 6, 5, None, None)


@pytest.mark.parametrize(
    "columns",
    [
        (("Item", NAMES), ("Symbol", SYMBOLS), ("Score", SCORES), ("Weight", (1, 1, 1, 1, 10, 10))),
        (("Item", NAMES), ("Weight", (1, 1, 1, 1, 10, 10)), ("Score", SCORES)),
        (("Item", NAMES), ("Min", (0,) * 6), ("Max", MAXIMA), ("Score", SCORES)),
        (("Symbol", SYMBOLS), ("Item", NAMES), ("Score", SCORES), ("Max", MAXIMA)),
        (("Item", NAMES), ("Score (0-1)", (0.8, 0.7, 0.6, 0.5, 0.7, 0.4))),
    ],
)
def test_the_column_of_scores_is_read(columns: Sequence[tuple[str, Sequence[object]]]) -> None:
    assert read(table(*columns)) == SCORES


@pytest.mark.parametrize(
    ("place", "line", "score"),
    [
        (0, "One of the strongest I have seen. 8/10", 8),
        (0, "100% natural light. 8/10", 8),
        (2, "5 out of 5 dogs look happy. 6/10", 6),
        (0, "~~7~~ 8", 8),
        (0, "10 - 2 = 8", 8),
        (0, "8pts", 8),
        (0, "4 on a 5-point scale", 8),
        (4, "7/10 = 0.7", 0.7),
        (0, "8 × 0.25 = 2", 8),
        (0, "10 - 2 (blur) = 8", 8),
        (0, "50% of the frame is empty, so 8/10", 8),
        (4, "0.7¹", 0.7),
    ],
)
def test_the_score_is_told_from_other_numbers(place: int, line: str, score: float) -> None:
    assert read(with_line(place, line))[place] == score


@pytest.mark.parametrize("line", ["7 → 8", "a 7 or an 8"])
def test_two_scores_are_none(line: str) -> None:
    assert read(with_line(0, line))[0] is None


def test_a_number_that_may_be_cut_off_is_none() -> None:
    assert read(answer((8, 7, 6, 5, 0.7, "0.")))[5] is None


@pytest.mark.parametrize(
    "text",
    [
        *(f"{scale}\n{answer((4, 3, 3, 2, 0.7, 0.4))}" for scale in OTHER_SCALES),
        answer((4, 3, 3, 2, 0.7, 0.4)) + "\n\nAll ratings are out of 5.",
        '{"max_score": 5, "v_a": 4, "c_s": 3, "e_e": 3, "v_e": 2, "p_a": 0.7, "a_d": 0.4}',
        '{"scale": "1-5", "v_a": 4, "c_s": 3, "e_e": 3, "v_e": 2, "p_a": 0.7, "a_d": 0.4}',
    ],
)
def test_another_scale_is_an_error(text: str) -> None:
    found = read_isq(text)
    assert set(found.items) == {None}
    assert "on a scale to 5" in found.error


def test_a_confidence_is_no_score() -> None:
    keys = [name.lower().replace(" ", "_") for name in NAMES]
    both = ", ".join(f'"{key}": {score}, "{key}_confidence": 0.9' for key, score in zip(keys, SCORES, strict=True))
    alone = ", ".join(f'"{key}_confidence": 0.9' for key in keys)
    assert read("{" + both + "}") == SCORES
    assert set(read("{" + alone + "}")) == {None}


def test_the_scale_of_two_items_is_not_that_of_all() -> None:
    assert read("The last two items use a scale of 0 to 1.\n" + answer()) == SCORES
    assert read(answer() + "\nTotal: 36/60") == SCORES


def test_other_numbers_of_the_items_are_no_scores() -> None:
    keys = [name.lower().replace(" ", "_") for name in NAMES]
    weights = ", ".join(f'"{key}": 0.2' for key in keys)
    assert set(read('{"weights": {' + weights + "}}")) == {None}
    assert set(read('{"v_a": {"score": "N/A", "certainty": 0.9}, "preference_alignment": "yes/no"}')) == {None}


def test_coordinates_are_no_scores() -> None:
    assert set(read("The dog is at coordinates [1, 2, 6, 5, 0, 1].")) == {None}
    assert set(read('{"bbox": [1, 2, 6, 5, 0, 1]}')) == {None}


@pytest.mark.parametrize(
    "formula",
    [
        "S% = (8 + 7 + 6 + 5 + 10*0.7 + 10*0.4) / 60 * 100 = 61.67%",
        "S% = (v_a + c_s + e_e + v_e + p_a × 10 + a_d × 10) / 60 × 100% = (8+7+6+5+7+4)/60 × 100% = 61.67%",
        "Total score: (8+7+6+5+7+4)/60 × 100 = 61.67%\nMatch: yes",
    ],
)
def test_a_formula_behind_the_scores_changes_nothing(formula: str) -> None:
    assert read(answer() + "\n\n" + formula) == SCORES


def test_a_remark_about_the_composition_leaves_bare_numbers_scores() -> None:
    assert read("8, 7, 6, 5, 0.7, 0.4\n\nA pleasing composition.") == SCORES


def test_numbers_between_bare_commas_are_read() -> None:
    assert read("8,7,6,5,0.7,0.4") == SCORES
