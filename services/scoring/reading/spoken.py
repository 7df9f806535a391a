"""Which language an answer is in, as far as that is not English.

The models of the scoring service read English alone. A text counts as English unless there is good reason for another
language: a refusal to read an English answer costs more than a foreign one read as if it were English.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from services.scoring.reading.readable import INVISIBLE
from services.scoring.reading.short_answers import short_answer_language

UNKNOWN: Final = "und"
"""ISO 639-2 code of a language that can't be told."""

EXAMINED_CHARS: Final = 500
"""How many characters are looked at, from the start."""

_LATIN = (
    "es", "pt", "fr", "de", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "sk", "sl", "hr", "ro", "hu", "tr", "az",
    "id", "ms", "vi", "tl", "sw", "ca", "eu", "et", "lt", "lv", "sq",
)  # fmt: skip
"""Languages that a Latin text is compared with. Rarer ones are found as one of these, if at all; each language more
would take short English texts for its own."""
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "CJK": ("zh", "ja"),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "BOPOMOFO": ("zh",),
    "HANGUL": ("ko",),
    "CYRILLIC": ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "mn", "tg"),
    "ARABIC": ("ar", "fa", "ur", "ps", "ug"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "BENGALI": ("bn", "as"),
    "GREEK": ("el",),
    "HEBREW": ("he",),
    "THAI": ("th",),
    "LAO": ("lo",),
    "KHMER": ("km",),
    "MYANMAR": ("my",),
    "GEORGIAN": ("ka",),
    "ARMENIAN": ("hy",),
    "ETHIOPIC": ("am",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
}
"""Languages written in a script, by the first word of its letters' names in Unicode."""
_WORD_LETTERS = 2
"""A letter of these scripts stands for about as much text as two Latin ones."""
_DENSE = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})

# How far the best foreign language must be ahead of English: in log-likelihood per byte, with bytes added so that short
# texts need more. Set on the development part of training/reading/data/languages.jsonl and on English answers, where
# foreign texts of four words and more are at 0.75 and above, and English ones at 0.15 and below. Single words need
# most: many are a name, or English too ("propaganda").
_AHEAD: Mapping[int, float] = {1: 0.80, 2: 0.50, 3: 0.50}
"""By number of words."""
_AHEAD_OF_MORE = 0.45
_AHEAD_OF_ENGLISH_WORDS = 0.80
"""Where one of the words is English alone."""
_AHEAD_OF_PLAIN_WORDS = 0.20
"""For the words without accents, where others have some."""
_AHEAD_WITHIN_SCRIPT = 0.15
"""Of the likeliest language of a script, against the second."""
_MORE_BYTES = 10
_MIN_LETTERS = 3

_ENGLISH_WORDS = frozenset(
    ("about", "aren't", "because", "being", "could", "does", "doesn't", "from", "isn't", "it's", "near", "needs",
     "should", "that", "the", "their", "there", "they", "this", "those", "what", "where", "which", "while", "who",
     "whose", "with", "without", "would", "you", "your")
)  # fmt: skip
"""Frequent words of English that none of the other languages has."""

_ASCII_LETTER = re.compile("[A-Za-z]")
_FENCE = re.compile(r"```\w*")
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|„[^“”\n]*[“”]|(?<!\w)'[^'\n]*'(?!\w)|(?<!\w)‘[^’\n]*’(?!\w)")
_WORDS = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_ABBREVIATION_CHARS = 3


def foreign_language(text: str) -> str:
    """The language of a text that isn't English.

    Quotations and names inside an English text don't count, nor do digits, Markdown and emoji. Words in the Latin
    alphabet that are too few to tell a language are taken for English, unless they are a plain answer in another one
    ("Ninguno.", "Nein"). Only the first 500 characters after leading blanks are looked at.

    Returns:
        "" for English, and for a text without letters; else the ISO 639-1 code, or "und" where the letters aren't
        Latin and don't tell the language. Between close relatives (Spanish and Catalan, Danish and Norwegian) the
        code of a short text may be the other one's.

    >>> foreign_language("Ninguno.")
    'es'
    >>> foreign_language("The sign says 'No entrar'.")
    ''
    """
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", text.lstrip()[:EXAMINED_CHARS])).replace("’", "'")
    return _told(text[:EXAMINED_CHARS])  # normalization makes up to 18 characters of one


@functools.lru_cache(maxsize=8192)
def _told(text: str) -> str:
    """The language of a text in the form that is looked at; types, values and verdicts ask for the same sentences."""
    script = _script(text)
    if not script:
        return ""
    known = short_answer_language(text)
    if known:
        return known
    return _latin_language(text) if script == "LATIN" else _language_of_script(text, script)


def load() -> None:
    """Loads the statistics of languages, about a second, so that the first text doesn't wait for them."""
    _identifier()


@functools.cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages({"en", *_LATIN, *(language for languages in _SCRIPTS.values() for language in languages)})
    return identifier


def _script(text: str) -> str:
    """The script of most of a text, "" if it has no letters."""
    if text.isascii():
        return "LATIN" if _ASCII_LETTER.search(text) else ""
    counts: Counter[str] = Counter()
    for character in text:
        if character.isascii():
            counts["LATIN"] += character.isalpha()
        elif character.isalpha():
            name = unicodedata.name(character, UNKNOWN).split(" ", 1)[0]
            counts[name] += _WORD_LETTERS if name in _DENSE else 1
    latin = counts.pop("LATIN", 0)
    if sum(counts.values()) <= latin:
        return "LATIN" if latin else ""
    # Japanese has Chinese characters among its own, and no other language has its syllables.
    if 10 * (counts["HIRAGANA"] + counts["KATAKANA"]) >= counts["CJK"] > 0:
        return "HIRAGANA"
    return counts.most_common(1)[0][0]


def _language_of_script(text: str, script: str) -> str:
    languages = _SCRIPTS.get(script, ())
    if len(languages) <= 1:
        return languages[0] if languages else UNKNOWN
    text = " ".join(_WORDS.findall(text)).lower()
    ranks = _ranks(text, languages)
    (best, score), (_, second) = ranks[:2]
    ahead = (score - second) / _weight(text)
    return best if ahead > _AHEAD_WITHIN_SCRIPT else UNKNOWN


def _latin_language(text: str) -> str:
    words = _told_words(text)
    # Too few letters, or formulas: single letters are words in some languages.
    if sum(map(len, words)) < max(_MIN_LETTERS, 2 * len(words)):
        return ""
    needed = _AHEAD.get(len(words), _AHEAD_OF_MORE)
    if not _ENGLISH_WORDS.isdisjoint(words):
        needed = _AHEAD_OF_ENGLISH_WORDS
    language, ahead = _ahead_of_english(words)
    if ahead <= needed:
        return ""
    # "Señor Pérez has no helmet": a name or a borrowed word, with accents that English lacks, in an English text.
    plain = [word for word in words if word.isascii()]
    if 1 < len(plain) < len(words) and _ahead_of_english(plain)[1] <= _AHEAD_OF_PLAIN_WORDS:
        return ""
    return language


def _told_words(text: str) -> list[str]:
    """The words that tell a text's language, in lower case: quotations, marks of code and abbreviations don't."""
    text = _FENCE.sub(" ", text)
    if '":' not in text:  # in JSON the quotation is the answer
        outside = _QUOTED.sub(" ", text)
        if len(_WORDS.findall(outside)) > 1:
            text = outside
    words = _WORDS.findall(text)
    return [word.lower() for word in words if len(word) > _ABBREVIATION_CHARS or not word.isupper()]


def _ahead_of_english(words: Sequence[str]) -> tuple[str, float]:
    """The likeliest foreign language, and how far it is ahead of English."""
    text = " ".join(words)
    ranks = _ranks(text, ("en", *_LATIN))
    english = dict(ranks)["en"]
    best, score = next((language, score) for language, score in ranks if language != "en")
    return best, (score - english) / _weight(text)


def _ranks(text: str, languages: Sequence[str]) -> list[tuple[str, float]]:
    """Log-likelihoods of some languages, the likeliest first."""
    # The ends of words tell much of a language, also at the ends of the text.
    return [(language, score) for language, score in _identifier().rank(f" {text} ") if language in languages]


def _weight(text: str) -> int:
    return len(text.encode()) + _MORE_BYTES
