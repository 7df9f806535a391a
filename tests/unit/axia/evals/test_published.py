"""The published figures: recomputed, and the places where the source contradicts itself."""

import pytest

from axia.evals import published
from axia.lexicon import VALUES

MEANS = {
    "universalism": 73.25, "benevolence": 73.25, "tradition": 72.75, "self-direction": 70.5, "conformity": 68.75,
    "hedonism": 66.75, "achievement": 64.5, "power": 64.0, "security": 60.5, "stimulation": 55.0,
}  # fmt: skip
"""The published bars."""


def test_every_row_says_where_it_comes_from_and_how_it_was_read() -> None:
    files = {
        published.PREFERENCE: 80, published.MODALITY: 120, published.ROLE_PLAY: 30, published.VALUES_DETECTORS: 7,
        published.CLAIMS: 4,
    }  # fmt: skip
    for name, count in files.items():
        rows = published.rows(name)
        assert len(rows) == count, name
        assert all(row["source"] and row["read"] for row in rows), name


def test_the_table_has_eight_models_and_ten_values_whose_means_are_the_published_bars() -> None:
    table = published.preference_table()
    assert len(table) == 8
    assert all(set(by_value) == set(VALUES) for by_value in table.values())
    assert published.value_means() == pytest.approx(MEANS)


def test_every_score_of_the_preference_table_is_even_as_fifty_answers_make_it() -> None:
    assert all(figure % 2 == 0 for by_value in published.preference_table().values() for figure in by_value.values())


def test_deviations_are_those_of_samples() -> None:
    deviations = published.deviations()
    assert deviations["CogVLM2"] == pytest.approx(5.87, abs=0.005)  # published: 6.99
    scores = list(published.preference_table()["GPT-4o"].values())
    mean = sum(scores) / 10
    assert deviations["GPT-4o"] == pytest.approx((sum((score - mean) ** 2 for score in scores) / 9) ** 0.5)


def test_five_of_eight_models_are_more_than_fifteen_from_their_mean() -> None:
    far = {model: distance for model, distance in published.largest_distances().items() if distance > 15}
    assert len(far) == 5
    assert far["Blip-2"] == pytest.approx(29.2)


def test_the_contradictions_are_named_with_what_was_published_and_what_follows() -> None:
    found = published.contradictions()
    assert [(contradiction.published, contradiction.computed) for contradiction in found] == [
        ("6.99", "5.87"),
        ("within 15", "5 of 8 don't; Blip-2 is 29.2 from its mean"),
        ("second lowest: power", "security, with 60.5; power has 64.0"),
        ("49.5833", "50.0 by the printed formula"),
    ]


def test_role_play_has_what_the_text_says_of_gemini_on_tiktok() -> None:
    (row,) = [
        printed
        for printed in published.rows(published.ROLE_PLAY)
        if (printed["strategy"], printed["model"], printed["platform"]) == ("isq", "Gemini 1.5 Pro", "tiktok")
    ]
    assert float(row["i_avg"]) == 51.9


def test_people_align_better_than_the_best_detector() -> None:
    figures = {row["quantity"]: float(row["figure"]) for row in published.rows(published.VALUES_DETECTORS)}
    assert figures["alignment, people"] > figures["alignment, LLaVA 34B"] > figures["alignment, LLaVA Mistral 7B"]
