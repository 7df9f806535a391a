"""Finds the end of the first sentence in text that is still being generated.

Only the first sentence of an answer counts in the values-detector study (arXiv 2501.03957), so a completion stops once
that sentence is complete. The end is reported only when no further text could move it: for every text and every
beginning of it, ``first_sentence_end(beginning)`` is either None or the end in the whole text. A property test holds
this.
"""

import re

# After these a period does not end a sentence. Compared in lower case, without the period.
_ABBREVIATIONS = frozenset(
    re.split(
        r"\s+",
        """mr mrs ms mx dr prof rev fr sr jr st mt gen col capt lt sgt hon pres gov sen rep
        vs etc e.g i.e cf al ca approx no nos fig figs eq vol pp ed eds dept est inc ltd co corp
        a.m p.m u.s u.k u.n e.u b.c a.d ph.d m.d b.a m.a
        jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
        ave blvd rd ft oz lb lbs min max avg temp tel ext""",
    )
)
# Of these, the ones that often end a sentence too: they do when a capital letter follows.
_MAY_END = frozenset(re.split(" ", "etc a.m p.m u.s u.k u.n e.u inc ltd co corp jr sr al no ed est"))

_CLOSERS = "\"'”’»)]}*_`"
"""Characters that belong to the sentence when they follow its end."""
_TERMINATORS = ".!?…。！？"
_FULL_WIDTH = "。！？"
"""Terminators of scripts that write no space after a sentence."""

_TERMINATOR = re.compile(rf"[{re.escape(_TERMINATORS)}]+[{re.escape(_CLOSERS)}]*")
_WORD_BEFORE = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]+$")
_LIST_MARKER = re.compile(r"(?:^|[:;\n])[\s*_#>-]*\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)]$")
_OPENERS = "\"'“‘«([{*_`¿¡-–—•"


def first_sentence_end(text: str, *, complete: bool = False) -> int | None:
    """Finds where the first sentence of `text` ends.

    A period inside a number, an abbreviation, an initial, a list marker or an ellipsis before a lower-case word does
    not end a sentence; quotes and brackets that close behind the end belong to it. A line break after words ends it as
    well.

    Args:
        text: What has been generated so far.
        complete: Whether nothing will follow.

    Returns:
        The index behind the sentence's last character; None if the sentence may still go on. With `complete` it is
        never None: a text without an end is one sentence.
    """
    if (line_end := _line_end(text)) is not None:
        text, complete = text[:line_end], True
    start = len(text) - len(text.lstrip())
    for match in _TERMINATOR.finditer(text, start):
        rest = text[match.end() :]
        if not complete and not rest.strip().lstrip(_OPENERS):
            return None  # what follows decides, and it is not there yet
        if _ends_sentence(text[start : match.start()], match.group(), rest):
            return match.end()
    return len(text.rstrip()) if complete else None


def first_sentence(text: str) -> str:
    """The first sentence of a complete text, without white space around it; empty for a text without words."""
    return text[: first_sentence_end(text, complete=True)].strip()


def _line_end(text: str) -> int | None:
    """Where the first line that says something ends; None if no line break follows it yet."""
    for match in re.finditer(r"\n", text):
        line = text[: match.start()].strip()
        if any(character.isalnum() for character in line) and not _LIST_MARKER.search(line):
            return match.start()
    return None


def _ends_sentence(before: str, mark: str, rest: str) -> bool:
    if mark[0] in _FULL_WIDTH:
        return True
    if not any(character.isalnum() for character in before):
        return False  # leading dots, or a bullet
    if rest and not rest[0].isspace():
        return False  # 3.5, example.org, e.g.this
    following = rest.lstrip().lstrip(_OPENERS)
    goes_on_small = following[:1].islower()
    if mark.startswith(("...", "…")):
        return not goes_on_small
    if mark[0] != ".":
        # "Stop!" she said: after a closing quote a small letter goes on with the same sentence.
        return not (goes_on_small and mark[-1] in _CLOSERS)
    # Who begins a sentence with a small letter begins the next with one too.
    writes_small = next((character.islower() for character in before if character.isalpha()), False)
    return not _period_belongs_to_word(before, following, goes_on_small and not writes_small)


def _period_belongs_to_word(before: str, following: str, goes_on_small: bool) -> bool:
    if _LIST_MARKER.search(before + "."):
        return bool(following)
    word = _WORD_BEFORE.search(before)
    if word is None:
        return goes_on_small  # a number ends a sentence unless it plainly goes on
    last = word.group()
    if last.lower() in _MAY_END:
        return bool(following) and not following[0].isupper()
    if last.lower() in _ABBREVIATIONS:
        return bool(following)
    single_initial = len(last) == 1 and last.isupper() and last != "I"
    return (single_initial and bool(following)) or goes_on_small
