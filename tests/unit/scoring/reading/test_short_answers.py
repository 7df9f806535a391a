import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.reading import short_answers
from services.scoring.reading.short_answers import plain_verdict, short_answer_language


@pytest.mark.parametrize(
    "answer",
    [
        "是",
        "是的，我喜欢。",
        "はい、好きです。",
        "Oui, j'aime bien.",
        "oui j’aime bien",
        "**Sí** 👍",
        "Sí, gracias.",
        "Ja, sehr!",
        "Mir gefällt das Bild.",
        "Tak, podoba mi się.",
        "EVET",
        "Да, мне нравится.",
        "네, 좋아요.",
        "نَعَم",
        "हाँ, मुझे यह पसंद है।",
        "ชอบครับ",
        "Có, tôi thích.",
        "> Sim.",
        "'Oui'",
    ],
)
def test_a_plain_yes_in_other_languages(answer: str) -> None:
    assert plain_verdict(answer) == "yes"


@pytest.mark.parametrize(
    "answer",
    [
        "不喜欢。",
        "いいえ、好きではありません。",
        "Nein.",
        "Non, pas du tout.",
        "No, no me gusta.",
        "No me gusta",
        "Não, obrigado.",
        "HAYIR",
        "Нет, мне не нравится.",
        "아니요",
        "لا تعجبني",
        "नहीं, मुझे यह पसंद नहीं है।",
        "ไม่ชอบ",
        "_Nej_ 👎",
        "No.",
    ],
)
def test_a_plain_no_in_other_languages(answer: str) -> None:
    assert plain_verdict(answer) == "no"


@pytest.mark.parametrize(
    "answer",
    [
        "No, me gusta.",
        "لا، تعجبني",
        "Oui, mais je n'aime pas les couleurs.",
        "oui, non",
        "oui ou non",
        "Oui ?",
        "はい？",
        "~~Oui~~",
        "Oui 👎",
        "Non ✅",
        "Non, beaucoup",
        "Non, rien",
        "sehr",
        "Merci",
        "Ninguno.",
        "いいえ、嫌いではありません",
        "结构不错",
        "Oui 2/10",
        "",
        "\x00",
        "👍",
        "oui " * 100,
    ],
)
def test_what_says_more_or_less_than_yes_or_no_is_neither(answer: str) -> None:
    assert plain_verdict(answer) is None


@pytest.mark.parametrize("answer", ["Tak.", "Jo."])
def test_a_word_that_means_yes_here_and_no_there_is_neither(answer: str) -> None:
    assert plain_verdict(answer) is None


@pytest.mark.parametrize(
    ("answer", "language"),
    [("Nada.", "es"), ("Ninguna!", "es"), ("Niets", "nl"), ("无。", "zh"), ("Nein", "de"), ("No.", ""), ("none", "")],
)
def test_a_plain_answer_tells_its_language_unless_it_is_english_too(answer: str, language: str) -> None:
    assert short_answer_language(answer) == language


def test_no_form_is_listed_twice_with_different_meanings_in_one_language() -> None:
    lists = short_answers.read_lists("yes_no.toml")
    assert len(lists) >= 15
    for language, kinds in lists.items():
        assert set(kinds) <= {"yes", "no", "like", "dislike", "stress", "polite"}, language
        forms = [(short_answers.spelled_form(form), kind) for kind, forms in kinds.items() for form in forms]
        meanings = {form: {kind for other, kind in forms if other == form} for form, _ in forms}
        assert {form: kinds for form, kinds in meanings.items() if len(kinds) > 1} == {}, language


def test_every_listed_statement_is_read_as_it_is_listed_or_not_at_all() -> None:
    said = {"yes": "yes", "like": "yes", "no": "no", "dislike": "no"}
    for language, kinds in short_answers.read_lists("yes_no.toml").items():
        for kind, verdict in said.items():
            for form in kinds.get(kind, ()):
                assert plain_verdict(form) in {verdict, None}, (language, form)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=sys.maxunicode), max_size=250))
def test_any_text_is_read_or_left(text: str) -> None:
    assert plain_verdict(text) in {"yes", "no", None}
