"""Where a text names the items of the questionnaire: in full, by a symbol, in other languages, or in short."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_W = r"[^\W\d_]{0,20}"
"""The rest of a word."""
_S = r"[\s_.-]{0,3}"
"""Between the two words of a name."""
_P = r"(?:\.(?= ?[:=(-]))?"
"""The full stop of an abbreviated name, which else ends a sentence."""
_HAN = r"[^\W\d_a-z]{0,8}"
"""The rest of a name in Chinese or Japanese characters."""
_HANGUL = r"(?:[가-힣]*\s?[가-힣]+)?"

# Each tuple holds the item's names as they are told from all other words of an answer, its symbol first.
_FULL: Sequence[Sequence[str]] = (
    (
        rf"v_{{?a\b}}?|visual{_W}{_S}(?:attract|attr\b{_P}|appeal|beaut){_W}",
        rf"attract{_W}(?:[ (]{{1,2}}| of (?:the |its )?)visual{_W}|見た目{_HAN}|外[观観]{_HAN}",
        rf"attract{_W} visuel{_W}|attrait visuel",
        rf"visuelle{_W} (?:attrakt|anzieh|reiz){_W}|optische{_W} (?:attrakt|anzieh|reiz){_W}",
        rf"atrac{_W} visual{_W}|atrat{_W} visual{_W}|apelo visual|attrat{_W} visiv{_W}",
        rf"визуальн{_W} привлекат{_W}",
        rf"[视視][觉覺覚]{_HAN}|(?:시각|비주얼){_HANGUL}|दृश्य आकर्षण|(?:ال)?جاذبية البصرية",
    ),
    (
        rf"c_{{?s\b}}?|curio{_W}{_S}(?:stim|arous|trigger|level){_W}{_P}",
        rf"stim{_W}(?: of)? (?:my |the )?curio{_W}",
        rf"stim{_W} de(?: la)? curio{_W}|est[ií]m{_W} (?:de |a )?(?:la )?curio{_W}",
        rf"stimol{_W} della curio{_W}",
        rf"neugier{_W}(?: ?- ?|{_S})(?:stim|anreg|weck){_W}|neugier\b",
        rf"(?:anreg|weck){_W} der neugier{_W}",
        rf"est[ií]mul{_W} (?:da|à) curio{_W}|стимул{_W} любопыт{_W}|любопытств{_W}",
        rf"好奇{_HAN}|호기심{_HANGUL}|जिज्ञासा(?: उत्तेजना)?|إثارة الفضول|الفضول",
    ),
    (
        rf"e_{{?e\b}}?|emo{_W}{_P}{_S}(?:engag|involv|reson|connect|impact|invest){_W}{_P}",
        rf"engag{_W} of (?:my |the )?emo{_W}|emotionally,? (?:it|this) engages me",
        rf"engag{_W} [ée]mo{_W}|implicac{_W} emo{_W}|compromiso emo{_W}|conexi[oó]n emo{_W}",
        rf"participac{_W} emo{_W}",
        rf"coinvolg{_W} emo{_W}|envolv{_W} emo{_W}|engaj{_W} emo{_W}|emotionale{_W} {_W}",
        rf"эмоциональн{_W} {_W}",
        rf"(?:情感|情绪|情緒|感情){_HAN}|(?:감정|정서){_HANGUL}|भावनात्मक जुड़ाव",
        rf"(?:ال)?(?:تفاعل|ارتباط|مشاركة)(?: ال| )عاطفي{_W}",
    ),
    (
        rf"v_{{?e\b}}?|val{_W}{_P}{_S}expect{_W}{_P}|expect{_W} (?:of )?value|expected value",
        rf"wert-?{_S}erwart{_W}|attente{_W} de valeur|valeur attendue|espérance de valeur",
        rf"expect{_W} de(?: la| el)? valor|valor esperado|aspettativ{_W} di valore|valore atteso",
        rf"ожида{_W} ценност{_W}|(?:价值|價值|価値|期待){_HAN}|가치{_HANGUL}|मूल्य अपेक्षा|القيمة المتوقعة",
        r"توقع القيمة",
    ),
    (
        rf"p_{{?a\b}}?|pref{_W}{_P}{_S}(?:align|match|fit\b){_W}{_P}",
        rf"align{_W} (?:with|to|of) (?:my )?pref{_W}",
        rf"pr[äa]ferenz-?{_W}{_S}(?:überein|ausricht|abgleich|pass){_W}",
        rf"(?:überein|ausricht){_W} mit (?:den |meinen )?(?:pr[äa]f|vorlieb){_W}",
        rf"align{_W} (?:des|avec les|avec mes|sur les|aux) préf{_W}",
        rf"alin{_W} (?:de|con|com) (?:las |la |mis |as )?prefer{_W}",
        rf"alin{_W} d[ae]s? prefer{_W}|allin{_W} (?:delle|con le|alle|di) pref{_W}",
        rf"соответств{_W} предпочт{_W}",
        rf"(?:偏好|嗜好|喜好|好み){_HAN}|선호{_HANGUL}|(?:प्राथमिकता|वरीयता|पसंद)(?: {_W})?|توافق التفضيل{_W}",
    ),
    (
        rf"a_{{?d\b}}?|action{_W}{_S}(?:desir|intent|urge){_W}",
        rf"desir{_W} (?:to|for|of) (?:take )?act{_W}|act\.{_S}des{_W}{_P}",
        rf"handlungs-?{_S}(?:wunsch|bereit|drang|absicht|impuls){_W}|désir d['’ ]?a(?:ction|gir)",
        r"envie d['’ ]?agir",
        r"deseo de (?:acci[oó]n|actuar)|desejo de (?:ação|acao|agir)",
        r"desiderio d[i' ]+(?:azione|agire)",
        rf"желание действ{_W}|(?:行动|行動|动作){_HAN}|(?:행동|행위){_HANGUL}",
        rf"(?:कार्रवाई|कार्य)(?: की)? इच्छा|الرغبة في {_W}",
    ),
)
# In short: such words are names only as a label, right before a number, where the answer names all items.
_SHORT: Sequence[str] = (
    r"va|v\.a\.?|visuals?|visually|visually attractive|attractiveness|vis",
    r"cs|c\.s\.?|curiosity|curious|stimulation|cur",
    r"ee|e\.e\.?|emotions?|emotional|emotionally|engagement|emo",
    r"ve|v\.e\.?|values?|expectations?|val",
    r"pa|p\.a\.?|preferences?|alignment|pref",
    r"ad|a\.d\.?|actions?|desire|act",
)


class Mention(NamedTuple):
    """A name in a text."""

    start: int
    end: int
    item: int
    """Place of the item in the questionnaire, from 0."""


def _one_of(patterns: Sequence[str]) -> re.Pattern[str]:
    groups = "|".join(f"(?P<i{item}>{pattern})" for item, pattern in enumerate(patterns))
    return re.compile(rf"(?<![a-z0-9])(?:{groups})(?![a-z])")


_FULL_NAME = _one_of(["|".join(names) for names in _FULL])
_SHORT_NAME = _one_of(_SHORT)
_LABEL_START = re.compile(r"(?:^|[,;|\n()\[\]{.:]|\d[ \t]{1,3})[^\w\n]*(?:\d{1,2}[.)]\s*)?[^\w\n]*$")
_LABEL_END = re.compile(
    r"[ \t]*(?:[(\[][^)\]\n]{0,40}[)\]])?[\"'*_` ]*(?:[:=|,-]|\s*[(\[]?\d|[\"'*_`]{0,4}[ \t]*$)", re.M
)
_IN_FRONT = 24


def full_names(text: str) -> list[Mention]:
    """The items that a folded text names in full or by their symbols, neighbours of the same item as one."""
    found: list[Mention] = []
    for match in _FULL_NAME.finditer(text):
        item = int(str(match.lastgroup)[1:])
        before = found[-1] if found else None
        if before and before.item == item and _is_gloss(text[before.end : match.start()]):
            found[-1] = Mention(before.start, match.end(), item)
        else:
            found.append(Mention(match.start(), match.end(), item))
    return found


def _is_gloss(between: str) -> bool:
    """Whether nothing but brackets and similar marks stands between two names, as in "Visual attractiveness (v_a)"."""
    return len(between) <= 6 and not re.search(r"[\w\n]", between)  # noqa: PLR2004 - " / **(" at most


def short_names(text: str) -> list[Mention]:
    """The items that a folded text names in short, where such a word is a label."""
    found = []
    for match in _SHORT_NAME.finditer(text):
        in_front = text[max(0, match.start() - _IN_FRONT) : match.start()]
        if _LABEL_START.search(in_front) and _LABEL_END.match(text, match.end()):
            found.append(Mention(match.start(), match.end(), int(str(match.lastgroup)[1:])))
    return found


def item_of(label: str) -> int | None:
    """The item whose name, in full or in short, a label such as a key or a cell is; None if it is none or several."""
    for mentions in (full_names(label), list(_short_labels(label))):
        items = {mention.item for mention in mentions}
        if items:
            return items.pop() if len(items) == 1 else None
    return None


def _short_labels(label: str) -> list[Mention]:
    bare = re.sub(r"[(\[][^)\]]{0,40}[)\]]|[^\w.]+|\d+|_", " ", label).strip()
    match = _SHORT_NAME.fullmatch(re.sub(r"^(?:the|my) | (?:score|rating|level|value)$", "", bare).strip())
    return [Mention(0, len(label), int(str(match.lastgroup)[1:]))] if match else []


def starts_with_name(text: str) -> bool:
    """Whether a folded text begins with an item's name in full."""
    return _FULL_NAME.match(text) is not None
