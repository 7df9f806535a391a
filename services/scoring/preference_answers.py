"""Reading yes, no or a refusal from a free-text answer to "Do you like the content of this image?".

English only, as the question is. Everything else, other languages and alphabets among it, is unparsed: reported, never
guessed.
"""

import re
import unicodedata
from enum import Enum

from services.scoring.readable import INVISIBLE


class Verdict(Enum):
    """What an answer says."""

    YES = "yes"
    """It likes the content."""
    NO = "no"
    """It does not."""
    REFUSAL = "refusal"
    """It declines to say."""
    UNPARSED = "unparsed"
    """None of these can be read from it."""


_OUTER = " \t\r\n.,;:!?*_\"'`()[]{}<>#|~-"
_SHORT = {
    **dict.fromkeys(("yes", "y", "yeah", "yep", "yup", "sure", "absolutely", "definitely", "certainly"), Verdict.YES),
    **dict.fromkeys(("of course", "indeed", "i do", "i like it", "i love it", "like", "👍"), Verdict.YES),
    **dict.fromkeys(("no", "n", "nope", "nah", "not really", "i do not", "i don't", "dislike", "👎"), Verdict.NO),
    **dict.fromkeys(("i think so", "i guess so", "very much", "very much so", "like it", "love it"), Verdict.YES),
    **dict.fromkeys(("i don't think so", "i do not think so", "i'm afraid not", "hate it", "dislike it"), Verdict.NO),
    **dict.fromkeys(("not at all", "absolutely not", "definitely not", "certainly not", "of course not"), Verdict.NO),
}

_DECLINED = (
    r"\bas an? (?:\w+ )?(?:ai|artificial intelligence|(?:\w+ )?language model|machine|assistant|model)\b"
    r"|\b(?:do not|don't|cannot|can't|can not|lack|without|not capable of|incapable of|unable to)\b(?: \w+){0,3}? "
    r"(?:preferences?|opinions?|feelings?|emotions?|tastes?|likes (?:or|and) dislikes|ability|subjective \w+)\b"
    r"|\b(?:can't|cannot|can not|unable to|not able to|won't|will not|not going to|decline to|refuse to)"
    r"(?: \w+){0,2}? (?:help(?! but)|assist|answer|comment|respond|say(?! (?:that )?i )|"
    r"discuss|view|see|provide|express|form|"
    r"judge|engage|identify|determine|tell|assess|evaluate|process|access|fulfil+|comply)\b"
    r"|\bi(?:'m| am) (?:just |only )?an? (?:ai|language model|machine|computer|robot)\b"
)
_REFUSAL = re.compile(_DECLINED)
# None of the above can match without one of these.
_REFUSAL_HINTS = ("as a", "n't", " not ", "cannot", "able to", "capable of", "without", "lack", "e to ", "m a")
# "…, but if I had to choose: yes" answers in spite of declining.
_NONETHELESS = re.compile(
    r"\b(?:but|however|though|nevertheless|that said|if i (?:had to|could|were))\b(.*)", re.DOTALL
)

# The question's own "(yes/no)", repeated; and "yes and no", which is neither.
_CHOICE = re.compile(r"\byes\s*(?:/|\\|\bor\b|\||,)\s*no\b|\bno\s*(?:/|\\|\bor\b|\|)\s*yes\b|\by\s*/\s*n\b")
_BOTH = re.compile(r"\byes\b\W+(?:and|but also)\W+no\b|\bno\b\W+(?:and|but also)\W+yes\b")

_NO_NOUN = (
    r"no(?!\w|\W*(?:doubt|problem|question|idea|one|strong|particular|real|comment|opinion|preference|feeling|way to|"
    r"matter|need|longer|more|people|person)\w*\b)"
)
_NO_VERB = (
    r"i (?:do not|don't)(?! (?:know|have|think i|feel|form|possess|see|understand|experience|mind|dislike|hate)\b)"
    r"(?= like(?! (?:or|nor)\b)|\W*$|[.,;!])"
)
_YES_VERB = (
    r"i (?:really |certainly |absolutely |definitely )?do(?! (?:not|n't)\b)"
    r"(?= (?:like|love|enjoy|appreciate|find)\b|[.,;!]|\W*$)"
)
_LEAD = re.compile(
    r"\W*(?:(?:well|hmm+|oh|honestly|overall|answer|my answer is|the answer is|a|response|1)\b\W*){0,3}"
    rf"(?:(?P<no>{_NO_NOUN}|nope|nah|not really|not at all|not particularly|absolutely not|definitely not|certainly not"
    rf"|of course not|{_NO_VERB})"
    r"|(?P<yes>yes|yeah|yep|yup|absolutely|definitely|certainly|indeed|of course|sure(?! (?:if|about|whether|how)\b)"
    rf"|{_YES_VERB}))(?!\w)"
)
_MARKED = re.compile(
    r"(?<!not )(?<!n't )\b(?:answer|verdict|response|conclusion|choice|decision|final|say|choose|be|is|would|"
    r"lean(?:ing)? towards?)"
    rf"\W{{1,12}}(?:a )?(?P<word>yes|{_NO_NOUN})(?!\w)"
)
_LAST_CHARS = 24
_LAST = re.compile(r"(?:^|\W)(?<!not )(?<!not say )(?<!n't say )(?P<word>yes|no)\W*$")

_ADVERBS = (
    r"(?:(?:do|really|quite|absolutely|definitely|certainly|truly|also|very much|would|personally|rather|actually|"
    r"genuinely|think i|must say i|just|particularly|especially|wholeheartedly|"
    r"can't help but|cannot help but) )*"
)
_NOT = r"(?:do not|don't|did not|didn't|would not|wouldn't|never|cannot say (?:that )?i|can't say (?:that )?i)"
_FOND = r"(?:like|love|enjoy|appreciate|adore)"
_CONDITION = re.compile(
    r"\b(?:whether|if|why|what|how|not sure|unsure|uncertain|don't know|do not know)\b(?: \w+){0,3}? i "
    rf"{_ADVERBS}(?:not |don't )?(?:{_FOND}|dislike)\b(?: or (?:dislike|not|hate)\b)?"
    rf"|\bi would {_FOND}\b[^.!?]{{0,60}}\bif\b"
)
_CONDITION_HINTS = ("whether", "if ", "why", "what", "how", "sure", "certain", "know", " if")
_DOUBLE = re.compile(
    rf"\bi {_ADVERBS}{_NOT} {_ADVERBS}(?:like|love) (?:or|nor) (?:dislike|hate)\b|"
    rf"\bi {_ADVERBS}{_NOT} {_ADVERBS}(?:dislike|hate|mind)\b|\bneither like nor dislike\b|\bnot dislike\b"
)
_DISLIKES = re.compile(
    rf"\bi {_ADVERBS}{_NOT} {_ADVERBS}(?:{_FOND}|care for)\b(?! to\b)"
    rf"|\bi (?:\w+ )?{_NOT} (?:think|say|believe) (?:that )?i (?:\w+ )?{_FOND}\b"
    rf"|\bi {_ADVERBS}(?:dislike|hate|detest|loathe)\b"
    r"|\bi(?:'m| am) not (?:really |particularly )?(?:a (?:big |huge )?fan|fond)\b"
    r"|\b(?:does not|doesn't|do not|don't) (?:really |particularly )?appeal to me\b"
    r"|\bnot (?:really |very )?(?:appealing to me|to my (?:taste|liking)|my thing|my cup of tea)\b"
)
_LIKES = re.compile(
    rf"\bi {_ADVERBS}{_FOND}(?! (?:to|for you to|if|more (?:details|information|context)|you to)\b)\b"
    r"|\bi(?:'m| am) (?:a (?:big |huge )?fan|fond) of\b"
    r"|\b(?<!not )(?:appeals to me|is (?:very |quite )?(?:appealing to me|to my (?:taste|liking)))\b"
)
# None of the statements above can match without one of these.
_FEELING = re.compile(
    r"like|love|enjoy|appreciate|adore|hate|detest|loathe|fan\b|fond|appeal|to my |my thing|my cup|care for"
)
_LINE_SPACE = re.compile(r"[ \t]+")


def read_preference(answer: str) -> Verdict:
    """Reads what an answer says.

    A leading or marked yes or no counts ("Answer: yes"), and so does a statement of liking or disliking in the first
    person ("I really enjoy it"). A refusal stands unless the answer goes on to choose. Where an answer contradicts
    itself, hedges or says nothing of liking ("The image is bright"), it is unparsed.

    >>> read_preference("**Yes**, the colours are lovely.").value
    'yes'
    >>> read_preference("As an AI, I don't have personal preferences.").value
    'refusal'
    """
    text = answer if answer.isascii() else INVISIBLE.sub("", unicodedata.normalize("NFKC", answer)).replace("’", "'")
    text = _LINE_SPACE.sub(" ", text.casefold()).strip(_OUTER)
    short = _SHORT.get(text)
    if short is not None:
        return short
    if not text:
        return Verdict.UNPARSED
    # Searching a literal is many times faster than an expression that needs it, and most answers lack most literals.
    if "y" in text and "n" in text and ("yes" in text or "y/" in text.replace(" ", "")):
        text = _CHOICE.sub(" ", text)
        if _BOTH.search(text):
            return Verdict.UNPARSED
    lead = _LEAD.match(text)
    answered = _answered(text, lead)
    if any(hint in text for hint in _REFUSAL_HINTS) and _REFUSAL.search(text):
        return _beside_refusal(text, lead, answered)
    return answered


def _beside_refusal(text: str, lead: re.Match[str] | None, answered: Verdict) -> Verdict:
    """What an answer says that holds words of refusal: "No, as an AI I have no likes" is no dislike."""
    stated = _stated(text)
    if stated is not None:
        return stated if answered in {stated, Verdict.UNPARSED} else Verdict.UNPARSED
    nonetheless = _NONETHELESS.search(text)
    if nonetheless and (marked := _MARKED.search(nonetheless[1]) or _LAST.search(nonetheless[1])):
        return Verdict(marked["word"])
    if lead and lead["yes"] and text[lead.end() : lead.end() + 1] in {".", "!", "\n"}:
        return Verdict.YES  # "Yes." is a sentence of its own; what follows qualifies it
    return Verdict.REFUSAL


def _answered(text: str, lead: re.Match[str] | None) -> Verdict:
    stated = _stated(text)
    if lead:
        verdict = Verdict.YES if lead["yes"] else Verdict.NO
        last = _LAST.search(text, max(lead.end(), len(text) - _LAST_CHARS))
        if text[lead.end() : lead.end() + 1] == "?" or (last and last["word"] != verdict.value):
            return Verdict.UNPARSED  # "Yes? …" asks, and "Yes … no." takes it back
        return Verdict.UNPARSED if stated is not None and stated is not verdict else verdict
    marked: set[str] = set()
    if "yes" in text or "no" in text:
        marked = {found["word"] for found in _MARKED.finditer(text)}
        if not marked and stated is None and (last := _LAST.search(text, max(0, len(text) - _LAST_CHARS))):
            marked = {last["word"]}
    if len(marked) == 1:
        verdict = Verdict(marked.pop())
        return Verdict.UNPARSED if stated is not None and stated is not verdict else verdict
    return stated if stated is not None and not marked else Verdict.UNPARSED


def _stated(text: str) -> Verdict | None:
    """What first-person statements of liking say together; None if there is none or they contradict each other."""
    if not _FEELING.search(text):
        return None
    if any(hint in text for hint in _CONDITION_HINTS):
        text = _CONDITION.sub(" ", text)
    if ("n't" in text or "not" in text or "never" in text or "neither" in text) and _DOUBLE.search(text):
        return None
    rest, dislikes = _DISLIKES.subn(" ", text)
    likes = _LIKES.search(rest) is not None
    return None if likes == bool(dislikes) else Verdict.YES if likes else Verdict.NO
