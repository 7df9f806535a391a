"""Whether the words between a name and a number say that the one is the other's score."""

import math
import re
from typing import Literal

from services.scoring.reading.isq.amounts import Amount, amounts
from services.scoring.reading.isq.names import starts_with_name

_LINK_WORDS = """
    should score scores scored scoring rating ratings rate rated rates level value mark marks point points grade
    graded answer answers is are was be been being would will 'd it its it's this that these which gets get got
    receives receive earns earn earned deserves deserve merits merit comes come to at as a an the of i i'd i'll i'm
    me we my you say call give gives giving given put puts set sets place places assign assigned assigning around
    about approximately approx roughly maybe perhaps probably possibly likely circa ca nearly almost close just only
    mere solid strong modest decent full perfect clear generous stands stand stays stay remains remain hovers rises
    averages sits sit reaches reach hits hit lands land lies goes go with for myself personally like think guess
    feel estimate estimated equals equal exactly precisely somewhere something scale from range on in out image
    picture photo scene here there both each all high low moderate medium good fair yes no so judge judged rank
    ranked ranks awarded award one's own person's user's yields yield results result final respectively punkte punkt
    bewertung wert von ist ich gebe würde mit bei etwa ungefähr puntuación puntos valor puntaje calificación es le
    doy un una de aproximadamente sobre note est je donne une donnerais environ pour punteggio è do nota é um uma
    dou
    评分 分数 得分 为 是 我给 约 大约 点数 評価 点 は 점수 оценка балл
"""
"""Words that may stand between a name and its number; any other could begin another statement."""
_LINKS = frozenset(_LINK_WORDS.split())
_NO_MORE = re.compile(
    r"\b(?:no|not) more than\b|\bat (?:the )?(?:very )?(?:most|best|least|worst)\b|\bup to\b|"
    r"\bdo(?:es)?(?:n't| not) (?:go |get |rise )?(?:beyond|above|exceed|past)\b|"
    r"\b(?:not|no) (?:beyond|above|higher than|exceeding)\b"
)
_ASIDE = re.compile(r"\([^()\n]{0,100}\)|\[[^\[\]\n]{0,100}\]|<[^<>\n]{1,40}>")
_RANGE = re.compile(
    r"(?:on |from |scale |of |range )*"
    r"\b[01](?:\.0)? ?(?:-|to|or|and|/|\.\.\.?|,|bis|a|à|至|到) ?(?:1|5|10|100)(?:\.0)?\b"
    r"|(?:out of |/ ?|max(?:imum)?[. :]*)(?:10|1|100|5)\b"
)
_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?|'d")
_MOST_WORDS = 14
_LONG_GAP = 200


def leads_forward(gap: str, lines: int = 3) -> bool:
    """Whether what stands between a name and a number says that this is its score, and nothing else.

    Args:
        gap: The text between them, folded.
        lines: Line breaks that it may have.
    """
    if len(gap) > _LONG_GAP or gap.count("\n") > lines or re.search(r"[;!<≤≥±]|\n[^\n]*>|> *$|- *- *$", gap):
        return False
    plain = _RANGE.sub(" ", _ASIDE.sub(" ", _NO_MORE.sub(" ", gap)))
    words = _WORD.findall(plain)
    return not re.search(r"\d", plain) and len(words) <= _MOST_WORDS and all(word in _LINKS for word in words)


_BACK = re.compile(
    r"[\s*_\"'`)\]|]{0,8}(?:(?:points?|stars?|分)\b)?[\s*_\"'`)\]]{0,6}"
    r"(?P<how>for|on|in|as to|in terms of|regarding|to|goes to|für|bei|para|pour|per|при|-|=|:|\(|\[)?"
    r"[\s*_\"'`(\[]{0,6}(?:(?:both|each|all|of|the|its|my|his|her|their|this|image's|picture's|photo's|overall|first|last|two|three|four|das|die|den|el|la|le|l'|o|a|il)\s{1,2}){0,5}"
    r"[\s*_\"'`(\[]{0,6}"
)
_PREPOSITIONS = frozenset(
    ("for", "on", "in", "as to", "in terms of", "regarding", "to", "goes to", "für", "bei", "para", "pour", "per")
)


def leads_back(gap: str) -> Literal["preposition", "sign", ""]:
    """How what stands between a number and a name behind it says that the number is the name's score, if it does."""
    found = _BACK.fullmatch(gap) if len(gap) <= _LONG_GAP and "\n" not in gap else None
    if found is None:
        return ""
    return "preposition" if found["how"] in _PREPOSITIONS else "sign"


def separates(gap: str) -> bool:
    """Whether nothing stands between two names but what separates the members of a list."""
    if len(gap) > _LONG_GAP:
        return False
    plain = re.sub(r"(?m)^\W*\d{1,2}[.)]", " ", _RANGE.sub(" ", _ASIDE.sub(" ", gap)))
    return (
        re.fullmatch(
            r"[^\w.!?]*(?:and|und|y|et|e|plus|as well as|和|及|以及)?"
            r"[^\w.!?]*(?:(?:the|its|my|for)\s+){0,2}[^\w.!?]*_{0,2}",
            plain,
        )
        is not None
    )


_WORDS_AFTER = """
    because as since for and but with due given though although which while so at or to me out of on in points point
    pts pt stars star from is i it it's the there this that my just if by overall too also only not no maybe based
    thanks considering even when where owing then here however again each both respectively i'd i'm i've it'd
    there's that's who whereas without what why how very porque ya car parce weil da denn perché pois y e et und
    pero mais aber punkte punkt puntos pontos punti von de
    分 点 점 балл балла баллов
"""
"""Words that may follow a score; any other is what a number counts."""
_AFTER = frozenset(_WORDS_AFTER.split())
_BEFORE_COUNTS = re.compile(
    r"(?:\b(?:no|nr|number|age|aged|top|first|last|than|not|platform|room|line|gate|route|track|in the|"
    r"since|page|chapter|frame|picture|image|photo|figure|step|item|part|over|above|below|under|version|day|week|"
    r"year)\.? ?|#|[€£¥$])$"
)


def is_count(text: str, amount: Amount) -> bool:
    """Whether a number counts or numbers something: "3 dogs", "door no. 7", "in 10 words"."""
    behind = text[amount.end : amount.end + 40]
    if amount.scale is not None:
        # "8/10 warm light" is a score with a remark, "100% natural light" and "5 out of 5 dogs" are none.
        share = re.search(r"%|percent|per cent|of", text[amount.start : amount.end])
        if re.match(r" of\b", behind) or re.search(
            r"\b(?:top|best|worst) $", text[max(0, amount.start - 8) : amount.start]
        ):
            return True
        counted = re.match(r"[ \t]{1,3}([^\W\d_]+)", behind)
        if share is None or counted is None:
            return False
        return counted[1] not in _AFTER and not starts_with_name(behind[counted.start(1) :])
    word = re.match(r"[*_\"']{0,3}[ \t]{1,3}([^\W\d_]+(?:'[a-z]+)?)", behind) or re.match(r"([^\W\da-z_])", behind)
    if word and word[1] not in _AFTER and not starts_with_name(behind[word.start(1) :]):
        return True
    in_front = text[max(0, amount.start - 24) : amount.start]
    counts = _BEFORE_COUNTS.search(in_front)
    return counts is not None and not _NO_MORE.search(in_front)


def stands_below(text: str, amount: Amount) -> bool:
    """Whether a number on a line below its name is a score there, and no counter of a list."""
    behind = text[amount.end : amount.end + 8]
    return not re.match(r"[.)]\s+[^\W\d]", behind)


_DOUBT = re.compile(
    r"^[^\w\n]{0,4}(?:or|oder|ou|или|或)\b(?: maybe| perhaps| even| possibly| rather)?(?: an?)? (?P<other>[^\n]{1,12})|"
    r"(?:can(?:'|no| no)?t decide|not sure (?:which|whether)|changed my mind|scratch that|"
    r"on (?:second thoughts?|(?:further )?reflection)|let me (?:revise|change|correct)|make (?:that|it) (?:a |an )?\d|"
    r"(?:\bno|wait|sorry|correction|actually|rather)[,:. -]{1,3}(?:it's |i'd say |more like |make it |a |an )?"
    r"\d[\d./]*(?![\d./]* ?[a-z]))"
)
_UNDECIDED = re.compile(
    r"can(?:'|no| no)?t decide|not sure (?:which|whether)|hard to (?:say|choose) between|or rather|either .{1,30} or "
)
_REPEATED = re.compile(r"[ \t*_]{0,4}(?:\((?P<other>[^()\n]{1,12})\)|= {0,4}(?P<now>\d[\d./]{0,8}))")


def is_undecided(line: str) -> bool:
    """Whether a line says that its writer can't resolve_statements on a number."""
    return _UNDECIDED.search(line) is not None


def is_doubted(text: str, amount: Amount, end: int) -> bool:
    """Whether what follows a number takes it back: "8 or 3", "8, no, 7", "eight (7)", "7 → 8"."""
    behind = text[amount.end : min(end, amount.end + 120)].split("\n", 1)[0]
    if behind.startswith("+"):
        return True
    found = _DOUBT.search(behind)
    if found and (found["other"] is None or any(stated.start < 3 for stated in amounts(found["other"]))):  # noqa: PLR2004
        return True
    again = _REPEATED.match(behind)
    if not again:
        return False
    other = again["other"] or again["now"]
    others = [stated for stated in amounts(other) if not stated.is_scale]
    whole = len(others) == 1 and re.fullmatch(r"\W*", other[: others[0].start] + other[others[0].end :])
    return bool(whole) and not _same(amount, others[0])


def _same(one: Amount, other: Amount) -> bool:
    """Whether two numbers may be one, on whichever scale each is."""
    scales = ({1.0, 10.0} if stated.scale is None else {stated.scale} for stated in (one, other))
    ones, others = scales
    return one.low == other.low or any(
        math.isclose(one.low / left, other.low / right) for left in ones for right in others
    )


_LABEL = re.compile(
    r"(?:score|rating|rated|points|mark|grade|level|result|answer|final|verdict|rate it|value|"
    r"评分|分数|得分|puntuación|puntaje|note|nota|"
    r"bewertung|wertung)(?: (?:is|of|would be|for this|for me|here))?[\s*_\"']{0,4}[:=-]?[\s*_\"'(\[]{0,6}$"
)


def is_labelled(text: str, amount: Amount, start: int) -> bool:
    """Whether a number is called the score: "Score: 8"."""
    return _LABEL.search(text[max(start, amount.start - 40) : amount.start]) is not None


def is_marked(text: str, amount: Amount, start: int) -> bool:
    """Whether a number is marked as a score: "→ 8", "8/10", "**8**", alone on its line or at its end."""
    if amount.scale is not None:
        return True
    in_front = text[max(start, amount.start - 40) : amount.start]
    behind = text[amount.end : amount.end + 8]
    if re.search(r"=[\s*_(]{0,4}$", in_front):
        return True
    if in_front.endswith("**") and behind.startswith("**"):
        return True
    ends = re.match(r"[*_)\]\"']{0,4}[.!]?[*_]{0,2}[ \t]*(?:\n|$)", behind)
    return (
        ends is not None
        and re.search(r"(?:[,:.?!=)-][\s*_(\[\"']{1,5}|[(\[]|\n[\s*_(\[\"'>|-]{0,6})$", in_front) is not None
    )


_CUE = re.compile(
    r"\b(?:give|gave|say|rate|score|call|it|this|at|an?|is|be|so|around|about|approximately|hence|therefore|thus|just|only|gets|"
    r"deserves|merits|earns|maybe|perhaps|with)(?: it| this| that)?(?: a| an)?[\s*_\"'(]{1,4}$"
)


def is_worded(text: str, amount: Amount, start: int) -> bool:
    """Whether words call a number a score, on the line of the name: "..., so I give it 7"."""
    between = text[start : amount.start]
    return "\n" not in between.strip() and _CUE.search(between[-30:]) is not None
