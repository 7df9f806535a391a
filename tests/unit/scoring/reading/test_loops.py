import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.reading.language import Language
from services.scoring.reading.loops import LONGEST_PERIOD, without_loops
from services.scoring.reading.model import OnnxReader
from services.scoring.reading.response_types import ResponseType


@pytest.mark.parametrize(
    ("text", "shortened"),
    [
        ("the pan is hot hot hot hot hot", "the pan is hot"),
        ("the pan is very hot very hot very hot very hot very", "the pan is very hot"),
        ("no no no", "no no no"),
        ("a b a b a b", "a b a b a b"),
        ("", ""),
    ],
)
def test_a_phrase_that_is_repeated_stands_once(text: str, shortened: str) -> None:
    assert without_loops(text.split()) == shortened.split()


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8 * LONGEST_PERIOD))
def test_words_are_only_left_out(words: list[str]) -> None:
    kept = without_loops(words)
    assert set(kept) == set(words)
    rest = iter(words)
    assert all(word in rest for word in kept)


@pytest.mark.parametrize("phrase", ["fire ", "is very hot ", "The child is near the stove. "])
def test_a_loop_never_says_nothing(reader: OnnxReader, phrase: str) -> None:
    (found,) = Language(reader).classify([phrase * 400])
    assert found.type is not ResponseType.NONE
