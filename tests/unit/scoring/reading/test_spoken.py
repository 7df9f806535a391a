import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.reading.spoken import EXAMINED_CHARS, foreign_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ninguno.", "es"),
        ("Aucun.", "fr"),
        ("Keine.", "de"),
        ("**Nenhum**", "pt"),
        ("Nada en particular.", "es"),
        ("El niño está demasiado cerca de la estufa encendida.", "es"),
        ("Há lixo espalhado na margem do rio.", "pt"),
        ("Il y a des déchets plastiques partout sur la plage.", "fr"),
        ("Der Notausgang ist mit Kisten zugestellt.", "de"),
        ("L'operaio lavora senza casco.", "it"),
        ("Er ligt afval op het strand.", "nl"),
        ("Robotnik nie ma kasku.", "pl"),
        ("Adam araba kullanırken telefonuna bakıyor.", "tr"),
        ("Anak itu berdiri terlalu dekat dengan kompor panas.", "id"),
        ("Đứa trẻ đứng quá gần bếp nóng.", "vi"),
        ("EL NIÑO ESTÁ DEMASIADO CERCA DE LA ESTUFA.", "es"),
        ('{"element": "el cuchillo está en el suelo de la cocina"}', "es"),
        ('"No hay nada que requiera atención."', "es"),
    ],
)
def test_an_answer_in_another_language_of_the_latin_alphabet_is_told(text: str, language: str) -> None:
    assert foreign_language(text) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ребёнок стоит слишком близко к горячей плите.", "ru"),
        ("Робітник без каски працює на даху.", "uk"),
        ("工人没有戴安全帽，很危险。", "zh"),
        ("子供が熱いコンロに近づきすぎています。", "ja"),
        ("ナイフ", "ja"),
        ("칼.", "ko"),
        ("العامل لا يرتدي خوذة.", "ar"),
        ("मजदूर ने हेलमेट नहीं पहना है।", "hi"),
        ("Κανένα.", "el"),
        ("พื้นเปียก", "th"),
        ("ᏣᎳᎩ", "und"),
        ("需要注意 helmet", "zh"),
    ],
)
def test_other_scripts_tell_the_language_or_that_it_is_not_english(text: str, language: str) -> None:
    assert foreign_language(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "open tap",
        "Second-hand smoke",
        "none",
        "No.",
        "pan",
        "dog in hot car",
        "open manhole",
        "The sign says 'No entrar'.",
        'The banner reads "Liberté, égalité, fraternité" and hangs loose.',
        "Tapas on the table",
        "Señor Pérez has no helmet.",
        "crème brûlée torch near curtain",
        "The label is in Chinese: 危险.",
        "A waiter at the Café de Flore slips on the wet floor.",
        '```json\n{"like": null}\n```',
        "VA: 8 | CS: 7 | EE: 7 | VE: 6 | PA: 0.8 | AD: 0.7",
        "$v_{a} = 8$, $e_{e} = 6$",
        "Ｔｈｅ ｗｅｔ ｆｌｏｏｒ．",
    ],
)
def test_english_with_foreign_words_and_names_stays_english(text: str) -> None:
    assert foreign_language(text) == ""


@pytest.mark.parametrize("text", ["", " \n", "\x00", "\ud800", "1234 !?", "🔥👍", "\u200b\u200e", "---", "```", "ª"])
def test_a_text_that_says_nothing_counts_as_english(text: str) -> None:
    assert foreign_language(text) == ""


@pytest.mark.parametrize(
    "text", ["\x00Ninguno.\x00", "\ud800 Ninguno.", "🔥 Ninguno!", "Nin\u200bguno", "\u202eNinguno."]
)
def test_what_cannot_be_seen_or_read_does_not_hide_the_language(text: str) -> None:
    assert foreign_language(text) == "es"


def test_only_the_beginning_is_looked_at() -> None:
    english = "The man is standing near the open window. " * 20
    assert len(english) > EXAMINED_CHARS
    assert foreign_language(english + "El niño está demasiado cerca de la estufa encendida. " * 100_000) == ""
    assert foreign_language("\ufdfa" * 1_000_000) in {"ar", "fa", "ur", "ps", "ug", "und"}


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=sys.maxunicode), max_size=300))
def test_any_text_gives_a_code_or_nothing(text: str) -> None:
    language = foreign_language(text)
    assert language == "" or (language.isascii() and language.islower() and len(language) in {2, 3})
