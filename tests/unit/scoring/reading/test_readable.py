import pytest

from services.scoring.reading.readable import is_readable


@pytest.mark.parametrize(
    ("sentence", "readable"),
    [
        ("A child.", True),
        ("x", True),
        ("1234 !?", False),
        ("", False),
        ("\x00\n", False),
        (" " * 10_000 + "Z", True),
        ("Ünlü", True),
        ("é", True),
        ("🔥", False),
        ("🔥 fire", True),
        ("孩子", False),
        ("孩子 ab", True),
        ("孩子们 ab", False),
    ],
)
def test_a_sentence_is_readable_if_half_of_its_letters_are_latin(sentence: str, readable: bool) -> None:
    assert is_readable(sentence) is readable
