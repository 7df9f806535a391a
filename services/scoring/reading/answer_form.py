"""Verdicts whose form leaves no doubt: a bare yes or no, a labelled one, a field of JSON.

Everything else is left to the reader model, which reads what the words say.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from services.scoring.reading.labels import Question, Verdict
from services.scoring.reading.readable import INVISIBLE

_YES = frozenset({"yes", "yeah", "yep", "yup", "true", "y"})
_NO = frozenset({"no", "nope", "nah", "false", "n"})
_OWN_WORDS: Mapping[Question, tuple[frozenset[str], frozenset[str]]] = {
    Question.LIKE: (frozenset({"i like it", "i do", "liked"}), frozenset({"dislike", "i don't", "i do not"})),
    Question.INTEREST: (
        frozenset({"interesting", "stay", "keep watching", "i would stay", "interested", "very interesting"}),
        frozenset(
            {"not interesting", "boring", "swipe", "skip", "swipe on", "scroll", "not interested", "uninteresting"}
        ),
    ),
    Question.JUDGE: (
        frozenset({"aligned", "match", "matches", "correct", "same"}),
        frozenset({"not aligned", "misaligned", "no match", "mismatch", "incorrect", "different"}),
    ),
}
"""What else says yes and no to each question, as a whole answer or behind a label."""
_LABELS: Mapping[Question, str] = {
    Question.LIKE: r"likes?|liked|liking|do i like it|preference|like the (?:image|content|picture)",
    Question.INTEREST: r"interest(?:ing|ed)?|decision|action|is it interesting|find it interesting",
    Question.JUDGE: r"align(?:ed|ment)|match(?:es|ed|ing)?|correct|same|names? the (?:same )?element|label|score",
}
_ANY_LABEL = r"(?:(?:my|the|your|final|short|overall) )*(?:answer|verdict|response|conclusion|result)"
_KEYS: Mapping[Question, frozenset[str]] = {
    Question.LIKE: frozenset({"like", "likes", "liked", "like_content", "preference", "do_you_like", "likes_image"}),
    Question.INTEREST: frozenset({"interest", "interesting", "interested", "decision", "action", "is_interesting"}),
    Question.JUDGE: frozenset(
        {"aligned", "alignment", "match", "matches", "matched", "correct", "same", "names_element", "label", "score"}
    ),
}
_ANY_KEY = frozenset({"answer", "verdict", "response", "result", "final_answer", "conclusion"})
_REMARKS = frozenset(
    {"reason", "reasoning", "explanation", "rationale", "justification", "comment", "why", "note", "element"}
)
"""Fields beside a 0 or 1 that leave it what it is; another may be a scale or a legend."""
_NO_ANSWER = frozenset({"", "n/a", "none", "null", "unknown", "refused", "refusal"})
_CONFIDENCE = frozenset({"confidence", "certainty", "probability"})

_THOUGHT = re.compile(
    r"^.*(?:</(?:think|thinking|thought|reasoning|analysis|scratchpad)>|◁/think▷)", re.DOTALL | re.IGNORECASE
)
_UNENDED = ("<think", "<reasoning>", "<analysis>", "<scratchpad>", "◁think▷")
_ROLE = re.compile(r"^\W*(?:assistant|ai|bot|model|judge|answer|a)\s*:\s*", re.IGNORECASE)
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_MARKER = re.compile(r"^(?:\d{1,2}[.)]|[-*•])\s+(?=\S)")
_CHOICE = re.compile(r"\W*(?:yes\s*(?:/|\\|\||or)\s*no|no\s*(?:/|\\|\||or)\s*yes|y\s*/\s*n)\W*", re.IGNORECASE)
_HALVED = re.compile(
    r"\W*(?:yes\W[^.!?]{0,12}\bnot (?:exactly|quite|entirely|fully)"
    r"|not (?:exactly|quite|entirely|fully)\W[^.!?]{0,12}\byes)\W*",
    re.IGNORECASE,
)
"""A yes that is half taken back, and nothing else: "Yes, but not exactly"."""
_SIGNS: Mapping[str, Verdict] = {
    **dict.fromkeys("👍✅✓✔☑❤♥", Verdict.YES),
    **dict.fromkeys("👎❌✗✘✖✕☓⨯❎☒🚫⛔", Verdict.NO),
}
"""Signs that say yes or no. A multiplication sign isn't one of them: it says how large an image is."""
_OF_SIGNS = frozenset({"So", "Sm", "Sk", "Mn", "Cf"})
"""Unicode's categories of symbols and of what varies them."""
_ONE_SIGN = f"[{''.join(_SIGNS)}]"
_MARKS = re.compile(r"[*_`#>\"“”]")
_BESIDE_A_WORD = " .!,;()[]-\ufe0f🙂😊" + "".join(_SIGNS)
_NUMBER = re.compile(r"[\s*_`\"'([]*([01])(?:\.0+)?(?:\s*/\s*1)?[\s*_`\"')\]]*")
"""A bare 0 or 1. A sign before it makes it another number."""
_AMOUNT = re.compile(r"[-+<>≤≥~±\s]*\d[\d.,/%\s]*(?:out of \d+)?")
_NUMBERS = {"1": Verdict.YES, "0": Verdict.NO}
_OTHER_SCALE = re.compile(
    r"\bscale|\brange|\bmax|\bout.of|\brubric|\boptions?\b|\d[- ]points?\b|\d\s*/\s*\d|\d\s*[-–—]\s*\d|\bto \d"
    r"|\d\s*(?:=|means|stands for|for|→)\s*\w|\d \(\w|^\W*\d[.)]\s*\W*(?:yes|no)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""What gives a 0 or 1 another meaning than no or yes, unless it is _BINARY."""
_BINARY = re.compile(r"\b[01]\s*(?:/|-|–|or|to)\s*[01]\b")
_TAKEN_BACK = re.compile(
    r"(?:^|[.!?\n])\W*(?:however|correction|corrected|actually|wait|on second thought|scratch that|revised|updated|new"
    r"|sorry|my mistake|edit(?:ed)?|after review|but [^.!?\n]{0,80}\b(?:should be|verdict|answer is))\b",
    re.IGNORECASE,
)
"""Beginnings of a sentence behind a labelled verdict that may take it back."""
_OPPOSITE = (
    r"(?:differ(?:s|ent|ences?)?|mismatch(?:e[sd])?|misaligned|incorrect|wrong|miss(?:es|ing)?|dislike|hate|ugly|dull"
    r"|bor(?:ed|ing)|uninteresting|swip(?:e|ing)|skip(?:ping)?|scroll(?:ing)?|leav(?:e|ing))"
)
_OPPOSITE_QUESTION = re.compile(
    rf"\b{_OPPOSITE}\b[^?\n]{{0,80}}\?\W*?(?:(?:answer|verdict|response)\W*?)?(?:(?:yes|no|true|false)\b|{_ONE_SIGN})"
    rf"|^\W*(?:(?:question|statement)\W+.{{0,80}}|(?:is|are|does|do|did|would|will)\b.{{0,80}})\b{_OPPOSITE}\b.{{0,80}}\n"
    rf"|^\W*{_OPPOSITE}\W*?[:=]\W*?(?:(?:yes|no|true|false)\b|{_ONE_SIGN})",
    re.IGNORECASE | re.MULTILINE,
)
"""A yes or no to a question that asks for the opposite: "Are they different? Yes"."""
_OPPOSITE_KEY = re.compile(rf"(?:^|_){_OPPOSITE}(?:$|_)|^un|^not?_", re.IGNORECASE)
_FIELD = re.compile(
    r'"(?P<key>[^"\\\n]{1,40})"\s*:\s*(?P<value>true|false|[01]|"[^"\\\n]{0,40}")(?!\w|\s*(?:[./|]|or\b))'
)
"""A field of JSON that was cut off."""
_CUT_JSON_CHARS = 2_000
_MOST_CHARS = 16_384
_FEWEST_WORDS = 3
"""Words of a field of JSON that is a sentence."""
_LINE = re.compile(r"^[\s\-•]*(?P<label>[^\n:=]{1,40}?)\s*[:=]\s*(?P<value>[^\n]{1,40}?)\s*$", re.MULTILINE)


def without_wrapping(answer: str) -> str:
    """An answer without reasoning, role names and code fences around it; empty if all of it is reasoning."""
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", answer[:_MOST_CHARS])).replace("’", "'")
    text = _THOUGHT.sub("", text, count=1)
    if text.lstrip().casefold().startswith(_UNENDED):
        return ""
    text = _FENCE.sub("", text.strip()).strip()
    text = _FENCE.sub("", _ROLE.sub("", text, count=1)).strip()
    return _MARKER.sub("", text, count=1)


def read_form(text: str, question: Question) -> Verdict | None:
    """The verdict that an answer's form gives; None where its words have to be read.

    Args:
        text: An answer, as `without_wrapping` gives it.
        question: What was asked.
    """
    if not any(character.isalnum() for character in text):
        return said_by_signs(text) or Verdict.UNPARSED
    if _CHOICE.fullmatch(text) or _HALVED.fullmatch(text):
        return Verdict.UNPARSED
    if text.startswith(("{", "[")):
        return _from_json(text, question)
    if _OPPOSITE_QUESTION.search(text):
        return Verdict.UNPARSED
    return _word(text, question) or _labelled(text, question)


def said_by_signs(text: str) -> Verdict | None:
    """What the signs in a text say: yes or no; None without any, unparsed where they say both."""
    said = {_SIGNS[sign] for sign in text if sign in _SIGNS}
    return None if not said else said.pop() if len(said) == 1 else Verdict.UNPARSED


def _is_a_sign(value: str) -> bool:
    """Whether a value is a sign, or an x, which may tick or cross out."""
    return value.casefold() == "x" or all(unicodedata.category(character) in _OF_SIGNS for character in value)


def _word(text: str, question: Question) -> Verdict | None:
    """The verdict of a text that is one word, with or without signs, or signs alone.

    Beside a word that says no, ✅ may mark what was chosen and ❤ be kind. A ❌ beside a word that says yes leaves it
    open.
    """
    word, sign = _bare_word(text, question), said_by_signs(text)
    if word is None:
        return None if any(map(str.isalnum, text)) else sign
    return Verdict.UNPARSED if word is Verdict.YES and sign in (Verdict.NO, Verdict.UNPARSED) else word


def _bare_word(text: str, question: Question) -> Verdict | None:
    plain = " ".join(_MARKS.sub("", text).casefold().split()).strip(_BESIDE_A_WORD)
    if any(map(str.isdigit, plain)):
        number = _NUMBER.fullmatch(text.strip())  # not "1.", which may be a list that was cut off
        return None if number is None or question is not Question.JUDGE else _NUMBERS[number[1]]
    yes, no = _OWN_WORDS[question]
    if plain in _YES or plain in yes:
        return Verdict.YES
    return Verdict.NO if plain in _NO or plain in no else None


def _labelled(text: str, question: Question) -> Verdict | None:
    """The one verdict that stands behind a label on a line of its own: "**Aligned**: No"."""
    wanted = re.compile(rf"(?:{_LABELS[question]}|{_ANY_LABEL})\??", re.IGNORECASE)
    text = _MARKS.sub("", text)
    lines = [line for line in _LINE.finditer(text) if wanted.fullmatch(line["label"].strip())]
    found = {verdict for line in lines if (verdict := _word(line["value"], question))}
    if any(said_by_signs(line["value"]) is None and _is_a_sign(line["value"]) for line in lines):
        return Verdict.UNPARSED  # the reader model would read the label alone
    numbers = [line["value"] for line in lines if _AMOUNT.fullmatch(line["value"])]
    if any(not _NUMBER.fullmatch(number) for number in numbers) or (
        numbers and _OTHER_SCALE.search(_BINARY.sub("", text))
    ):
        return Verdict.UNPARSED
    if len(found) != 1:
        return None
    return Verdict.UNPARSED if _TAKEN_BACK.search(text, lines[-1].end()) else found.pop()


def _from_json(text: str, question: Question) -> Verdict:
    fields = [(key.strip().casefold().replace(" ", "_"), value) for key, value in _fields(text)]
    values = [value for key, value in fields if key in _KEYS[question] | _ANY_KEY]
    found = {verdict for value in values if (verdict := _json_value(value, question))}
    if len(found) != 1 or _TAKEN_BACK.search(text, text.rfind("}") + 1):
        return Verdict.UNPARSED
    if found & {_json_value(value, question) for key, value in fields if _OPPOSITE_KEY.search(key)}:
        return Verdict.UNPARSED
    others = {key for key, _ in fields} - _KEYS[question] - _ANY_KEY
    number = any(not isinstance(value, bool) and _NUMBER.fullmatch(str(value)) for value in values)
    asked = " ".join(value for key, value in fields if key in ("question", "statement") and isinstance(value, str))
    if (number and others - _REMARKS - _CONFIDENCE) or re.search(rf"\b{_OPPOSITE}\b", asked, re.IGNORECASE):
        return Verdict.UNPARSED
    return found.pop()


def _fields(text: str) -> Sequence[tuple[str, Any]]:
    """The fields of a JSON object in order, with those that occur again; none of anything else."""
    try:
        stored = json.loads(text, object_pairs_hook=_Fields)
    except (ValueError, RecursionError):  # not JSON, cut off, or nested beyond the parser's depth
        cut = _FIELD.finditer(text[:_CUT_JSON_CHARS])
        return _Fields((found["key"], json.loads(found["value"])) for found in cut)
    return stored if isinstance(stored, _Fields) else ()


class _Fields(list[tuple[str, Any]]):
    """A JSON object that keeps fields that occur again."""


def words_of_json(text: str) -> str:
    """The sentences in the fields of a JSON object, which may give a verdict that no field does.

    Empty for anything else, and where a field holds a word or a number: what it says depends on the field's name
    ({"dislike": "no"}), and it may turn the sentences round ({"like": "hardly", "reason": ...}).
    """
    fields = [field for field in _fields(text) if field[0].strip().casefold() not in _CONFIDENCE]
    sentences = [value for _, value in fields if isinstance(value, str) and len(value.split()) >= _FEWEST_WORDS]
    empty = [value for _, value in fields if value is None or str(value).strip().casefold() in _NO_ANSWER]
    plain = len(sentences) + len(empty) == len(fields) and not any(_OPPOSITE_KEY.search(key) for key, _ in fields)
    return " ".join(sentences) if plain else ""


def _json_value(value: Any, question: Question) -> Verdict | None:
    if isinstance(value, bool):
        return Verdict.YES if value else Verdict.NO
    if question is Question.JUDGE and isinstance(value, (int, float)) and value in (0, 1):
        return Verdict.YES if value else Verdict.NO
    return _word(value, question) if isinstance(value, str) else None
