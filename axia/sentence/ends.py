"""Whether a sentence ends at a full stop or another mark, by what stands around it.

A period inside a number, an abbreviation, an initial, a list marker or an ellipsis before a lower-case word does not
end a sentence. Everything here looks at a bounded stretch of the text.
"""

import re
from typing import NamedTuple

# After these a period does not end a sentence. Compared in lower case, without the period.
_ABBREVIATIONS = frozenset(
    re.split(
        r"\s+",
        """mr mrs ms mx dr prof rev fr sr jr st mt gen col capt lt sgt hon pres gov sen rep m/s
        vs etc e.g i.e cf al ca approx no nos fig figs eq vol pp ed eds dept est inc ltd pvt co corp
        a.m p.m u.s u.k u.n e.u b.c a.d h.d m.d b.a m.a
        jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
        ave av blvd rd hwy apt rm bldg ft oz lb lbs yr yrs hr hrs min max avg temp tel ext maj det
        sra dra srta mme mlle bzw usw z.b d.h u.a p.ej डॉ""",
    )
)
# Of these, the ones that often end a sentence too: they do when a capital letter follows.
_MAY_END = frozenset(
    re.split(
        r"\s+",
        """etc a.m p.m u.s u.k u.n e.u inc ltd co corp jr sr al no ed est usw
        mar mon wed sat sun ave blvd rd ft oz lb lbs yr yrs hr hrs min max temp""",
    )
)
# Abbreviations before a number, and words elsewhere.
_BEFORE_NUMBER = frozenset({"art", "ch", "sec", "para", "p", "tab", "nr"})

CLOSERS = frozenset("\"'”’»›)]}*_`」』】》〉）")
"""Characters that belong to the sentence when they follow its end."""
_QUOTES = frozenset("\"'”’»›“」』》〉")
_SPACED = ".!?…"
"""Terminators of scripts that write a space after a sentence."""
# Unicode's property Sentence_Terminal, less those above and punctuation that is more of a comma.
_UNSPACED = "。！？｡．︒﹒﹖﹗։؝؞؟۔܀܁܂߹࠷࠹࠽࠾।॥။።፧፨᙮᜵᜶។៕᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⳹⳺⳻⸮⸼꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫"
"""Terminators that end a sentence whether or not white space follows."""
TERMINATORS = frozenset(_SPACED + _UNSPACED)
OPENERS = frozenset("\"'“‘«‹([{*_`¿¡-–—•「『【《〈（")
"""Characters that may stand before the first letter of a sentence."""

LOOKED_BACK = 64
"""Characters before a mark that a decision may depend on."""
LOOKED_AHEAD = 25
"""Characters behind a mark that a decision may depend on, white space and openers not counted."""

_WORD_BEFORE = re.compile(r"(?:[^\W\d_][./])*(?:[^\W\d_]|[\u0900-\u0dff])+$")
_LIST_MARKER = re.compile(r"(?:^|\n|[:;](?=[\s*_#>-]))[\s*_#>-]*\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)]$")
_STREET = re.compile(
    r"(?:\b(?!(?:A|An|The|In|At|On|To|By|East|West|North|South|This|That|Every|Our|Near|From) )[A-Z][\w'’-]*"
    r"|\d(?:st|nd|rd|th)) St$"
)
_LETTERED = re.compile(
    r"\b(?:vitamin|hepatitis|plan|type|class|grade|section|option|exit|gate|platform|block|terminal|zone|level|category|"
    r"building|room|column|letter|group|team|row|seat|point|part|door) [A-Z]$|\d ?°?[CF]$",
    re.IGNORECASE,
)
"""Words with a letter that is no initial: "vitamin D"."""
_JOINED_WORD = re.compile(r"(?:^|[\s\"'“‘(*,;])(?:[^\W\d_]|['’-])+[^\W\d_A-Z]$")
_NEXT_WORD = re.compile(r"[^\W\d_]+")
_GOES_ON_AFTER_QUOTE = frozenset("但却而的並且地与與とはがをにのもで")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]")


class Mark(NamedTuple):
    """A run of terminators with the closers behind it, and what stands around it."""

    before: str
    """The sentence up to the mark, its last LOOKED_BACK characters."""
    says: bool
    """Whether the sentence up to the mark has a letter or a digit."""
    small: bool
    """Whether the sentence begins with a lower-case letter."""
    terminators: str
    """The first three at most."""
    last: str
    """The last character, a closer if there is one."""
    rest: str
    """What follows without a gap, at most LOOKED_AHEAD characters; empty at the end of the line or text."""
    following: str
    """The first character that follows which is neither white space nor an opener; empty at the end."""


def is_unspaced(terminator: str) -> bool:
    """Whether a terminator needs no white space behind it."""
    return terminator in _UNSPACED


def may_be_joined(rest: str) -> bool:
    """Whether the word that follows without a gap continues after `rest`, and decides with what follows it."""
    return _NEXT_WORD.fullmatch(rest) is not None


def ends_with_list_marker(line: str) -> bool:
    """Whether a line or beginning of a sentence ends with "1." or "a)", where that counts something."""
    return _LIST_MARKER.search(line) is not None


def tail(text: str, *, cut: bool) -> str:
    """The end of a text for the patterns above; where it was cut they must not take its beginning for the text's."""
    return "x" + text if cut else text


def ends_sentence(mark: Mark) -> bool:
    """Whether a sentence ends with a mark."""
    if not mark.says:
        return False  # leading dots, or a bullet
    first, following = mark.terminators[0], mark.following
    quoted = mark.last in _QUOTES
    if is_unspaced(first):
        if first == "．" and mark.rest[:1].isdigit():
            return False
        # A sign says "Danger!" in the middle of a sentence of a script without capital letters.
        goes_on = mark.rest[:1].isalpha() if first in "！？" else mark.rest[:1] in _GOES_ON_AFTER_QUOTE
        return not (quoted and bool(mark.rest) and goes_on)
    if mark.rest and not mark.rest[0].isspace():
        return _ends_without_space(mark)
    goes_on_small = following.islower()
    if mark.terminators.startswith(("...", "…")):
        return not goes_on_small
    if first != ".":
        # "Stop!" she said: after a closing quote a small letter continues with the same sentence.
        goes_on = goes_on_small or (quoted and following.isalpha() and not following.isupper())
        return not (goes_on and mark.last in CLOSERS)
    # Who begins a sentence with a small letter begins the next with one too.
    return not _period_belongs_to_word(mark.before, following, goes_on_small and not mark.small)


def _ends_without_space(mark: Mark) -> bool:
    """The space after the sentence is missing: "It is hot.The child". Not so: 3.5, example.org, e.g.this, Node.js."""
    first, rest, before = mark.terminators[0], mark.rest, mark.before
    if first == "…" or mark.terminators.startswith(".."):
        return False
    if _CJK.match(before[-1:]) and _CJK.match(rest):
        return mark.last not in _QUOTES
    if first != "." and before[-1:].isalpha() and rest[0].isalpha() and not (rest[0].islower() or rest[0].isupper()):
        return mark.last not in _QUOTES
    word = _NEXT_WORD.match(rest)
    if word is None or not rest[0].isupper() or (len(word.group()) > 1 and word.group().isupper()):
        return False
    behind = rest[word.end() : word.end() + 1]
    if behind and not (behind.isspace() or behind in ",'’-"):
        return False
    if _JOINED_WORD.search(before) is None:
        return False
    last = _WORD_BEFORE.search(before)
    return last is not None and last.group().lower() not in _ABBREVIATIONS


def _period_belongs_to_word(before: str, following: str, goes_on_small: bool) -> bool:
    if ends_with_list_marker(before + "."):
        return bool(following)
    word = _WORD_BEFORE.search(before)
    if word is None:
        return goes_on_small  # a number ends a sentence unless it plainly goes on
    last = word.group()
    lowered = last.lower()
    if lowered in _MAY_END or _STREET.search(before) or _LETTERED.search(before):
        return bool(following) and not following.isupper()
    if lowered in _ABBREVIATIONS:
        return bool(following)
    if lowered in _BEFORE_NUMBER and following.isdigit():
        return True
    # Not an initial: 200°C, 5V.
    apart = word.start() == 0 or before[word.start() - 1].isspace() or before[word.start() - 1] in OPENERS
    single_initial = len(last) == 1 and last.isupper() and last != "I" and apart
    return (single_initial and bool(following)) or goes_on_small
