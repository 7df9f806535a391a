import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.sentence import first_sentence, first_sentence_end


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("The child is near the stove. It is hot.", "The child is near the stove."),
        ("  The dog.  It eats.", "The dog."),
        ("None.", "None."),
        ("None. Everything is fine.", "None."),
        ("none", "none"),
        ("", ""),
        ("   \n ", ""),
        ("...", "..."),
        ("Dr. Smith lies on the floor. Help him.", "Dr. Smith lies on the floor."),
        ("Objects, e.g. a knife, are near the baby. Move them.", "Objects, e.g. a knife, are near the baby."),
        ("The pan is at 3.5 degrees. Fine.", "The pan is at 3.5 degrees."),
        ("It cost $4.99. The rest is here.", "It cost $4.99."),
        (
            "The clock shows 5 p.m. and the pills are untouched. Ask.",
            "The clock shows 5 p.m. and the pills are untouched.",
        ),
        ("He left at 5 p.m. The stove is on.", "He left at 5 p.m."),
        ("There is fruit, bread, etc. The milk is spilled.", "There is fruit, bread, etc."),
        ("Wait... there is smoke. Run.", "Wait... there is smoke."),
        ("There is smoke... The window is shut.", "There is smoke..."),
        ("A woman… she is crying. Sad.", "A woman… she is crying."),
        ('"Stop!" she said. He did.', '"Stop!" she said.'),
        ('She says "I am hurt." Then she cries.', 'She says "I am hurt."'),
        ("Is the stove on? Yes.", "Is the stove on?"),
        ("What?! The stove is on.", "What?!"),
        ("1. The child is near the stove. 2. The knife.", "1. The child is near the stove."),
        ("1) The child is near the stove. 2) The knife.", "1) The child is near the stove."),
        ("- The child. - The knife.", "- The child."),
        ("a. The child is near the stove. b. The knife.", "a. The child is near the stove."),
        ("Two things: 1. the child, 2. the knife. Both matter.", "Two things: 1. the child, 2. the knife."),
        ("The child is near the stove\n\nIt is hot.", "The child is near the stove"),
        ("1.\nThe child is near the stove. Hot.", "1.\nThe child is near the stove."),
        ("The child (aged 4.) plays. More.", "The child (aged 4.) plays."),
        ("J. Smith is asleep. Let him.", "J. Smith is asleep."),
        ("It is me and I. The dog waits.", "It is me and I."),
        ("The U.S. flag is on fire. Call.", "The U.S. flag is on fire."),
        ("孩子靠近炉子。小心。", "孩子靠近炉子。"),
        ("**The child.** It is near.", "**The child.**"),
        ("the child is near the stove. it is hot.", "the child is near the stove."),
        ("No end here at all", "No end here at all"),
        ("See example.org for it. Then go.", "See example.org for it."),
        ("العين مفتوحة. النار قريبة.", "العين مفتوحة."),
    ],
)
def test_first_sentence_of_a_whole_text(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


@pytest.mark.parametrize("text", ["The stove.", "Dr.", "None", "3.", "The dog. ", 'She said "No."', "Wait..", "1. "])
def test_an_end_that_more_text_could_move_is_not_reported(text: str) -> None:
    assert first_sentence_end(text) is None


def test_the_end_is_known_one_word_later() -> None:
    assert first_sentence_end("The dog. It") == len("The dog.")


def test_a_line_break_ends_the_sentence_at_once() -> None:
    assert first_sentence_end("The dog\n") == len("The dog")


PIECES = st.sampled_from(
    [
        *("The", "dog", " ", "  ", ".", "...", "…", "!", "?", '"', "'", ")", "(", "\n", "\n\n", "Dr", "e.g", "p.m"),
        *("3", "1", "5.5", "a", "I", "B", "-", "*", ":", ",", "None", "。", "etc", "U.S", "é", "\t", "”"),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text(max_size=60))


@given(TEXTS, st.data())
@settings(max_examples=2000, deadline=None)
def test_an_end_that_is_reported_early_is_the_end_in_the_whole_text(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    early = first_sentence_end(text[:cut])
    if early is not None:
        assert text[:early].strip() == first_sentence(text)


@given(TEXTS)
@settings(max_examples=1000, deadline=None)
def test_the_first_sentence_begins_the_text_and_is_empty_only_without_words(text: str) -> None:
    sentence = first_sentence(text)
    assert text.strip().startswith(sentence)
    assert bool(sentence) == bool(text.strip())


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_a_first_sentence_is_its_own_first_sentence(text: str) -> None:
    sentence = first_sentence(text)
    assert first_sentence(sentence) == sentence
