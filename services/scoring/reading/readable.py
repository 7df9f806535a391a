"""Whether a sentence is one that the reader model, which reads English, can read."""

import re
import unicodedata
from itertools import islice

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
"""Characters that show nothing: soft hyphens, zero-width spaces, marks of writing direction."""

_ASCII_LETTER = re.compile("[A-Za-z]")
_EXAMINED_CHARS = 4096


def is_readable(sentence: str) -> bool:
    """True if the sentence has letters and at least half of them are Latin.

    The reader model knows next to nothing of other scripts, and would answer with a number that means nothing.
    Digits, punctuation and emoji alone say too little to be judged.
    """
    if sentence.isascii():
        return _ASCII_LETTER.search(sentence) is not None
    # Counted among letters, so that a page of digits or blanks before a sentence doesn't hide it.
    letters = list(islice((character for character in sentence if character.isalpha()), _EXAMINED_CHARS))
    latin = sum(character.isascii() or unicodedata.name(character, "").startswith("LATIN") for character in letters)
    return bool(letters) and 2 * latin >= len(letters)
