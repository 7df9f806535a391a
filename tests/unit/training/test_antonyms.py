import pytest

from training.reading.antonyms import opposites


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The knife is within reach.", ["The knife is not within reach.", "The knife is out of reach."]),
        ("toaster unplugged", ["toaster plugged in"]),
        ("worker without a helmet", ["worker with a helmet"]),
        ("The gate is not locked.", ["The gate is locked.", "The gate is not unlocked."]),
        ("a dog", []),
    ],
)
def test_each_word_with_an_opposite_gives_one_text(text: str, expected: list[str]) -> None:
    assert opposites(text) == expected
