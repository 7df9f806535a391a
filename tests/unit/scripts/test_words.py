"""The list of words that the documentation leaves out."""

import pytest

from scripts.words import found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("The images lie in a folder, which is dear.", ["lie in", "dear"]),
        ("Those who carry on find more in here.", ["Those who", "carry on"]),
        ("The laws of the HTTP face", ["laws", "HTTP face"]),
        ("import laws, whence: int", []),
        (
            "FILE is there already: go on with it. A value. Once for each.",
            ["is there already", "go on with", "Once for each"],
        ),
        ("a file that is no JSON, or a run that broke off", ["is no JSON", "broke off"]),
        ("Images are stored in a folder; searches continue.", []),
    ],
)
def test_words_are_found_with_what_to_write_instead(line: str, words: list[str]) -> None:
    places = found(line)
    assert [word for word, _ in places] == words
    assert all(instead for _, instead in places)
